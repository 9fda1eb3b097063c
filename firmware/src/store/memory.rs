//! The model: what a store does, in the simplest way. The oracle of the property tests.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, PoisonError},
};

use super::{Change, Entries, Entry, Store, StoreError, Table};

/// Values by table and key.
type Everything = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A store that forgets when it is dropped.
#[derive(Default)]
pub struct MemoryStore {
    entries: Mutex<Everything>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Entries, StoreError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let from = match after {
            Some(key) => Bound::Excluded((table, key.to_vec())),
            None => Bound::Included((table, Vec::new())),
        };
        let of_table = entries.range((from, Bound::Unbounded)).take_while(|((t, _), _)| *t == table);
        Ok(of_table.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn last(&self, table: Table) -> Result<Option<Entry>, StoreError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_table = entries.iter().rev().filter(|((t, _), _)| *t == table);
        Ok(of_table.next().map(|((_, key), value)| (key.clone(), value.clone())))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put { table, key, value } => entries.insert((*table, key.clone()), value.clone()),
                Change::Delete { table, key } => entries.remove(&(*table, key.clone())),
            };
        }
        Ok(())
    }
}
