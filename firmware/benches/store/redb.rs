//! The reference: redb, as its defaults are. It encrypts nothing, and keeps no key for anybody.

use std::{ops::Bound, path::Path, thread};

use authenteon::{
    gallery::{FingerKey, fill},
    store::{Change, Look, StoreError, Table, ValueRef},
};
use authenteon_matcher::search::Gallery;
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use crate::engine::{Engine, Failure, Told};

/// Parts of the key space that are read side by side: keys begin with random bytes.
const PARTS: u8 = 4;

pub(crate) struct Redb(Database);

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Opened = ReadOnlyTable<&'static [u8], &'static [u8]>;

fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

impl Engine for Redb {
    const NAME: &'static str = "redb";
    const PARTS: &'static [&'static str] = &["redb"];

    fn open(folder: &Path) -> Result<Self, Failure> {
        Ok(Self(Database::create(folder.join("redb"))?))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), Failure> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        for table in Table::ALL {
            let mut of_table = changes.iter().filter(|change| change.table() == table).peekable();
            if of_table.peek().is_none() {
                continue;
            }
            let mut opened = transaction.open_table(definition(table))?;
            for change in of_table {
                match change {
                    Change::Put { key, value, .. } => opened.insert(key.as_slice(), value.as_slice())?,
                    Change::Delete { key, .. } => opened.remove(key.as_slice())?,
                };
            }
        }
        Ok(transaction.commit()?)
    }

    fn gallery(&self, told: Told<'_>) -> Result<Gallery<FingerKey>, Failure> {
        let table = self.0.begin_read()?.open_table(definition(Table::Fingers))?;
        let gallery = fill(None, |look| {
            let look = |value: ValueRef<'_>| {
                told(1);
                look(value)
            };
            // From several threads, as ours is read.
            thread::scope(|scope| {
                let (table, look) = (&table, &look);
                let parts: Vec<_> =
                    (0..PARTS).map(|part| scope.spawn(move || read(table, part, look))).collect();
                parts.into_iter().try_for_each(|part| {
                    part.join().unwrap_or_else(|_| Err(StoreError::Io("a thread ended early".to_owned())))
                })
            })
        });
        Ok(gallery?)
    }

    fn verify(&mut self) -> Result<bool, Failure> {
        Ok(self.0.check_integrity()?)
    }

    fn compact(&mut self) -> Result<(), Failure> {
        self.0.compact()?;
        Ok(())
    }
}

/// Looks at a part of a table.
fn read(table: &Opened, part: u8, look: &Look<'_>) -> Result<(), StoreError> {
    let fails = |why: redb::StorageError| StoreError::Io(why.to_string());
    let width = u8::MAX / PARTS + 1;
    let (first, end) = ([part * width], [(part + 1).wrapping_mul(width)]);
    let end = if part + 1 == PARTS { Bound::Unbounded } else { Bound::Excluded(end.as_slice()) };
    for entry in table.range::<&[u8]>((Bound::Included(first.as_slice()), end)).map_err(fails)? {
        let (key, value) = entry.map_err(fails)?;
        look(ValueRef { table: Table::Fingers, key: key.value(), value: value.value() })?;
    }
    Ok(())
}
