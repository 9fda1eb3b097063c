//! A store of one of the formats before there was a journal: sled alone, values framed (`record`) or sealed with the
//! domain key (`sealed`). It is read and written while the version before may still be needed, and migrated then.
//!
//! One writer at a time: flushes of one commit cannot be taken for another's.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use uuid::Uuid;

use super::{
    AtRest, Change, Entries, Entry, Files, KeyError, Look, Master, Room, Store, StoreError, Table, Ticket,
    Trees, ValueRef, erases, io_error, keys::Keys, ledger::Applied, makes_room, migrate, record,
    sealed::DomainKey, space::Space,
};

/// Values that are read at a time.
const PAGE: usize = 4096;

/// A store in a folder.
pub(super) struct EarlierStore {
    trees: Trees,
    folder: PathBuf,
    writer: Mutex<Files>,
    space: Space,
    /// What values are sealed with; without it they are in clear.
    domain: Option<Arc<DomainKey>>,
    /// Held while another master key is made, for seconds.
    keys: Mutex<Option<Keys>>,
    /// How values are protected: what [`Self::keys`] says, without waiting for it.
    at_rest: Mutex<AtRest>,
    /// Whether the store as it was before its migration lies beside.
    snapshot: AtomicBool,
}

impl EarlierStore {
    /// Opens the file in a folder whose format is known, with the keys that it asks for.
    pub(super) fn open_in(folder: &Path, ballast: bool, keys: Option<Keys>) -> Result<Self, StoreError> {
        let fails = |why: io::Error| io_error(&why);
        let space = Space::open(folder, ballast).map_err(fails)?;
        let trees = Trees::open(folder)?;
        let files = Trees::files(folder)?;
        let store = Self {
            trees,
            folder: folder.to_owned(),
            writer: Mutex::new(files),
            space,
            domain: keys.as_ref().map(Keys::domain),
            at_rest: Mutex::new(keys.as_ref().map_or(AtRest::NotEncrypted, Keys::at_rest)),
            keys: Mutex::new(keys),
            snapshot: AtomicBool::new(migrate::snapshot(folder).exists()),
        };
        store.trees.make_durable(&mut store.files())?;
        Ok(store)
    }

    /// Opens what is to be migrated; it is read only.
    pub(super) fn open_to_read(folder: &Path, domain: Option<Arc<DomainKey>>) -> Result<Self, StoreError> {
        let mut store = Self::open_in(folder, false, None)?;
        store.domain = domain;
        Ok(store)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store as it was before its migration lies beside.
    fn has_snapshot(&self) -> bool {
        self.snapshot.load(Ordering::SeqCst)
    }

    /// How many values there are.
    pub(super) fn values(&self) -> u64 {
        self.trees.values()
    }

    /// Removes the snapshot, if there is one; whoever calls is the one writer.
    fn remove_snapshot(&self, _: &Files) -> Result<(), StoreError> {
        if self.has_snapshot() {
            migrate::remove_snapshot(&self.folder)?;
            self.snapshot.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    fn seal(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        match &self.domain {
            Some(domain) => domain.seal(table, key, value),
            None => Ok(record::seal(table, key, value)),
        }
    }

    fn unseal(&self, table: Table, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        match &self.domain {
            Some(domain) => domain.open(table, key, sealed),
            None => record::open(table, key, sealed),
        }
    }
}

impl Store for EarlierStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.trees.get(table, key)?;
        sealed.map(|sealed| self.unseal(table, key, &sealed)).transpose()
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Entries, StoreError> {
        let entries = self.trees.scan(table, after)?.take(limit);
        entries
            .map(|entry| {
                let (key, sealed) = entry?;
                let value = self.unseal(table, &key, &sealed)?;
                Ok((key, value))
            })
            .collect()
    }

    fn last(&self, table: Table) -> Result<Option<Entry>, StoreError> {
        let Some((key, sealed)) = self.trees.last(table)? else { return Ok(None) };
        let value = self.unseal(table, &key, &sealed)?;
        Ok(Some((key, value)))
    }

    fn room(&self) -> Result<(Room, Option<u64>), StoreError> {
        let fails = |why: io::Error| io_error(&why);
        Ok((self.space.room().map_err(fails)?, Some(self.space.free().map_err(fails)?)))
    }

    fn look_at_all(&self, tables: &[Table], look: &Look<'_>) -> Result<(), StoreError> {
        for table in tables {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let entries = self.scan(*table, after.as_deref(), PAGE)?;
                let Some((last, _)) = entries.last() else { break };
                after = Some(last.clone());
                for (key, value) in &entries {
                    look(ValueRef { table: *table, key, value })?;
                }
            }
        }
        Ok(())
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn submit(&self, changes: Vec<Change>, _: u64) -> Result<Ticket, StoreError> {
        if self.room()?.0 == Room::Nothing && !makes_room(&changes) {
            return Err(StoreError::Full);
        }
        let mut sealed = Vec::with_capacity(changes.len());
        for change in &changes {
            sealed.push(match change {
                Change::Put { table, key, value } => {
                    Applied::Put(*table, key.clone(), self.seal(*table, key, value)?)
                }
                Change::Delete { table, key } => Applied::Delete(*table, key.clone()),
            });
        }
        let mut files = self.files();
        if changes.iter().any(erases) {
            self.remove_snapshot(&files)?;
        }
        self.trees.apply(&sealed)?;
        self.trees.make_durable(&mut files)?;
        Ok(Ticket::done())
    }

    fn wait(&self, _: &Ticket) -> Result<(), StoreError> {
        Ok(())
    }

    fn is_earlier(&self) -> bool {
        true
    }

    fn id(&self) -> Uuid {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.as_ref().map_or(Uuid::nil(), |keys| keys.domain().store)
    }

    fn at_rest(&self) -> AtRest {
        *self.at_rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_master(&self, current: Option<&str>, master: &Master) -> Result<(), KeyError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys.as_mut().ok_or(KeyError::NotEncrypted)?;
        keys.change(current, master)?;
        *self.at_rest.lock().unwrap_or_else(PoisonError::into_inner) = keys.at_rest();
        if matches!(master, Master::Passphrase(_)) {
            self.remove_snapshot(&self.files())?;
        }
        Ok(())
    }

    fn snapshot(&self) -> bool {
        self.has_snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl EarlierStore {
        /// Changes a bit of a value behind the store's back.
        pub(in crate::store) fn damage(&self, table: Table, key: &[u8]) {
            let mut sealed = self.trees.get(table, key).unwrap().unwrap();
            *sealed.last_mut().unwrap() ^= 1;
            self.trees.apply(&[Applied::Put(table, key.to_vec(), sealed)]).unwrap();
        }
    }

    #[test]
    fn a_value_damaged_inside_sled_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = EarlierStore::open_in(folder.path(), false, None).unwrap();
        let put = Change::Put { table: Table::Fingers, key: vec![7], value: b"template".to_vec() };
        store.commit(&[put]).unwrap();
        store.damage(Table::Fingers, &[7]);
        let why = store.get(Table::Fingers, &[7]).unwrap_err();
        assert_eq!(why, StoreError::Damaged { place: "fingers/07".to_owned() });
        assert!(store.scan(Table::Fingers, None, 10).is_err());
    }
}
