//! What is forwarded of the audit: records and signed heads behind a place, and the place that a destination has
//! confirmed.
//!
//! Invariant: a cursor never passes what its destination has not confirmed; only what is durable is given out.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AuditError, Inner, Services};
use crate::{
    audit::{Head, Signed},
    clock::Timestamp,
    store::{Change, StoreError, Table},
};

/// How far a destination has confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The last record.
    pub record: u64,
    /// The last signed head, by the record that it signs.
    pub head: u64,
}

/// What is to be forwarded next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Records in their order, each as it is stored.
    pub records: Vec<Vec<u8>>,
    /// Signed heads of records that were forwarded, or are with this; the signed start first, when records were deleted that
    /// should be here.
    pub heads: Vec<Signed>,
    /// The place behind it.
    pub next: Cursor,
    /// The last record that there is.
    pub last: u64,
}

impl Batch {
    /// Whether there is nothing to forward.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.heads.is_empty()
    }
}

impl Services {
    /// Up to so many records behind a place, and the heads that go with them.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn to_forward(&self, after: Cursor, limit: usize) -> Result<Batch, AuditError> {
        let store = self.inner.store.as_ref();
        let last = Head::of(store)?.number();
        let mut next = after;
        let mut records = Vec::new();
        for (key, bytes) in store.scan(Table::Audit, Some(&after.record.to_be_bytes()), limit)? {
            let damaged = |_| StoreError::Damaged { place: Table::Audit.name().to_owned() };
            next.record = u64::from_be_bytes(key.as_slice().try_into().map_err(damaged)?);
            records.push(bytes);
        }
        let mut heads = Signed::heads_after(store, store.id(), after.head, limit)?;
        heads.retain(|head| head.under <= next.record);
        next.head = heads.last().map_or(after.head, |head| head.under);
        let mut heads: Vec<_> = heads.into_iter().map(|head| head.signed).collect();
        // Who begins behind what was deleted learns that it was, and by whom.
        let start = Signed::start_of(store, store.id())?;
        heads.splice(0..0, start.filter(|start| start.number > after.record));
        Ok(Batch { records, heads, next, last: last.max(next.record) })
    }

    /// The store whose audit it is.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.inner.store.id()
    }

    /// Now, by the clock that records are written by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// How far a destination has confirmed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn confirmed(&self, destination: &str) -> Result<Cursor, StoreError> {
        self.inner.confirmed(destination)
    }

    /// A destination has confirmed all up to there.
    ///
    /// # Errors
    /// [`StoreError`]; then it is forwarded again.
    pub fn confirm(&self, destination: &str, cursor: Cursor) -> Result<(), StoreError> {
        let value = serde_json::to_vec(&cursor).map_err(|why| StoreError::Io(why.to_string()))?;
        let key = destination.as_bytes().to_vec();
        self.inner.store.commit(&[Change::Put { table: Table::Cursors, key, value }])
    }
}

impl Inner {
    pub(super) fn confirmed(&self, destination: &str) -> Result<Cursor, StoreError> {
        let Some(value) = self.store.get(Table::Cursors, destination.as_bytes())? else {
            return Ok(Cursor::default());
        };
        let damaged = |_| StoreError::Damaged { place: Table::Cursors.name().to_owned() };
        serde_json::from_slice(&value).map_err(damaged)
    }

    /// The last record that every destination has confirmed; nothing behind it may be deleted.
    pub(super) fn forwarded(&self, destinations: &[String]) -> Result<u64, StoreError> {
        let mut least = u64::MAX;
        for destination in destinations {
            least = least.min(self.confirmed(destination)?.record);
        }
        Ok(least)
    }
}
