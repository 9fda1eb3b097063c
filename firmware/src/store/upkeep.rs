//! What a store on disk is asked from time to time: how large it is, whether it is whole, to become smaller, to get other
//! keys.

use super::{KeyError, StoreError, Table};

/// Is told how much of about how much is done.
pub type Tell<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// How large a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The last change's number.
    pub sequence: u64,
    /// People of whom something is kept.
    pub people: u64,
    /// Values by table.
    pub values: Vec<(Table, u64)>,
    /// Bytes of what is live, with keys, encrypted.
    pub value_bytes: u64,
    /// Bytes of the journal's snapshot.
    pub snapshot_bytes: u64,
    /// Bytes of the journal since the snapshot.
    pub journal_bytes: u64,
    /// Bytes of the pages of keys.
    pub key_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes that are free on the disk.
    pub free_bytes: u64,
    /// Whether the index is there.
    pub indexed: bool,
}

/// How large the parts of a store are: known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// People of whom something is kept.
    pub people: u64,
    /// Bytes of the journal's snapshot.
    pub snapshot: u64,
    /// Bytes of the journal since the snapshot.
    pub journal: u64,
    /// Bytes of the pages of keys.
    pub keys: u64,
    /// Bytes of the index.
    pub index: u64,
}

/// What a look at every value came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Values that were opened.
    pub values: u64,
    /// Values of which the index said something else than the journal; it is made anew then.
    pub index_differences: u64,
}

/// The upkeep of a store, while it serves.
pub trait Upkeep {
    /// How large its parts are, at once.
    fn extent(&self) -> Extent;

    /// How large it is, by reading all of it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stats(&self) -> Result<Stats, StoreError>;

    /// Reads and opens every value, and compares the index with the journal.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] at the first that cannot be read.
    fn verify(&self, tell: Tell<'_>) -> Result<Verified, StoreError>;

    /// Makes the journal as short as it can be, and the index anew. Nobody is enrolled or removed meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; then it is as it was.
    fn compact(&self, tell: Tell<'_>) -> Result<(), StoreError>;

    /// Other keys for everything that is stored. Everybody is served meanwhile.
    ///
    /// # Errors
    /// [`KeyError`]; what was begun is gone on with at the next start.
    fn rotate_keys(&self, tell: Tell<'_>) -> Result<(), KeyError>;

    /// The store is about to be closed: what is under way here ends soon, with an error. A rotation of keys is gone on
    /// with at the next start.
    fn stop(&self);
}
