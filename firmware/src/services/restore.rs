//! A backup restored into an empty box.
//!
//! The file is read twice: once to see that all of it is whole and can be used, and once to store it. In between, and
//! before anything of a person, who was erased since is written down. While it is stored nobody is listed, enrolled or
//! removed, and nobody matches; a fact of the store says that it is going on, so that a box which lost power in the
//! middle clears what it has of it at its next start.
//!
//! Invariant: a box has all of a backup or nothing of it; nobody on the list of erasures comes back; and nobody matches
//! before what restricts and locks him is in force.

use std::{
    io::{Read, Seek},
    sync::{Arc, PoisonError},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tracing::{error, info};
use uuid::Uuid;

use super::{Inner, Services, is_enrolled, lockout, policy, this_box};
use crate::{
    audit::Event,
    backup::{BackupError, Contents, Erasures, Item, Reader, archived, look},
    clock::Timestamp,
    gallery,
    request::Caller,
    store::{Change, StoreError, Table, Tell, Value},
};

/// Under this key of [`Table::About`] lies what is being restored.
const RESTORING: &[u8] = b"restoring";
/// Values of one change, and about how many bytes.
const TOGETHER: usize = 500;
const AT_A_TIME: usize = 1 << 20;
/// Bytes that the store takes for each byte of a backup, with its index and keys, at most.
const GROWTH: u64 = 4;
/// How long to wait before half a backup is cleared away again.
const AGAIN: Duration = Duration::from_secs(5);
/// People who are cleared away in one change.
const CLEARED: usize = 200;

/// How a backup is to be restored.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Who was erased since it was taken; needed unless somebody says that it is not.
    pub erasures: Option<Erasures>,
    /// Go on without such a list.
    pub without_erasures: bool,
    /// Though it expired.
    pub even_expired: bool,
}

/// What was, or would be, restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The store that the backup is of.
    pub store: Uuid,
    /// When it was taken.
    pub taken: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// People.
    pub people: u64,
    /// Fingers.
    pub fingers: u64,
    /// Erasures that are known now.
    pub erasures: u64,
    /// Records of another box's audit, which are kept apart from this one's.
    pub audit: u64,
    /// Clients of another box: they hold certificates of another authority, and are to be added anew.
    pub clients: Vec<String>,
}

/// What is being restored, as the store keeps it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    store: Uuid,
    /// Tables that it fills, which held nothing before: by their names.
    fill: Vec<String>,
}

/// Tables that a backup fills. Of the archive and of the signed heads, what is of the store that the backup is of.
const FILLED: [Table; 8] = [
    Table::Fingers,
    Table::Subjects,
    Table::Factors,
    Table::Probes,
    Table::Counters,
    Table::Cookies,
    Table::Archive,
    Table::Heads,
];

impl Services {
    /// Reads a whole backup and says what a restore would do. The box need not be empty.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn check_backup(
        &self,
        file: &mut (impl Read + Seek),
        passphrase: &str,
        options: &RestoreOptions,
        tell: Tell<'_>,
    ) -> Result<RestoreReport, BackupError> {
        let (contents, erased) = self.look(file, passphrase, options, &|done, all| tell(done, all))?;
        Ok(report(&contents, &erased, self.inner.store.id()))
    }

    /// Restores a backup.
    ///
    /// # Errors
    /// [`BackupError`]; then nothing of it is there.
    pub fn restore(
        &self,
        by: &Caller,
        file: &mut (impl Read + Seek),
        passphrase: &str,
        options: &RestoreOptions,
        tell: Tell<'_>,
    ) -> Result<RestoreReport, BackupError> {
        let inner = &self.inner;
        inner.people_may_change()?;
        if inner.store.is_earlier() {
            return Err(BackupError::OnTrial);
        }
        inner.check_empty()?;
        // Half of the way is to look.
        let (contents, erased) = self.look(file, passphrase, options, &|done, all| tell(done, all * 2))?;
        if let (_, Some(free)) = inner.store.room()?
            && free < contents.manifest.bytes.saturating_mul(GROWTH)
        {
            return Err(StoreError::Full.into());
        }
        let _people = inner.people();
        inner.check_empty()?;
        let rebuilding = Rebuilding::begin(inner)?;
        // None begins from here on.
        if inner.tasks.running().is_some() {
            return Err(BackupError::Upkeep);
        }
        let done = self.apply(by, (file, passphrase), options, &contents, &erased, &|done, all| {
            rebuilding.tell(done, all);
            tell(all + done, all * 2);
        });
        if let Err(why) = done {
            inner.forget_factors_of_all();
            // What is there of it goes, behind: the store may have to get its index first.
            rebuilding.stays();
            Inner::clear_behind(inner, contents.header.store)?;
            return Err(why);
        }
        let report = report(&contents, &erased, inner.store.id());
        info!(people = report.people, fingers = report.fingers, "a backup is restored");
        Ok(report)
    }

    fn look(
        &self,
        file: &mut (impl Read + Seek),
        passphrase: &str,
        options: &RestoreOptions,
        tell: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(Contents, Erasures), BackupError> {
        if options.erasures.is_none() && !options.without_erasures {
            return Err(BackupError::NoErasures);
        }
        let length = rewind(file)?;
        let reader = Reader::new(std::io::BufReader::new(&mut *file), passphrase)?;
        let contents = look(reader, &|read| tell(read, length))?;
        if let Some(list) = &options.erasures
            && !list.follows(contents.header.store, contents.audit)
        {
            return Err(BackupError::OtherErasures);
        }
        if self.inner.clock.now() > contents.header.expires && !options.even_expired {
            return Err(BackupError::Expired { at: contents.header.expires });
        }
        let mut erased = self.inner.erasures()?;
        erased.merge(contents.erasures.clone());
        if let Some(list) = &options.erasures {
            erased.merge(list.clone());
        }
        Ok((contents, erased))
    }

    fn apply(
        &self,
        by: &Caller,
        (file, passphrase): (&mut (impl Read + Seek), &str),
        options: &RestoreOptions,
        contents: &Contents,
        erased: &Erasures,
        tell: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), BackupError> {
        let inner = &self.inner;
        let store = contents.header.store;
        let marker = Marker { store, fill: inner.empty_tables(store)? };
        let marker = serde_json::to_vec(&marker).map_err(|why| StoreError::Io(why.to_string()))?;
        let begun = Change::Put { table: Table::About, key: RESTORING.to_vec(), value: marker };
        let taken = contents.header.taken;
        let without_erasures = options.erasures.is_none();
        let expired = inner.clock.now() > contents.header.expires;
        let event = Event::RestoreBegun { store, taken, without_erasures, expired };
        Inner::commit(inner, by, &[begun], &event)?;
        let mut batch = Batch::new(inner);
        for change in erased.changes() {
            batch.add(change)?;
        }
        let length = rewind(file)?;
        let mut reader = Reader::new(std::io::BufReader::new(&mut *file), passphrase)?;
        let mut policy = Vec::new();
        while let Item::Value(value) = reader.item()? {
            let Some(value) = contents.restored(value, erased)? else { continue };
            match placed(value, store, inner.store.id()) {
                Some(change) if change.table() == Table::Policy => policy.push(change),
                Some(change) => batch.add(change)?,
                None => {}
            }
            tell(reader.position(), length);
        }
        batch.give()?;
        let filled = gallery::fill(None, |look| inner.store.look_at_all(&[Table::Fingers], look))?;
        // All that a decision rests on is there before anybody can match, and all that may fail before it is the end.
        let restrictions = inner.restrictions_with(&policy)?;
        inner.read_factors()?;
        inner.read_lockouts(|id| is_enrolled(&filled, id))?;
        let (people, fingers) = contents.counts(erased);
        let mut last = policy;
        last.push(Change::Delete { table: Table::About, key: RESTORING.to_vec() });
        let event = Event::BackupRestored { store, taken, people, fingers, erasures: erased.len() as u64 };
        Inner::commit(inner, by, &last, &event)?;
        inner.use_restrictions(restrictions);
        inner.directories.forget();
        inner.gallery.change(|gallery| *gallery = filled);
        lockout::keep_waits(inner);
        gallery::warm_up(&inner.gallery);
        Ok(())
    }
}

fn rewind(file: &mut impl Seek) -> Result<u64, BackupError> {
    let fails = |why: std::io::Error| BackupError::Io(why.to_string());
    let length = file.seek(std::io::SeekFrom::End(0)).map_err(fails)?;
    file.rewind().map_err(fails)?;
    Ok(length)
}

/// What a backup brings to the store `here`, which may be the one that it is of: then its audit and clients are there.
fn report(contents: &Contents, erased: &Erasures, here: Uuid) -> RestoreReport {
    let other = contents.header.store != here;
    let audit = contents.manifest.values.get(Table::Audit.name()).copied();
    let (people, fingers) = contents.counts(erased);
    RestoreReport {
        store: contents.header.store,
        taken: contents.header.taken,
        expires: contents.header.expires,
        people,
        fingers,
        erasures: erased.len() as u64,
        audit: audit.filter(|_| other).unwrap_or_default(),
        clients: if other { contents.clients.clone() } else { Vec::new() },
    }
}

/// What the keys of a store begin with in a table.
fn prefix(table: Table, store: &Uuid) -> &[u8] {
    if matches!(table, Table::Archive | Table::Heads) { store.as_bytes() } else { &[] }
}

/// Where a value of a backup goes, if anywhere.
fn placed(value: Value, of: Uuid, here: Uuid) -> Option<Change> {
    let Value { table, key, value } = value;
    let put = |table, key| Some(Change::Put { table, key, value });
    match table {
        _ if policy::is_configured(table, &key) => None,
        // It is there still.
        Table::Audit if of == here => None,
        Table::Audit => put(Table::Archive, archived(of, &key)),
        // This box's own are there still, and nobody else has any of its.
        Table::Heads if key.starts_with(here.as_bytes()) => None,
        Table::Subjects
        | Table::Fingers
        | Table::Factors
        | Table::Probes
        | Table::Policy
        | Table::Counters
        | Table::Cookies
        | Table::Archive
        | Table::Heads => put(table, key),
        // Erasures were written already; the certificates are of another authority, which this box does not trust.
        _ => None,
    }
}

/// Changes that are committed some at a time.
struct Batch<'a> {
    inner: &'a Inner,
    changes: Vec<Change>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn new(inner: &'a Inner) -> Self {
        Self { inner, changes: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, change: Change) -> Result<(), StoreError> {
        if let Change::Put { key, value, .. } = &change {
            self.bytes += key.len() + value.len();
        }
        self.changes.push(change);
        if self.changes.len() >= TOGETHER || self.bytes >= AT_A_TIME { self.give() } else { Ok(()) }
    }

    fn give(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() { Ok(()) } else { self.inner.store.commit(&changes) }
    }
}

/// While it is there, people are being put back or cleared away.
pub(super) struct Rebuilding<'a> {
    inner: &'a Inner,
    ends: bool,
}

impl<'a> Rebuilding<'a> {
    pub(super) fn begin(inner: &'a Inner) -> Result<Self, BackupError> {
        let mut now = inner.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_some() {
            return Err(BackupError::Busy);
        }
        *now = Some((0, 1));
        drop(now);
        Ok(Self { inner, ends: true })
    }

    fn tell(&self, done: u64, all: u64) {
        self.inner.set_rebuilding(Some((done, all)));
    }

    /// What is there in part stays so.
    fn stays(mut self) {
        self.ends = false;
    }
}

impl Drop for Rebuilding<'_> {
    fn drop(&mut self) {
        if self.ends {
            self.inner.set_rebuilding(None);
        }
    }
}

impl Inner {
    fn set_rebuilding(&self, to: Option<(u64, u64)>) {
        *self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// How far it is while people are put back or cleared away.
    pub(super) fn rebuilding(&self) -> Option<(u64, u64)> {
        *self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses while people are there in part.
    pub(crate) fn people_may_change(&self) -> Result<(), StoreError> {
        self.rebuilding().map_or(Ok(()), |(done, all)| Err(StoreError::Degraded { done, all }))
    }

    fn check_empty(&self) -> Result<(), BackupError> {
        for table in [Table::Subjects, Table::Fingers] {
            if !self.store.scan(table, None, 1)?.is_empty() {
                return Err(BackupError::NotEmpty);
            }
        }
        Ok(())
    }

    /// Those of the tables that a backup of a store fills which hold nothing of it.
    fn empty_tables(&self, store: Uuid) -> Result<Vec<String>, StoreError> {
        let mut empty = Vec::new();
        for table in FILLED {
            let prefix = prefix(table, &store);
            let first = self.store.scan(table, Some(prefix).filter(|prefix| !prefix.is_empty()), 1)?.pop();
            if !first.is_some_and(|(key, _)| key.starts_with(prefix)) {
                empty.push(table.name().to_owned());
            }
        }
        Ok(empty)
    }

    /// Takes away what is there of a backup, and then the fact that it was being restored; nothing is done when it was
    /// not yet.
    fn clear(&self, store: Uuid, tell: &dyn Fn(u64)) -> Result<(), BackupError> {
        let mut done = 0;
        let Some(marker) = self.store.get(Table::About, RESTORING)? else { return Ok(()) };
        let fill = serde_json::from_slice(&marker).map_or_else(|_| Vec::new(), |marker: Marker| marker.fill);
        for table in FILLED.into_iter().filter(|table| fill.iter().any(|name| name == table.name())) {
            let prefix = prefix(table, &store);
            loop {
                let after = Some(prefix).filter(|prefix| !prefix.is_empty());
                let page = self.store.scan(table, after, CLEARED)?;
                let keys = page.into_iter().map(|(key, _)| key).take_while(|key| key.starts_with(prefix));
                let gone: Vec<_> = keys.map(|key| Change::Delete { table, key }).collect();
                if gone.is_empty() {
                    break;
                }
                done += gone.len() as u64;
                self.store.commit(&gone)?;
                tell(done);
            }
        }
        let over = Change::Delete { table: Table::About, key: RESTORING.to_vec() };
        self.commit(&this_box(), &[over], &Event::RestoreUndone { store })?;
        Ok(())
    }

    /// Which store's backup was being restored, of a fact of the store.
    pub(super) fn was_restoring(value: &Value) -> Option<Uuid> {
        let marker = (value.table, value.key.as_slice()) == (Table::About, RESTORING);
        marker
            .then(|| serde_json::from_slice(&value.value).map_or(Uuid::nil(), |marker: Marker| marker.store))
    }

    /// Clears away half a backup behind, as soon as the store can be changed.
    pub(super) fn clear_behind(self: &Arc<Self>, store: Uuid) -> Result<(), StoreError> {
        self.set_rebuilding(Some((0, 1)));
        let weak = Arc::downgrade(self);
        let work = move || loop {
            // Nobody waits for this thread: it does not keep the services.
            let inner = loop {
                let Some(inner) = weak.upgrade() else { return };
                if inner.store.progress().is_none() {
                    break inner;
                }
                drop(inner);
                thread::sleep(Duration::from_millis(20));
            };
            info!("a backup was not restored to its end: what is there of it is cleared away");
            match inner.clear(store, &|done| inner.set_rebuilding(Some((done, done + 1)))) {
                Ok(()) => return inner.set_rebuilding(None),
                Err(why) => error!(%why, "half a restored backup is not cleared away yet; it is tried again"),
            }
            drop(inner);
            thread::sleep(AGAIN);
        };
        let thread = thread::Builder::new().name("clearing".to_owned()).spawn(work);
        thread.map(drop).map_err(|why| StoreError::Io(why.to_string()))
    }
}

#[cfg(test)]
mod tests;
