//! The store on disk: sled 0.34.7, and what it needs around it to be trusted.
//!
//! - Its `flush()` is `sync_file_range`, not fsync, so every commit ends with an fdatasync of our own
//!   descriptor of its file, and one of the folder when the file grew.
//! - One writer at a time: flushes of one commit cannot be taken for another's.
//! - Every value is sealed (`sealed`; in stores of format 1 framed, `record`), since sled gives damaged ones back
//!   as they are.
//! - The cache is bounded: its default is 1 GiB.

use std::{
    fs::File,
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};

use super::{
    AtRest, Change, Entries, Entry, KeyError, Master, Opened, Opening, Room, Store, StoreError, Table,
    io_error, keys::Keys, makes_room, migrate, record, sealed::DomainKey, space::Space,
};

/// Bytes of pages that sled keeps in memory. The search never reads sled, so little helps.
const CACHE: u64 = 64 << 20;

/// How long a folder's last holder may take to let go of it. sled's threads release its lock a little
/// after the store is dropped, and a daemon that is restarted meets its predecessor.
const HANDOVER: Duration = Duration::from_secs(3);

/// A store in a folder.
pub struct SledStore {
    trees: [sled::Tree; Table::ALL.len()],
    db: sled::Db,
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

/// Our own descriptors, for fsync.
struct Files {
    data: File,
    folder: File,
    length: u64,
}

/// A change as it lies on the disk.
enum Sealed<'a> {
    Put(&'a [u8], Vec<u8>),
    Delete(&'a [u8]),
}

impl SledStore {
    /// Opens the store in `folder`, or makes it, and waits for a moment while another still holds it.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Locked`] when it waits for a passphrase.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        match Opening::new(folder).open(&mut |_, _| {})? {
            Opened::Ready(store) => Ok(*store),
            Opened::Locked(_) => Err(StoreError::Locked),
        }
    }

    /// Opens the file in a folder whose format is known, with the keys that it asks for.
    pub(super) fn open_in(folder: &Path, ballast: bool, keys: Option<Keys>) -> Result<Self, StoreError> {
        let fails = |why: io::Error| io_error(&why);
        let space = Space::open(folder, ballast).map_err(fails)?;
        let patience = Instant::now() + HANDOVER;
        let db = loop {
            let opened = sled::Config::default().path(folder).cache_capacity(CACHE).open().map_err(from_sled);
            match opened {
                Err(StoreError::InUse) if Instant::now() < patience => {
                    thread::sleep(Duration::from_millis(5));
                }
                opened => break opened?,
            }
        };
        let [subjects, fingers, audit] =
            Table::ALL.map(|table| db.open_tree(table.name()).map_err(from_sled));
        let trees = [subjects?, fingers?, audit?];
        let data = File::open(folder.join("db")).map_err(fails)?;
        // sled writes it once and never makes it durable: power that goes soon after leaves it empty.
        File::open(folder.join("conf")).and_then(|file| file.sync_all()).map_err(fails)?;
        let length = data.metadata().map_err(fails)?.len();
        let files = Files { data, folder: File::open(folder).map_err(fails)?, length };
        let store = Self {
            trees,
            db,
            folder: folder.to_owned(),
            writer: Mutex::new(files),
            space,
            domain: keys.as_ref().map(Keys::domain),
            at_rest: Mutex::new(keys.as_ref().map_or(AtRest::NotEncrypted, Keys::at_rest)),
            keys: Mutex::new(keys),
            snapshot: AtomicBool::new(migrate::snapshot(folder).exists()),
        };
        store.make_durable(&mut store.files())?;
        Ok(store)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store as it was before its migration lies beside, in clear.
    #[must_use]
    pub fn has_snapshot(&self) -> bool {
        self.snapshot.load(Ordering::SeqCst)
    }

    /// How many values there are.
    pub(super) fn values(&self) -> u64 {
        self.trees.iter().map(|tree| tree.len() as u64).sum()
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

    fn tree(&self, table: Table) -> &sled::Tree {
        let [subjects, fingers, audit] = &self.trees;
        match table {
            Table::Subjects => subjects,
            Table::Fingers => fingers,
            Table::Audit => audit,
        }
    }

    fn make_durable(&self, files: &mut Files) -> Result<(), StoreError> {
        self.db.flush().map_err(from_sled)?;
        let fails = |why: io::Error| io_error(&why);
        files.data.sync_data().map_err(fails)?;
        let length = files.data.metadata().map_err(fails)?.len();
        if length != files.length {
            files.folder.sync_all().map_err(fails)?;
            files.length = length;
        }
        Ok(())
    }
}

impl Store for SledStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.tree(table).get(key).map_err(from_sled)?;
        sealed.map(|sealed| self.unseal(table, key, &sealed)).transpose()
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Entries, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tree(table)
            .range::<&[u8], _>((from, Bound::Unbounded))
            .take(limit)
            .map(|entry| {
                let (key, sealed) = entry.map_err(from_sled)?;
                let value = self.unseal(table, &key, &sealed)?;
                Ok((key.to_vec(), value))
            })
            .collect()
    }

    fn last(&self, table: Table) -> Result<Option<Entry>, StoreError> {
        let Some((key, sealed)) = self.tree(table).last().map_err(from_sled)? else { return Ok(None) };
        let value = self.unseal(table, &key, &sealed)?;
        Ok(Some((key.to_vec(), value)))
    }

    fn room(&self) -> Result<(Room, Option<u64>), StoreError> {
        let fails = |why: io::Error| io_error(&why);
        Ok((self.space.room().map_err(fails)?, Some(self.space.free().map_err(fails)?)))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        if self.room()?.0 == Room::Nothing && !makes_room(changes) {
            return Err(StoreError::Full);
        }
        let mut sealed = Vec::with_capacity(changes.len());
        for change in changes {
            sealed.push(match change {
                Change::Put { table, key, value } => {
                    (*table, Sealed::Put(key, self.seal(*table, key, value)?))
                }
                Change::Delete { table, key } => (*table, Sealed::Delete(key)),
            });
        }
        let mut files = self.files();
        if changes.iter().any(erases) {
            self.remove_snapshot(&files)?;
        }
        self.trees
            .as_slice()
            .transaction(|trees| {
                for (table, change) in &sealed {
                    let at = Table::ALL.iter().position(|t| t == table);
                    let Some(tree) = at.and_then(|at| trees.get(at)) else {
                        return Err(ConflictableTransactionError::Abort(()));
                    };
                    match change {
                        Sealed::Put(key, value) => tree.insert(*key, value.as_slice())?,
                        Sealed::Delete(key) => tree.remove(*key)?,
                    };
                }
                Ok(())
            })
            .map_err(|why| match why {
                TransactionError::Storage(why) => from_sled(why),
                TransactionError::Abort(()) => StoreError::Io("a table is missing".to_owned()),
            })?;
        self.make_durable(&mut files)
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

/// Whether a change takes away what is known of a person: then no copy of it may stay.
fn erases(change: &Change) -> bool {
    matches!(change, Change::Delete { table: Table::Subjects | Table::Fingers, .. })
}

fn from_sled(why: sled::Error) -> StoreError {
    match why {
        sled::Error::Io(why) => io_error(&why),
        sled::Error::Corruption { .. } => StoreError::Damaged { place: "sled's file".to_owned() },
        other => StoreError::Io(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl SledStore {
        /// Changes a bit of a value behind the store's back.
        pub(in crate::store) fn damage(&self, table: Table, key: &[u8]) {
            let tree = self.tree(table);
            let mut sealed = tree.get(key).unwrap().unwrap().to_vec();
            *sealed.last_mut().unwrap() ^= 1;
            tree.insert(key, sealed).unwrap();
        }
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let put =
            |value: &[u8]| Change::Put { table: Table::Subjects, key: b"k".to_vec(), value: value.to_vec() };
        SledStore::open(folder.path()).unwrap().commit(&[put(b"one")]).unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        assert_eq!(store.get(Table::Subjects, b"k").unwrap().as_deref(), Some(b"one".as_slice()));
    }

    #[test]
    fn a_store_of_a_later_version_is_refused_and_keeps_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        drop(SledStore::open(folder.path()).unwrap());
        std::fs::write(folder.path().join("format"), "authenteon-store 3\n").unwrap();
        let bytes = || {
            let mut files: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file())
                .map(|path| (path.clone(), std::fs::read(path).unwrap()))
                .collect();
            files.sort();
            files
        };
        let before = bytes();
        let why = Opening::new(folder.path()).with_ballast(true).open(&mut |_, _| {}).err().unwrap();
        assert_eq!(why, StoreError::Newer { version: 3 });
        assert!(before.len() > 2 && bytes() == before);
    }

    #[test]
    fn a_second_opener_is_told_that_the_store_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let _first = SledStore::open(folder.path()).unwrap();
        assert!(matches!(SledStore::open(folder.path()), Err(StoreError::InUse)));
    }

    #[test]
    fn a_value_damaged_inside_sled_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        let put = Change::Put { table: Table::Fingers, key: vec![7], value: b"template".to_vec() };
        store.commit(&[put]).unwrap();
        store.damage(Table::Fingers, &[7]);
        let why = store.get(Table::Fingers, &[7]).unwrap_err();
        assert_eq!(why, StoreError::Damaged { place: "fingers/07".to_owned() });
        assert!(store.scan(Table::Fingers, None, 10).is_err());
    }
}
