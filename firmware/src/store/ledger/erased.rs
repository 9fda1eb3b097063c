//! After the end of a journal was given up: people who were erased there.
//!
//! Invariant: an erasure that is given up brings nobody back. The key went before the erasure was acknowledged, so what
//! the journal says of the person again opens for nobody; it is taken out once more, and everybody else is served. Facts
//! of the store name them, so that the erasures do too. Who lost only a finger there cannot be told from them.

use std::sync::{Mutex, PoisonError};

use tracing::warn;

use super::{Given, Ledger, Staged, staging};
use crate::store::{Change, StoreError, TAKEN_OUT, Table, value::Owner};

/// Values that are taken out in one change.
const AT_A_TIME: usize = 1000;

impl Ledger {
    /// Takes out what is there of people whose keys are gone.
    pub(super) fn take_out_erased(&mut self) -> Result<(), StoreError> {
        let people: Vec<Table> = Table::ALL.into_iter().filter(|table| table.is_of_people()).collect();
        let found = Mutex::new(Vec::new());
        let reader = self.reader();
        reader.look_at_all(&people, &|opened: &mut Vec<u8>, live| {
            // What is read here is chained, so it is what was written: only its key is another one.
            if reader.open(live, opened).is_err() {
                let closed = (live.table, live.key.to_vec());
                found.lock().unwrap_or_else(PoisonError::into_inner).push(closed);
            }
            Ok(())
        })?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        for some in found.chunks(AT_A_TIME) {
            let mut staged = Staged::default();
            for (table, key) in some {
                staging::delete(&mut staged, *table, key)?;
                staged.gone.extend(Owner::of(*table, key));
            }
            // Who they are is known first: if the power goes in between, they are still there to be taken out.
            let mut owners: Vec<Owner> =
                some.iter().filter_map(|(table, key)| Owner::of(*table, key)).collect();
            owners.sort_unstable();
            owners.dedup();
            let names: Vec<Change> = owners
                .iter()
                .map(|owner| Change::Put {
                    table: Table::About,
                    key: [TAKEN_OUT, owner.prefix()].concat(),
                    value: Vec::new(),
                })
                .collect();
            let named = self.stage(&names, &mut Given::new())?;
            self.write(&[named])?;
            self.write(&[staged])?;
        }
        if !found.is_empty() {
            warn!(values = found.len(), "who was erased in what is given up stays erased");
        }
        Ok(())
    }
}
