//! The store: what outlives the process. A small trait, so that the engine can be changed, with two
//! implementations: sled on disk, and a model in memory that tests compare it with.
//!
//! Invariant: a batch is applied whole or not at all, and [`Store::commit`] returns only when it will
//! survive the loss of power.

mod files;
mod format;
mod keys;
mod memory;
mod migrate;
mod opening;
mod record;
mod sealed;
mod sled;
mod space;
mod tpm;

#[cfg(test)]
mod contract;

pub(crate) use self::tpm::PCRS;
pub use self::{
    keys::{AtRest, KeyError, Master, NoPassphrase, Passphrase},
    memory::MemoryStore,
    opening::{LockedStore, Opened, Opening},
    sled::SledStore,
    space::Room,
    tpm::{Tpm, TpmError},
};

use std::{io, path::PathBuf};

/// The kinds of facts, each in its own ordered key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Subject by id.
    Subjects,
    /// Templates by subject and finger.
    Fingers,
    /// Audit records by number.
    Audit,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Subjects, Self::Fingers, Self::Audit];

    /// Its name on disk; never changes.
    fn name(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Fingers => "fingers",
            Self::Audit => "audit",
        }
    }
}

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

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Keys and values in key order.
pub type Entries = Vec<Entry>;

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
    #[error("the store is damaged at {place}: restore it from a backup")]
    Damaged {
        /// Table and key, or the file.
        place: String,
    },
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

    /// The entry with the highest key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn last(&self, table: Table) -> Result<Option<Entry>, StoreError>;

    /// What there is room for, and how many bytes are free where that is known.
    ///
    /// # Errors
    /// [`StoreError`].
    fn room(&self) -> Result<(Room, Option<u64>), StoreError>;

    /// Applies changes in order, all or none, and makes them durable.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them is applied. [`StoreError::Full`] before the disk is full.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// How what is stored is protected from whoever takes the disk.
    fn at_rest(&self) -> AtRest;

    /// Has another master key from now on. Whoever replaces a passphrase knows the `current` one.
    ///
    /// # Errors
    /// [`KeyError`]; then the one before is good.
    fn change_master(&self, current: Option<&str>, master: &Master) -> Result<(), KeyError>;

    /// Whether what was stored before its encryption still lies beside in clear.
    fn snapshot(&self) -> bool;
}
