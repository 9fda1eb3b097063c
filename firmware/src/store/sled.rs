//! sled 0.34.7, and what it needs around it to be used.
//!
//! - Its `flush()` is `sync_file_range`, not fsync: who rests on it calls [`Trees::make_durable`], which ends with an
//!   fdatasync of our own descriptor of its file, and with one of the folder when the file grew.
//! - It panics or loses values when its file is damaged: only a file that is byte for byte as it was closed is
//!   opened (`index`), or one of a format that had nothing else (`earlier`).
//! - The cache is bounded: its default is 1 GiB.
//! - It makes its file durable twice a second by default, and each time the journal's commits wait: every few seconds is
//!   enough for what is made anew from the journal when it was not closed.

use std::{
    fs::File,
    io,
    ops::Bound,
    path::Path,
    sync::{PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};

use super::{Entry, StoreError, Table, io_error, ledger::Applied};

/// Bytes of pages that sled keeps in memory. The search never reads sled, so little helps.
const CACHE: u64 = 64 << 20;

/// Milliseconds between sled's own flushes, in which it collects its garbage too. They make nothing safer, since what is durable
/// is in the journal, and every answer that waits for the journal meanwhile waits for them too.
const FLUSH_EVERY: u64 = 60_000;

/// How long a folder's last holder may take to let go of it. sled's threads release its lock a little
/// after the store is dropped, and a daemon that is restarted meets its predecessor.
pub(super) const HANDOVER: Duration = Duration::from_secs(3);

/// sled in a folder: a tree for each table.
pub(super) struct Trees {
    trees: Vec<sled::Tree>,
    db: sled::Db,
    /// Held while changes are applied one by one.
    changing: RwLock<()>,
}

/// Our own descriptors, for fsync.
pub(super) struct Files {
    data: File,
    folder: File,
    length: u64,
}

impl Trees {
    /// Opens sled in `folder`, or makes it, and waits for a moment while another still holds it.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let patience = Instant::now() + HANDOVER;
        let db = loop {
            let config = sled::Config::default().path(folder).cache_capacity(CACHE);
            match config.flush_every_ms(Some(FLUSH_EVERY)).open().map_err(from_sled) {
                Err(StoreError::InUse) if Instant::now() < patience => {
                    thread::sleep(Duration::from_millis(5));
                }
                opened => break opened?,
            }
        };
        let trees = Table::ALL.iter().map(|table| db.open_tree(table.name()).map_err(from_sled));
        Ok(Self { trees: trees.collect::<Result<_, _>>()?, db, changing: RwLock::default() })
    }

    /// Descriptors of what is open.
    pub(super) fn files(folder: &Path) -> Result<Files, StoreError> {
        let fails = |why: io::Error| io_error(&why);
        let data = File::open(folder.join("db")).map_err(fails)?;
        // sled writes it once and never makes it durable: power that goes soon after leaves it empty.
        File::open(folder.join("conf")).and_then(|file| file.sync_all()).map_err(fails)?;
        let length = data.metadata().map_err(fails)?.len();
        Ok(Files { data, folder: File::open(folder).map_err(fails)?, length })
    }

    /// Makes durable what was applied.
    pub(super) fn make_durable(&self, files: &mut Files) -> Result<(), StoreError> {
        self.flush()?;
        let fails = |why: io::Error| io_error(&why);
        files.data.sync_data().map_err(fails)?;
        let length = files.data.metadata().map_err(fails)?.len();
        if length != files.length {
            files.folder.sync_all().map_err(fails)?;
            files.length = length;
        }
        Ok(())
    }

    /// Hands to the system what was applied.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map(drop).map_err(from_sled)
    }

    fn tree(&self, table: Table) -> Result<&sled::Tree, StoreError> {
        let at = Table::ALL.iter().position(|one| *one == table);
        at.and_then(|at| self.trees.get(at)).ok_or_else(|| StoreError::Io("a table is missing".to_owned()))
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _unchanging = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        Ok(self.tree(table)?.get(key).map_err(from_sled)?.map(|value| value.to_vec()))
    }

    /// Entries in key order from the first after `after`.
    pub(super) fn scan(
        &self,
        table: Table,
        after: Option<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<Entry, StoreError>>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.tree(table)?.range::<&[u8], _>((from, Bound::Unbounded));
        Ok(range.map(owned))
    }

    /// Entries whose keys begin with a prefix.
    pub(super) fn with_prefix(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Result<Entry, StoreError>>, StoreError> {
        Ok(self.tree(table)?.scan_prefix(prefix).map(owned))
    }

    pub(super) fn last(&self, table: Table) -> Result<Option<Entry>, StoreError> {
        let _unchanging = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        self.tree(table)?
            .last()
            .map_err(from_sled)
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    /// How many values there are; it counts them.
    pub(super) fn values(&self) -> u64 {
        self.trees.iter().map(|tree| tree.len() as u64).sum()
    }

    /// Applies changes in order, all or none.
    pub(super) fn apply(&self, changes: &[Applied]) -> Result<(), StoreError> {
        self.trees
            .as_slice()
            .transaction(|trees| {
                for change in changes {
                    let (Applied::Put(table, ..) | Applied::Delete(table, _)) = change;
                    let at = Table::ALL.iter().position(|one| one == table);
                    let Some(tree) = at.and_then(|at| trees.get(at)) else {
                        return Err(ConflictableTransactionError::Abort(()));
                    };
                    match change {
                        Applied::Put(_, key, value) => tree.insert(key.as_slice(), value.as_slice())?,
                        Applied::Delete(_, key) => tree.remove(key.as_slice())?,
                    };
                }
                Ok(())
            })
            .map_err(|why| match why {
                TransactionError::Storage(why) => from_sled(why),
                TransactionError::Abort(()) => StoreError::Io("a table is missing".to_owned()),
            })
    }

    /// Applies changes in order, for an index, which is made anew when it was not closed: who gets a value gets none
    /// between the first and the last, but they are not one on the disk. A transaction writes to its file twice, and waits.
    pub(super) fn apply_each(&self, changes: &[Applied]) -> Result<(), StoreError> {
        let _nobody_reads = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Applied::Put(table, key, value) => {
                    self.tree(*table)?.insert(key.as_slice(), value.as_slice()).map_err(from_sled)?;
                }
                Applied::Delete(table, key) => {
                    self.tree(*table)?.remove(key.as_slice()).map_err(from_sled)?;
                }
            }
        }
        Ok(())
    }

    /// Puts many values, each by itself: for an index that is made anew when it is not finished.
    pub(super) fn fill(&self, values: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        for table in Table::ALL {
            let mut batch = sled::Batch::default();
            let mut any = false;
            for (_, key, value) in values.iter().filter(|(of, ..)| *of == table) {
                batch.insert(key.as_slice(), value.as_slice());
                any = true;
            }
            if any {
                self.tree(table)?.apply_batch(batch).map_err(from_sled)?;
            }
        }
        Ok(())
    }
}

fn owned(entry: sled::Result<(sled::IVec, sled::IVec)>) -> Result<Entry, StoreError> {
    entry.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(from_sled)
}

fn from_sled(why: sled::Error) -> StoreError {
    match why {
        sled::Error::Io(why) => io_error(&why),
        sled::Error::Corruption { .. } => StoreError::Damaged { place: "sled's file".to_owned() },
        other => StoreError::Io(other.to_string()),
    }
}
