//! The store on disk since format 3: the journal is the record, sled is its index.
//!
//! Invariant: what was acknowledged is in the journal, durably, before it is indexed; whatever becomes of the index,
//! it is made anew from the journal, and until it is there nobody is enrolled or removed, while everybody enrolled is
//! served.

mod commit;
mod indexing;
mod upkeep;

#[cfg(test)]
mod damage;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod tests;

pub(super) use self::commit::Outcome;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use self::{commit::Queue, indexing::Indexing};
use super::{
    AtRest, Change, Entries, Entry, HANDOVER, KeyError, Look, Master, Opened, Opening, Room, Store,
    StoreError, Table, Ticket, Upkeep, ValueRef,
    index::Index,
    io_error,
    journal::{LiveRef, Place, Sizes},
    keys::Keys,
    layer::RealLayer,
    ledger::{Ledger, Reader},
    makes_room, migrate,
    pages::Pages,
    space::Space,
    value,
};

/// Folders and files of the store.
pub(super) const JOURNAL: &str = "journal";
const LOCK: &str = "lock";

/// A store in a folder.
pub struct DiskStore {
    core: Arc<Core>,
    /// Those who make the index, or a snapshot.
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// What its threads share.
struct Core {
    folder: PathBuf,
    space: Space,
    /// Held by who writes. Before it: `files`; after it: `indexing`.
    ledger: Mutex<Ledger>,
    pages: Arc<RwLock<Pages>>,
    queue: Mutex<Queue>,
    /// Told when a group is written.
    settled: Condvar,
    /// Those who read all of the journal.
    readers: AtomicUsize,
    indexing: RwLock<Indexing>,
    index: Index,
    /// Read while files of the journal are read, held alone by who removes some.
    files: RwLock<()>,
    /// Held while another master key is made, for seconds.
    keys: Mutex<Keys>,
    /// How values are protected: what `keys` says, without waiting for it.
    at_rest: Mutex<AtRest>,
    /// Whether the store as it was before its migration lies beside.
    snapshot: AtomicBool,
    /// Bytes of segments that make a snapshot worth while.
    worth_while: u64,
    /// A snapshot of the journal is being made.
    compacting: AtomicBool,
    /// It is being closed.
    ending: AtomicBool,
    /// Nobody else has the store open while this is.
    _lock: File,
}

/// Somebody reads all of the journal.
struct Reading<'a>(&'a Core);

impl<'a> Reading<'a> {
    fn begin(core: &'a Core) -> Self {
        core.readers.fetch_add(1, Ordering::SeqCst);
        Self(core)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a store in a folder is opened with.
pub(super) struct Options<'a> {
    pub(super) folder: &'a Path,
    pub(super) ballast: bool,
    pub(super) sizes: Sizes,
}

/// Waits for a moment while another holds the store.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let file =
        File::options().create(true).append(true).open(folder.join(LOCK)).map_err(|why| io_error(&why))?;
    let patience = Instant::now() + HANDOVER;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < patience => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(why) => return Err(io_error(&io::Error::from(why))),
        }
    }
}

fn place(options: &Options<'_>, appliance: uuid::Uuid) -> Place {
    let layer = Arc::new(RealLayer);
    Place { layer, folder: options.folder.join(JOURNAL), appliance, sizes: options.sizes }
}

impl DiskStore {
    /// Opens the store in `folder`, or makes it, and waits for a moment while another still holds it.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Locked`] when it waits for a passphrase, and [`StoreError::Newer`] also when it
    /// may not have the format of this version yet.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        match Opening::new(folder).open(&mut |_, _| {})? {
            Opened::Ready(store) => Ok(*store),
            Opened::Earlier(_) => Err(StoreError::Newer { version: super::journal::FORMAT }),
            Opened::Locked(_) => Err(StoreError::Locked),
        }
    }

    /// Opens the journal in a folder whose format is known, with its keys; or makes one when there is none.
    pub(super) fn open_in(options: &Options<'_>, keys: Keys) -> Result<Self, StoreError> {
        let folder = options.folder;
        let lock = lock(folder)?;
        let space = Space::open(folder, options.ballast).map_err(|why| io_error(&why))?;
        let domain = keys.domain();
        let place = place(options, domain.store);
        let pages = keys.pages();
        let ledger = if keys.are_new() {
            Ledger::create(place, &pages, Arc::clone(&domain))?
        } else {
            Ledger::open(place, &pages, Arc::clone(&domain), keys.earlier().as_deref())?
        };
        let (sequence, link) = ledger.position();
        let index = Index::of(folder, &domain);
        let found = index.find(sequence, &link)?;
        let core = Core {
            folder: folder.to_owned(),
            space,
            pages: ledger.shared_pages(),
            ledger: Mutex::new(ledger),
            queue: Mutex::default(),
            settled: Condvar::new(),
            readers: AtomicUsize::new(0),
            indexing: RwLock::new(Indexing::begun()),
            index,
            files: RwLock::new(()),
            at_rest: Mutex::new(keys.at_rest()),
            keys: Mutex::new(keys),
            snapshot: AtomicBool::new(migrate::snapshot(folder).exists()),
            worth_while: options.sizes.snapshot,
            compacting: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            _lock: lock,
        };
        let store = Self { core: Arc::new(core), workers: Mutex::default() };
        store.begin_index(found)?;
        store.go_on_rotating();
        Ok(store)
    }

    /// Gives up what is damaged at the end of the journal, and the index. The caller holds the lock.
    pub(super) fn repair(options: &Options<'_>, keys: &Keys) -> Result<Vec<PathBuf>, StoreError> {
        let domain = keys.domain();
        let aside =
            Ledger::repair(place(options, domain.store), &keys.pages(), &domain, keys.earlier().as_deref())?;
        Index::of(options.folder, &domain).give_up()?;
        Ok(aside)
    }

    /// Waits until the index is there, as long as somebody makes it.
    pub fn wait_until_indexed(&self) {
        while self.core.progress().is_some() && !self.core.ending.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn spawn(&self, name: &str, work: impl FnOnce(&Core) + Send + 'static) -> Result<(), StoreError> {
        let core = Arc::clone(&self.core);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&core));
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|worker| !worker.is_finished());
        workers.push(thread.map_err(|why| io_error(&why))?);
        Ok(())
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.core.ending.store(true, Ordering::SeqCst);
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("a thread of the store ended with a panic");
            }
        }
        self.core.close_index();
    }
}

impl Core {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn indexing(&self) -> RwLockReadGuard<'_, Indexing> {
        self.indexing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn indexing_mut(&self) -> RwLockWriteGuard<'_, Indexing> {
        self.indexing.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    fn unseal(&self, table: Table, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        value::open(&pages, self.store_id(), (table, key), sealed)
    }

    fn store_id(&self) -> uuid::Uuid {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).domain().store
    }

    /// Looks at what is live in some tables at this moment, on several threads, each of which has a state of its own.
    fn look_at_live<S: Default + Send>(
        &self,
        tables: &[Table],
        look: &(dyn Fn(&Reader, &mut S, LiveRef<'_>) -> Result<(), StoreError> + Sync),
    ) -> Result<(), StoreError> {
        let _reading = Reading::begin(self);
        let _files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let reader = self.ledger().reader();
        reader.look_at_all(tables, &|state, live| look(&reader, state, live))
    }

    /// Opens a value that was read from the journal; false of one that was erased meanwhile.
    fn open_live(
        &self,
        reader: &Reader,
        live: LiveRef<'_>,
        opened: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        let Err(why) = reader.open(live, opened) else { return Ok(true) };
        let key = value::key_of((live.table, live.key), live.sealed)?;
        let still = self.ledger().still_used(live.table, live.key, key);
        if still { Err(why) } else { Ok(false) }
    }

    fn remove_snapshot(&self) -> Result<(), StoreError> {
        if self.snapshot.load(Ordering::SeqCst) {
            migrate::remove_snapshot(&self.folder)?;
            self.snapshot.store(false, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Store for DiskStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        // Somebody may get another key between the two steps.
        let mut before = None;
        loop {
            let sealed = self.core.indexing().trees()?.get(table, key)?;
            let Some(sealed) = sealed else { return Ok(None) };
            match self.core.unseal(table, key, &sealed) {
                Err(_) if before.as_ref() != Some(&sealed) => before = Some(sealed),
                done => return done.map(Some),
            }
        }
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Entries, StoreError> {
        let keys: Vec<Entry> = {
            let indexing = self.core.indexing();
            let entries = indexing.trees()?.scan(table, after)?.take(limit);
            entries.collect::<Result<_, _>>()?
        };
        let mut entries = Entries::with_capacity(keys.len());
        for (key, sealed) in keys {
            match self.core.unseal(table, &key, &sealed) {
                Ok(value) => entries.push((key, value)),
                Err(_) => entries.extend(self.get(table, &key)?.map(|value| (key, value))),
            }
        }
        Ok(entries)
    }

    fn last(&self, table: Table) -> Result<Option<Entry>, StoreError> {
        if table == Table::Audit {
            let ledger = self.core.ledger();
            if !ledger.audit_was_cut() {
                return ledger.last_audit();
            }
        }
        let Some((key, _)) = self.core.indexing().trees()?.last(table)? else { return Ok(None) };
        Ok(self.get(table, &key)?.map(|value| (key, value)))
    }

    fn look_at_all(&self, tables: &[Table], look: &Look<'_>) -> Result<(), StoreError> {
        self.core.look_at_live(tables, &|reader, opened: &mut Vec<u8>, live| {
            let LiveRef { table, key, .. } = live;
            if self.core.open_live(reader, live, opened)? {
                return look(ValueRef { table, key, value: opened });
            }
            self.get(table, key)?.map_or(Ok(()), |value| look(ValueRef { table, key, value: &value }))
        })
    }

    fn room(&self) -> Result<(Room, Option<u64>), StoreError> {
        let fails = |why: io::Error| io_error(&why);
        Ok((self.core.space.room().map_err(fails)?, Some(self.core.space.free().map_err(fails)?)))
    }

    fn epoch(&self) -> u64 {
        self.core.epoch()
    }

    fn submit(&self, changes: Vec<Change>, epoch: u64) -> Result<Ticket, StoreError> {
        if self.room()?.0 == Room::Nothing && !makes_room(&changes) {
            return Err(StoreError::Full);
        }
        self.core.submit(changes, epoch)
    }

    fn wait(&self, ticket: &Ticket) -> Result<(), StoreError> {
        let done = self.core.wait(ticket);
        self.look_after(&done);
        done
    }

    fn await_writer(&self) {
        drop(self.core.ledger());
    }

    fn id(&self) -> uuid::Uuid {
        self.core.store_id()
    }

    fn at_rest(&self) -> AtRest {
        *self.core.at_rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_master(&self, current: Option<&str>, master: &Master) -> Result<(), KeyError> {
        let mut keys = self.core.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.change(current, master)?;
        *self.core.at_rest.lock().unwrap_or_else(PoisonError::into_inner) = keys.at_rest();
        drop(keys);
        if master.hides_the_key() {
            self.core.remove_snapshot()?;
        }
        Ok(())
    }

    fn snapshot(&self) -> bool {
        self.core.snapshot.load(Ordering::SeqCst)
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.core.progress()
    }

    fn upkeep(&self) -> Option<&dyn Upkeep> {
        Some(self)
    }
}
