//! Backups: what is stored of people, decisions and policy, at one moment, in one file under a passphrase of its own.
//!
//! `file.rs` is the file, `contents.rs` what is in it; `erasures.rs` is the list of who was erased since, without which
//! an older backup would bring them back. The services write and restore backups.
//!
//! Invariant: a file is read to its end and found whole before anything of it is used; what was changed, cut, put
//! together from two or sealed with another passphrase is refused.

mod contents;
mod erasures;
mod file;

use uuid::Uuid;

pub use self::{
    contents::Manifest,
    erasures::{Erasure, Erasures, Followed},
    file::{Header, Reader, Writer, read_header},
};
pub(crate) use self::{
    contents::{Contents, KEPT, look},
    file::Item,
};

use crate::{clock::Timestamp, services::OpenError, store::StoreError};

/// Why there is no backup, or why it is not restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Not a backup of ours.
    #[error("this is not a backup of this product: its first line says so in every version")]
    NotABackup,
    /// Of a later version.
    #[error("the backup has format {version}, of a later version: update this box first")]
    Newer {
        /// Its format.
        version: u32,
    },
    /// It does not open.
    #[error("this is not the passphrase of the backup, or its first line was changed")]
    Wrong,
    /// It ends too early.
    #[error("the backup ends early, after {length} bytes: copy or send the whole file again")]
    Cut {
        /// Bytes that are there.
        length: u64,
    },
    /// Something in it was changed.
    #[error("the backup is damaged at byte {at}: take another copy of it; nothing of this one is used")]
    Damaged {
        /// About where.
        at: u64,
    },
    /// What it holds is not what a box stores.
    #[error("the backup holds something that cannot be read ({place}): nothing of it is used")]
    Contents {
        /// Which value.
        place: String,
    },
    /// It should have been destroyed by now.
    #[error(
        "the backup expired at {at}: it may hold people who were erased since; an administrator restores it all the \
         same with --even-expired"
    )]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Nobody said who was erased since.
    #[error(
        "give the list of erasures since the backup (authenteonctl backup --erasures FILE, on the box that it is of), \
         or say --without-erasures: then people who were erased since come back"
    )]
    NoErasures,
    /// A list that is none.
    #[error("the list of erasures cannot be used: {why}")]
    Erasures {
        /// Why.
        why: String,
    },
    /// A list that does not say who was erased since.
    #[error(
        "the list of erasures is of another box, or older than the backup: take one from the box that the backup is of \
         (authenteonctl backup --erasures FILE), or say --without-erasures"
    )]
    OtherErasures,
    /// The box is in use.
    #[error(
        "somebody is enrolled on this box: a backup is restored into an empty one (a new one, or one after a factory \
         reset)"
    )]
    NotEmpty,
    /// A moment that is none for an expiry.
    #[error("a backup expires after 1 to {most} days", most = Header::MOST_DAYS)]
    Expiry,
    /// The store has the format of the version before.
    #[error("an update is on trial: ask again when it is kept")]
    OnTrial,
    /// The store's upkeep is at work.
    #[error("a task of the store's upkeep is running: wait until it has ended (authenteonctl db stats)")]
    Upkeep,
    /// Another one is made or restored.
    #[error("another backup is being sent, tried or restored: wait until it is done")]
    Busy,
    /// Reading or writing the file failed.
    #[error("the backup cannot be read or written: {0}")]
    Io(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenError> for BackupError {
    fn from(why: OpenError) -> Self {
        match why {
            OpenError::Store(why) => Self::Store(why),
            other => Self::Contents { place: other.to_string() },
        }
    }
}

/// What is authenticated with each part of a file.
const CONTEXT: &[u8] = b"authenteon backup";

/// A store's own id, as it is in a key.
pub(crate) fn archived(store: Uuid, number: &[u8]) -> Vec<u8> {
    [store.as_bytes().as_slice(), number].concat()
}
