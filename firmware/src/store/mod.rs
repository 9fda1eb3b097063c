//! The store: what outlives the process. A small trait, so that the engine can be changed, with two
//! implementations: a journal on disk that sled indexes, and a model in memory that tests compare it with.
//!
//! Invariant: a batch is applied whole or not at all, and [`Store::commit`] returns only when it will
//! survive the loss of power.

mod crc;
mod disk;
mod earlier;
mod files;
mod format;
mod index;
mod journal;
mod keys;
mod layer;
mod ledger;
mod memory;
mod migrate;
mod opening;
mod pages;
mod passphrase;
mod record;
mod sealed;
mod sled;
mod space;
mod table;
mod tpm;
mod upkeep;
mod value;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod power;

pub use self::{
    disk::DiskStore,
    keys::{AtRest, KeyError, Master},
    memory::MemoryStore,
    opening::{LockedStore, Opened, Opening},
    passphrase::{NoPassphrase, Passphrase},
    space::Room,
    table::Table,
    tpm::{Tpm, TpmError},
    upkeep::{Extent, Stats, Tell, Upkeep, Verified},
};
pub(crate) use self::{passphrase::Derivation, sealed::SealingKey, tpm::PCRS};

use std::{
    io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

use self::{
    disk::Outcome,
    sled::{Files, HANDOVER, Trees},
};

/// Facts of [`Table::About`] whose keys begin so name, in sixteen bytes, who was taken out by a repair: the keys are gone,
/// as those of somebody who was erased are.
pub(crate) const TAKEN_OUT: &[u8] = b"taken-out/";

/// Values of a page.
const PAGE: usize = 4096;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Puts a value under a key, over whatever is there.
    Put {
        /// Where.
        table: Table,
        /// Under which key.
        key: Vec<u8>,
        /// What.
        value: Vec<u8>,
    },
    /// Takes a key away; it need not be there.
    Delete {
        /// Where.
        table: Table,
        /// Which key.
        key: Vec<u8>,
    },
}

impl Change {
    /// Which table it is about.
    #[must_use]
    pub fn table(&self) -> Table {
        match self {
            Self::Put { table, .. } | Self::Delete { table, .. } => *table,
        }
    }

    /// Which key it is about.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }
}

/// Whether a change takes away what is known of a person: then no copy of it may stay.
fn erases(change: &Change) -> bool {
    matches!(change, Change::Delete { table, .. } if table.is_of_people())
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Keys and values in key order.
pub type Entries = Vec<Entry>;

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Where.
    pub table: Table,
    /// Under which key.
    pub key: Vec<u8>,
    /// What.
    pub value: Vec<u8>,
}

/// A value with its place, where it was read.
#[derive(Clone, Copy)]
pub struct ValueRef<'a> {
    /// Where.
    pub table: Table,
    /// Under which key.
    pub key: &'a [u8],
    /// What.
    pub value: &'a [u8],
}

impl ValueRef<'_> {
    /// To be kept.
    #[must_use]
    pub fn to_value(self) -> Value {
        Value { table: self.table, key: self.key.to_vec(), value: self.value.to_vec() }
    }
}

/// Looks at values, on several threads at once.
pub type Look<'a> = dyn Fn(ValueRef<'_>) -> Result<(), StoreError> + Sync + 'a;

/// Takes values some at a time.
pub type Page<'a> = dyn FnMut(Vec<Value>) -> Result<(), StoreError> + Send + 'a;

/// Changes that were submitted, and will be durable or not.
#[derive(Debug)]
pub struct Ticket(Option<Outcome>);

impl Ticket {
    /// Of changes that are durable already.
    #[must_use]
    pub fn done() -> Self {
        Self(None)
    }

    fn of(outcome: Outcome) -> Self {
        Self(Some(outcome))
    }

    fn outcome(&self) -> Option<&Outcome> {
        self.0.as_ref()
    }
}

/// Why the store could not do what was asked. What is stored is untouched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error("the store is in use by another process")]
    InUse,
    /// The disk is full.
    #[error(
        "the disk of this box is full: remove subjects who are gone, or move to a larger disk; nothing was changed, \
         and what is enrolled goes on working"
    )]
    Full,
    /// What was read is not what was written.
    #[error(
        "the store is damaged at {place}: restore a backup, or give up what is damaged with `authenteond store repair`"
    )]
    Damaged {
        /// Table and key, or the file.
        place: String,
    },
    /// A file of another store lies among its own.
    #[error("{place} is of another store, or sealed with keys of another: put the store's own file back", place = .place.display())]
    Foreign {
        /// The file.
        place: PathBuf,
    },
    /// The journal is older than what else is there.
    #[error(
        "the journal ends at change {found}, and {known} changes were acknowledged: an older copy of it was put in its \
         place, or its end is lost; put the right one back, restore a backup, or give up what is missing with \
         `authenteond store repair`"
    )]
    Behind {
        /// Its last sequence number.
        found: u64,
        /// The highest that was acknowledged.
        known: u64,
    },
    /// The index is being made: what rests on it cannot be done yet.
    #[error("the store is being checked or rebuilt ({done} of about {all} values): ask again in a while")]
    Degraded {
        /// Values that are indexed.
        done: u64,
        /// About how many there are.
        all: u64,
    },
    /// Changes that were submitted before were not written: what rests on them is void, and is to be made anew.
    #[error("changes before this one were not written: ask again")]
    Superseded,
    /// Written by a later version.
    #[error("the store was written by a later version ({version}): update this program")]
    Newer {
        /// The version of the store or of the record.
        version: u32,
    },
    /// Its master key cannot be used.
    #[error("the store's master key {path}: {why}")]
    MasterKey {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// Its master key is not to be had from the TPM.
    #[error("the store's master key: {0}")]
    Tpm(#[from] TpmError),
    /// It waits for a passphrase.
    #[error("the store is locked: it waits for its passphrase")]
    Locked,
    /// The system refused.
    #[error("the store cannot be read or written: {0}")]
    Io(String),
}

fn io_error(why: &io::Error) -> StoreError {
    let text = why.to_string();
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        io::ErrorKind::WouldBlock => StoreError::InUse,
        // sled 0.34 wraps the failed lock into a text.
        _ if text.contains("could not acquire lock") => StoreError::InUse,
        _ => StoreError::Io(text),
    }
}

/// Changes that take something away are how a full disk gets room again.
fn makes_room(changes: &[Change]) -> bool {
    changes.iter().any(|change| matches!(change, Change::Delete { .. }))
}

/// A store.
pub trait Store: Send + Sync {
    /// The value under a key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` entries in key order, from the first key after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Entries, StoreError>;

    /// Every entry of a table, in pages, in no promised order; what `page` fails with ends it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn each(
        &self,
        table: Table,
        page: &mut (dyn FnMut(Entries) -> Result<(), StoreError> + Send),
    ) -> Result<(), StoreError> {
        self.read_all(&[table], &mut |values| {
            page(values.into_iter().map(|value| (value.key, value.value)).collect())
        })
    }

    /// The entry with the highest key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn last(&self, table: Table) -> Result<Option<Entry>, StoreError>;

    /// Every entry of some tables, all as they are at one moment, in pages, in no order. What is about a person of whom
    /// something is taken away meanwhile is given as it is then, or not at all.
    ///
    /// # Errors
    /// [`StoreError`], also one of `page`.
    fn read_all(&self, tables: &[Table], page: &mut Page<'_>) -> Result<(), StoreError> {
        let (waiting, page) = (Mutex::new(Vec::new()), Mutex::new(page));
        let give = |values| (page.lock().unwrap_or_else(PoisonError::into_inner))(values);
        self.look_at_all(tables, &|value| {
            let value = value.to_value();
            let full = {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.push(value);
                (waiting.len() >= PAGE).then(|| std::mem::take(&mut *waiting))
            };
            // The other threads go on meanwhile, until they have a page, too.
            full.map_or(Ok(()), give)
        })?;
        let rest = waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
        if rest.is_empty() { Ok(()) } else { give(rest) }
    }

    /// Looks at each of them, on all cores where it can. After one failed, others may still be looked at.
    ///
    /// # Errors
    /// [`StoreError`], also one of `look`.
    fn look_at_all(&self, tables: &[Table], look: &Look<'_>) -> Result<(), StoreError>;

    /// What there is room for, and how many bytes are free where that is known.
    ///
    /// # Errors
    /// [`StoreError`].
    fn room(&self) -> Result<(Room, Option<u64>), StoreError>;

    /// Grows when changes that were submitted were not written.
    fn epoch(&self) -> u64;

    /// Submits changes, which are applied in the order in which they are submitted, all of one submission or none.
    /// Whoever rests on changes that were submitted before names the epoch of then.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when changes before them were not written; [`StoreError::Full`] before the disk is
    /// full.
    fn submit(&self, changes: Vec<Change>, epoch: u64) -> Result<Ticket, StoreError>;

    /// Waits until submitted changes are durable and applied.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them is applied.
    fn wait(&self, ticket: &Ticket) -> Result<(), StoreError>;

    /// Applies changes in order, all or none, and makes them durable. They rest on nothing.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them is applied. [`StoreError::Full`] before the disk is full.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        loop {
            let done = self.submit(changes.to_vec(), self.epoch()).and_then(|ticket| self.wait(&ticket));
            if done != Err(StoreError::Superseded) {
                return done;
            }
        }
    }

    /// Whether it has the format of the version before, which may have to go on with it: nothing is to be written that
    /// that version does not know.
    fn is_earlier(&self) -> bool {
        false
    }

    /// Returns once whoever writes has written what is under way.
    fn await_writer(&self) {}

    /// The store's own id, which no other has.
    fn id(&self) -> Uuid;

    /// How what is stored is protected from whoever takes the disk.
    fn at_rest(&self) -> AtRest;

    /// Has another master key from now on. Whoever replaces a passphrase knows the `current` one.
    ///
    /// # Errors
    /// [`KeyError`]; then the one before is good.
    fn change_master(&self, current: Option<&str>, master: &Master) -> Result<(), KeyError>;

    /// Whether what was stored before its migration still lies beside.
    fn snapshot(&self) -> bool;

    /// How many values of about how many are indexed; `None` when all are, and everything is served.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    /// What it needs from time to time, where it does.
    fn upkeep(&self) -> Option<&dyn Upkeep> {
        None
    }
}
