//! The ledger: the journal with the keys that its values are sealed with.
//!
//! Invariant: a person's values are sealed with a key that is nobody else's. When something is taken away of a
//! person, what remains gets another key in the same change, and the one before is destroyed before the change is
//! acknowledged, or at the next start.

mod erased;
mod owners;
mod staging;

pub(super) use self::staging::{Given, Staged};

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    StoreError, Table,
    journal::{
        ChainKey, Chains, Extent, KeyRef, Live, LiveRef, Place, Recovered, SnapshotFiles, Source, Tail,
        Writer, give_up_behind_damage, recover, take_snapshot,
    },
    pages::Pages,
    sealed::DomainKey,
    value::{self, Owner},
};

/// A change as it is applied to what is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Put(Table, Vec<u8>, Vec<u8>),
    Delete(Table, Vec<u8>),
}

/// The journal and the keys.
pub(super) struct Ledger {
    writer: Writer,
    place: Place,
    chains: Chains,
    pages: Arc<RwLock<Pages>>,
    owners: HashMap<Owner, KeyRef>,
    /// Of what is no person's.
    own_key: KeyRef,
    /// The last record of the audit, sealed, under its key.
    last_audit: Option<super::Entry>,
    /// The last one was taken away since the start: who wants to know which is the last now asks the index.
    audit_cut: bool,
    domain: Arc<DomainKey>,
    /// Keys that are still to be destroyed: the disk did not let us.
    owed: Vec<KeyRef>,
    /// What the segments were found to say at the start, and what was on the disk then: good for one who reads all while
    /// that is so, as the services do first.
    found: Mutex<Option<(Extent, Arc<Tail>)>>,
}

/// Reads what is live, beside who writes.
#[derive(Clone)]
pub(super) struct Reader {
    place: Place,
    chains: Chains,
    pages: Arc<RwLock<Pages>>,
    domain: Arc<DomainKey>,
    extent: Extent,
    /// What the segments say, where that is known already.
    tail: Option<Arc<Tail>>,
}

impl Ledger {
    /// That of a new store.
    pub(super) fn create(
        place: Place,
        keys: &std::path::Path,
        domain: Arc<DomainKey>,
    ) -> Result<Self, StoreError> {
        let chain = Arc::new(ChainKey::of(domain.key.bytes()));
        let pages = Pages::create(Arc::clone(&place.layer), keys, Arc::clone(&domain))?;
        let fails = |why: std::io::Error| super::io_error(&why);
        place.layer.remove_folder(&place.folder).map_err(fails)?;
        let own_key = pages.for_the_box();
        let writer = Writer::create(place.clone(), Arc::clone(&chain))?;
        place.layer.sync_folder(&super::layer::folder_of(&place.folder)).map_err(fails)?;
        place.layer.sync_folder(&super::layer::folder_of(keys)).map_err(fails)?;
        Ok(Self {
            writer,
            place,
            chains: Chains { current: chain, earlier: None },
            pages: Arc::new(RwLock::new(pages)),
            owners: HashMap::new(),
            own_key,
            last_audit: None,
            audit_cut: false,
            domain,
            owed: Vec::new(),
            found: Mutex::default(),
        })
    }

    /// That of a store that has one. While keys are rotated, there is an `earlier` domain key too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn open(
        place: Place,
        keys: &std::path::Path,
        domain: Arc<DomainKey>,
        earlier: Option<&DomainKey>,
    ) -> Result<Self, StoreError> {
        let (ledger, known) = Self::open_as_it_is(place, keys, domain, earlier)?;
        let found = ledger.writer.last();
        if known > found { Err(StoreError::Behind { found, known }) } else { Ok(ledger) }
    }

    /// Gives up what is damaged, and what is behind it; the files as they were lie aside.
    ///
    /// # Errors
    /// [`StoreError`]; also when something else than the end of the journal is damaged.
    pub(super) fn repair(
        place: Place,
        keys: &std::path::Path,
        domain: &Arc<DomainKey>,
        earlier: Option<&DomainKey>,
    ) -> Result<Vec<std::path::PathBuf>, StoreError> {
        let chain = Arc::new(ChainKey::of(domain.key.bytes()));
        let earlier_chain = earlier.map(|domain| Arc::new(ChainKey::of(domain.key.bytes())));
        let chains = Chains { current: chain, earlier: earlier_chain };
        let aside = give_up_behind_damage(&place, &chains)?;
        let (mut ledger, _) = Self::open_as_it_is(place, keys, Arc::clone(domain), earlier)?;
        ledger.take_out_erased()?;
        // The pages say again what the journal says.
        let last = ledger.writer.last();
        ledger.pages_mut().use_domain(Arc::clone(domain), last)?;
        Ok(aside)
    }

    /// Gives the highest sequence number, too, that the pages of keys know of.
    fn open_as_it_is(
        place: Place,
        keys: &std::path::Path,
        domain: Arc<DomainKey>,
        earlier: Option<&DomainKey>,
    ) -> Result<(Self, u64), StoreError> {
        let chain = Arc::new(ChainKey::of(domain.key.bytes()));
        let earlier_chain = earlier.map(|domain| Arc::new(ChainKey::of(domain.key.bytes())));
        let chains = Chains { current: chain, earlier: earlier_chain };
        let Recovered { writer, tail, .. } = recover(&place, &chains)?;
        let (mut pages, known) = Pages::read(Arc::clone(&place.layer), keys, Arc::clone(&domain), earlier)?;
        // What was to be destroyed when the power went.
        let again = tail.forgotten.iter().filter(|(key, before)| {
            pages.generation(key.page).is_some_and(|generation| generation <= *before)
        });
        let again: Vec<KeyRef> = again.map(|(key, _)| *key).collect();
        pages.forget(&again, writer.last())?;
        let extent = writer.extent();
        let source = Source { place: &place, chains: &chains, extent: &extent };
        let owners::Found { owners, last_audit } = owners::read(&mut pages, &source, &tail)?;
        let own_key = match &last_audit {
            // While keys are rotated there are two; what is written last has the one that stays.
            Some((key, sealed)) => value::key_of((Table::Audit, key), sealed)?,
            None => pages.for_the_box(),
        };
        pages.use_key(own_key);
        let ledger = Self {
            writer,
            place,
            chains,
            pages: Arc::new(RwLock::new(pages)),
            owners,
            own_key,
            last_audit,
            audit_cut: false,
            domain,
            owed: Vec::new(),
            found: Mutex::new(Some((extent, Arc::new(tail)))),
        };
        Ok((ledger, known))
    }

    /// Whether a value's key is still the one of the person whom it is about, or of what is no person's.
    pub(super) fn still_used(&self, table: Table, key: &[u8], at: KeyRef) -> bool {
        match Owner::of(table, key) {
            Some(owner) => self.owners.get(&owner) == Some(&at),
            None => self.own_key == at,
        }
    }

    /// Whether something is kept of somebody.
    pub(super) fn knows(&self, owner: &Owner) -> bool {
        self.owners.contains_key(owner)
    }

    /// Everybody of whom something is kept.
    pub(super) fn everybody(&self) -> Vec<Owner> {
        self.owners.keys().copied().collect()
    }

    /// Puts the pages under another domain key, and goes on in a file under it.
    pub(super) fn use_domain(&mut self, domain: &Arc<DomainKey>) -> Result<(), StoreError> {
        let chain = Arc::new(ChainKey::of(domain.key.bytes()));
        if chain.id() != self.chains.current.id() {
            let before = std::mem::replace(&mut self.chains.current, chain);
            self.chains.earlier = Some(before);
        }
        self.writer.rotate(Arc::clone(&self.chains.current))?;
        let last = self.writer.last();
        self.pages_mut().use_domain(Arc::clone(domain), last)?;
        self.domain = Arc::clone(domain);
        Ok(())
    }

    /// No file is under the domain key before any more.
    pub(super) fn forget_earlier_chain(&mut self) {
        self.chains.earlier = None;
    }

    /// What is no person's gets another key from now on. Gives the one before.
    pub(super) fn change_own_key(&mut self) -> Result<KeyRef, StoreError> {
        let last = self.writer.last();
        let next = self.pages_mut().take(last)?;
        Ok(std::mem::replace(&mut self.own_key, next))
    }

    /// Destroys a key that nothing live is sealed with.
    pub(super) fn forget(&mut self, key: KeyRef) -> Result<(), StoreError> {
        let mut staged = Staged { forgotten: vec![key], ..Staged::default() };
        self.forget_in(&mut staged)?;
        self.write(&[staged])?;
        self.settle()
    }

    /// Begins a snapshot: everything up to now is in files that do not change any more.
    pub(super) fn begin_snapshot(&mut self) -> Result<SnapshotBegun, StoreError> {
        let sequence = self.writer.rotate(Arc::clone(&self.chains.current))?;
        let before = self.writer.link_before();
        let mut reader = self.reader();
        reader.extent = reader.extent.sealed();
        reader.tail = None;
        Ok(SnapshotBegun { reader, sequence, before })
    }

    /// What was made takes the place of the files that it was made from.
    pub(super) fn adopt_snapshot(&mut self, files: SnapshotFiles) -> Result<(), StoreError> {
        self.writer.adopt(files)
    }

    pub(super) fn pages(&self) -> RwLockReadGuard<'_, Pages> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages_mut(&self) -> RwLockWriteGuard<'_, Pages> {
        self.pages.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the keys are, for who reads values.
    pub(super) fn shared_pages(&self) -> Arc<RwLock<Pages>> {
        Arc::clone(&self.pages)
    }

    /// The last sequence number, and the link that is of no other journal.
    pub(super) fn position(&self) -> (u64, [u8; 16]) {
        (self.writer.last(), self.writer.link())
    }

    /// Bytes of payloads that fit into one [`Self::write`], each with what its frame has beside.
    pub(super) fn capacity(&self) -> usize {
        self.writer.capacity()
    }

    /// How many people something is kept of.
    pub(super) fn people(&self) -> usize {
        self.owners.len()
    }

    /// What is on the disk: bytes of the snapshot, of the segments after it, of keys.
    pub(super) fn bytes(&self) -> (u64, u64, u64) {
        let (snapshot, tail) = self.writer.extent().bytes();
        (snapshot, tail, self.pages().bytes())
    }

    /// Whether the last record of the audit is not known here any more.
    pub(super) fn audit_was_cut(&self) -> bool {
        self.audit_cut
    }

    /// The last record of the audit.
    pub(super) fn last_audit(&self) -> Result<Option<super::Entry>, StoreError> {
        let Some((key, sealed)) = &self.last_audit else { return Ok(None) };
        let value = value::open(&self.pages(), self.domain.store, (Table::Audit, key), sealed)?;
        Ok(Some((key.clone(), value)))
    }

    /// Whoever reads what is live now, while others write.
    pub(super) fn reader(&self) -> Reader {
        let extent = self.writer.extent();
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        Reader {
            tail: found.filter(|(then, _)| *then == extent).map(|(_, tail)| tail),
            place: self.place.clone(),
            chains: self.chains.clone(),
            pages: Arc::clone(&self.pages),
            domain: Arc::clone(&self.domain),
            extent,
        }
    }

    fn destroy_owed(&mut self) -> Result<(), StoreError> {
        let owed = std::mem::take(&mut self.owed);
        let last = self.writer.last();
        let done = self.pages_mut().forget(&owed, last);
        if done.is_err() {
            self.owed = owed;
        }
        done
    }

    /// Writes staged changes, in order, each whole. The caller then calls [`Self::settle`].
    ///
    /// # Errors
    /// [`StoreError`]; then none of them counts.
    pub(super) fn write(&mut self, staged: &[Staged]) -> Result<u64, StoreError> {
        let before = self.settle();
        if let Err(why) = before {
            staged.iter().for_each(|staged| self.put_back(staged));
            return Err(why);
        }
        let payloads: Vec<Vec<u8>> = staged.iter().map(|staged| staged.payload.clone()).collect();
        let last = match self.writer.append(&payloads) {
            Ok(last) => last,
            Err(why) => {
                staged.iter().for_each(|staged| self.put_back(staged));
                return Err(why);
            }
        };
        let mut forgotten = Vec::<KeyRef>::new();
        for staged in staged {
            self.owners.extend(staged.given.iter().copied());
            for owner in &staged.gone {
                self.owners.remove(owner);
            }
            forgotten.extend(&staged.forgotten);
            for applied in &staged.applied {
                let last = self.last_audit.as_ref().map(|(last, _)| last);
                match applied {
                    Applied::Put(Table::Audit, key, sealed) if last.is_none_or(|last| key >= last) => {
                        self.last_audit = Some((key.clone(), sealed.clone()));
                    }
                    Applied::Delete(Table::Audit, key) if last == Some(key) => self.audit_cut = true,
                    _ => {}
                }
            }
        }
        self.owed.extend(forgotten);
        Ok(last)
    }

    /// Destroys the keys that were forgotten. Until that is done nothing else is written; a start does it first, too.
    ///
    /// # Errors
    /// [`StoreError`]; what was written counts all the same.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if self.owed.is_empty() { Ok(()) } else { self.destroy_owed() }
    }
}

/// A snapshot that is to be made.
pub(super) struct SnapshotBegun {
    reader: Reader,
    sequence: u64,
    before: [u8; 16],
}

impl SnapshotBegun {
    /// Makes it, beside who writes. `told` is told how many values were written.
    pub(super) fn make(&self, told: &(dyn Fn(u64) + Sync)) -> Result<SnapshotFiles, StoreError> {
        let Reader { place, chains, extent, .. } = &self.reader;
        let source = Source { place, chains, extent };
        take_snapshot(&source, &chains.current, self.sequence, self.before, told)
    }
}

impl Reader {
    /// Gives every value of some tables that is live, sealed, in no order, from several threads.
    pub(super) fn sealed(
        &self,
        tables: &[Table],
        sink: &(dyn Fn(Vec<Live>) -> Result<(), StoreError> + Sync),
    ) -> Result<(), StoreError> {
        self.with_tail(|source, tail| source.live(tail, tables, sink))
    }

    /// Looks at each, in the same way.
    pub(super) fn look_at_all<S: Default + Send>(
        &self,
        tables: &[Table],
        look: &(dyn Fn(&mut S, LiveRef<'_>) -> Result<(), StoreError> + Sync),
    ) -> Result<(), StoreError> {
        self.with_tail(|source, tail| source.look_at_all(tail, tables, look).map(drop))
    }

    fn with_tail(
        &self,
        read: impl FnOnce(&Source<'_>, &Tail) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let source = Source { place: &self.place, chains: &self.chains, extent: &self.extent };
        match &self.tail {
            Some(tail) => read(&source, tail),
            None => read(&source, &source.tail()?),
        }
    }

    /// Opens a value, in the place of what was opened before.
    ///
    /// # Errors
    /// [`StoreError`], also when its key was destroyed meanwhile.
    pub(super) fn open(&self, live: LiveRef<'_>, opened: &mut Vec<u8>) -> Result<(), StoreError> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        value::open_into(&pages, self.domain.store, (live.table, live.key), live.sealed, opened)
    }
}
