//! The chain: each record names the hash of the one before it, from the first that is kept to the head. Where records
//! were deleted because their time was over, it begins behind a start that the box signed.
//!
//! Invariant: what verifies was neither altered, nor lost a record between its start and its head.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Event, Record, Signed};
use crate::{
    clock::Timestamp,
    request::{Caller, hex},
    store::{Change, Store, StoreError, Table},
};

/// Records that are read at a time.
const PAGE: usize = 1000;

/// Why the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is missing, or another stands in its place.
    #[error("the audit chain is broken at record {number}: {reason}")]
    Broken {
        /// The record that should be there.
        number: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// When the last record was made: the box's clock was at least so far.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn last_moment(store: &dyn Store) -> Result<Timestamp, StoreError> {
    let last = store.last(Table::Audit)?;
    // What cannot be read is found by who walks the chain.
    let record = last.and_then(|(_, bytes)| serde_json::from_slice::<Record>(&bytes).ok());
    Ok(record.map_or(Timestamp::from_millis(0), |record| record.at))
}

/// A place in the chain: the number of a record, and its hash, which what follows hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    number: u64,
    hash: String,
}

/// What a record says of its place.
#[derive(Deserialize)]
struct Link {
    number: u64,
    previous: String,
}

impl Head {
    /// Before the first record that ever was.
    #[must_use]
    pub fn none() -> Self {
        Self { number: 0, hash: hex(&[0; 32]) }
    }

    /// The place of a record with this hash.
    pub(crate) fn at(number: u64, hash: String) -> Self {
        Self { number, hash }
    }

    /// The chain's end in a store, empty or not.
    ///
    /// # Errors
    /// [`ChainError`] when the last record cannot be read.
    pub fn of(store: &dyn Store) -> Result<Self, ChainError> {
        match store.last(Table::Audit)? {
            // The last record is never cut off: nothing was ever written.
            None => Ok(Self::none()),
            Some((_, bytes)) => {
                let record = parse(&bytes, 0)?;
                Ok(Self { number: record.number, hash: hash(&bytes) })
            }
        }
    }

    /// Where the chain of a store begins, as this store has it: behind the last record that was deleted, if any was.
    ///
    /// # Errors
    /// [`ChainError`] when the store fails or the start cannot be read.
    pub fn start_of(store: &dyn Store, of: Uuid) -> Result<Self, ChainError> {
        let start = Signed::start_of(store, of)?;
        Ok(start.map_or_else(Self::none, |start| Self { number: start.number, hash: start.hash }))
    }

    /// The same as [`Self::of`] for who can only say that the store failed.
    pub(crate) fn of_store(store: &dyn Store) -> Result<Self, StoreError> {
        Self::of(store).map_err(|why| match why {
            ChainError::Store(why) => why,
            broken @ ChainError::Broken { .. } => StoreError::Damaged { place: broken.to_string() },
        })
    }

    /// The change that appends a record, and the head after it. The caller commits the change and then
    /// keeps the new head.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the record cannot be written as JSON.
    pub fn append(&self, at: Timestamp, by: &Caller, what: Event) -> Result<(Change, Self), StoreError> {
        let number = self.number + 1;
        let record = Record { number, at, previous: self.hash.clone(), by: by.into(), what };
        let value = serde_json::to_vec(&record).map_err(|why| StoreError::Io(why.to_string()))?;
        let head = Self { number, hash: hash(&value) };
        Ok((Change::Put { table: Table::Audit, key: number.to_be_bytes().to_vec(), value }, head))
    }

    /// The place behind the next record, which has this number in the store.
    pub(crate) fn follow(&self, key: &[u8], bytes: &[u8]) -> Result<Self, ChainError> {
        let number = self.number + 1;
        let broken = |reason| ChainError::Broken { number, reason };
        if *key != number.to_be_bytes() {
            return Err(broken("the record is missing"));
        }
        let link: Link = serde_json::from_slice(bytes).map_err(|_| broken(UNREADABLE))?;
        if link.number != number {
            return Err(broken("another record stands in its place"));
        }
        if link.previous != self.hash {
            return Err(broken("the record before it was altered"));
        }
        Ok(Self { number, hash: hash(bytes) })
    }

    /// Number of the last record; 0 when there is none.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its hash, in hex; zeros when there is none.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// Where a store keeps the audit of one, and what its keys begin with: its own, or another's whose backup was restored.
pub(crate) fn kept_in(store: &dyn Store, of: Uuid) -> (Table, Vec<u8>) {
    if of == store.id() { (Table::Audit, Vec::new()) } else { (Table::Archive, of.as_bytes().to_vec()) }
}

/// Walks the whole chain of a store: this one's own, or what it keeps of another whose backup was restored into it. Gives
/// every place of it with its record's bytes to `each`, the start without any.
///
/// # Errors
/// [`ChainError::Broken`] at the first record that is missing, altered or out of place; what `each` fails with.
pub fn walk<E: From<ChainError>>(
    store: &dyn Store,
    of: Uuid,
    mut each: impl FnMut(&Head, &[u8]) -> Result<(), E>,
) -> Result<Head, E> {
    let (table, prefix) = kept_in(store, of);
    let mut head = Head::start_of(store, of)?;
    each(&head, &[])?;
    let mut after = Some(prefix.clone()).filter(|prefix| !prefix.is_empty());
    loop {
        let page = store.scan(table, after.as_deref(), PAGE).map_err(ChainError::from)?;
        for (key, bytes) in &page {
            let Some(number) = key.strip_prefix(prefix.as_slice()) else { return Ok(head) };
            head = head.follow(number, bytes)?;
            each(&head, bytes)?;
        }
        match page.last() {
            Some((key, _)) => after = Some(key.clone()),
            None => return Ok(head),
        }
    }
}

/// Walks the whole chain, and gives the records to `each`.
///
/// # Errors
/// [`ChainError::Broken`] at the first record that is missing, altered or out of place.
pub fn verify(store: &dyn Store, mut each: impl FnMut(&Record)) -> Result<Head, ChainError> {
    walk(store, store.id(), |head, bytes| {
        if !bytes.is_empty() {
            each(&parse(bytes, head.number)?);
        }
        Ok::<(), ChainError>(())
    })
}

const UNREADABLE: &str = "the record cannot be read";

fn parse(bytes: &[u8], number: u64) -> Result<Record, ChainError> {
    serde_json::from_slice(bytes).map_err(|_| ChainError::Broken { number, reason: UNREADABLE })
}

/// What the next record names: the hash of a record as it is stored.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
