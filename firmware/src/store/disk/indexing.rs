//! Making the index from the journal, beside who writes and who verifies.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::{error, info};

use super::{Core, DiskStore};
use crate::store::{
    StoreError, Table, Trees,
    index::{ClosedIndex, Found},
    ledger::Applied,
};

/// Bytes of a journal whose index is made before the store is opened: nobody would notice.
const AT_ONCE: u64 = 4 << 20;
/// Bytes of an index that is compared with how it was closed before the store is opened.
const COMPARED_AT_ONCE: u64 = 64 << 20;
/// How often it is said how far it is.
const SAID_EVERY: Duration = Duration::from_secs(2);
/// Who opens a store begins to read all of it within this time, and is done within that.
const READS_BEGIN_WITHIN: Duration = Duration::from_millis(300);
const READ_WITHIN: Duration = Duration::from_secs(60);
/// How long to wait before the index is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Values that are waited for while nobody else writes.
const LAST_OF_ALL: usize = 1000;

/// How far the index is.
pub(super) enum Indexing {
    /// It is there.
    Ready(Trees),
    /// It is being made: this many values of so many. What is written meanwhile comes after them.
    Making { done: u64, all: u64, pending: Vec<Applied> },
    /// It did not take a change, and nobody makes another yet.
    Lost,
    /// The store is closed.
    Closed,
}

impl Indexing {
    pub(super) fn begun() -> Self {
        Self::Making { done: 0, all: 0, pending: Vec::new() }
    }

    /// The index, if it is there.
    pub(super) fn trees(&self) -> Result<&Trees, StoreError> {
        match self {
            Self::Ready(trees) => Ok(trees),
            Self::Making { done, all, .. } => Err(StoreError::Degraded { done: *done, all: *all }),
            Self::Lost => Err(StoreError::Degraded { done: 0, all: 0 }),
            Self::Closed => Err(StoreError::InUse),
        }
    }
}

impl DiskStore {
    /// Takes the index that is there, or begins to make one.
    pub(super) fn begin_index(&self, found: Found) -> Result<(), StoreError> {
        let core = &self.core;
        match found {
            Found::Closed(closed) if closed.bytes() <= COMPARED_AT_ONCE => {
                if let Some(trees) = core.index.reopen(&closed) {
                    *core.indexing_mut() = Indexing::Ready(trees);
                    return Ok(());
                }
            }
            Found::Closed(closed) => {
                return self.spawn("index", move |core| {
                    core.let_others_read();
                    core.take_or_make(&closed);
                });
            }
            Found::Nothing => {}
        }
        let (snapshot, tail, _) = core.ledger().bytes();
        if snapshot + tail <= AT_ONCE {
            return core.make_index();
        }
        info!("the index is made anew from the journal: nobody is enrolled or removed until it is there");
        self.spawn("index", |core| {
            core.let_others_read();
            core.keep_making();
        })
    }

    /// After a commit: begins what has become worth while.
    pub(super) fn look_after(&self, done: &Result<(), StoreError>) {
        if done.is_ok() {
            self.compact_if_worth_while();
        }
        if !matches!(*self.core.indexing(), Indexing::Lost) {
            return;
        }
        let mut indexing = self.core.indexing_mut();
        if matches!(*indexing, Indexing::Lost) {
            *indexing = Indexing::begun();
            drop(indexing);
            if let Err(why) = self.spawn("index", Core::keep_making) {
                error!(%why, "nobody makes the index");
            }
        }
    }
}

impl Core {
    /// How many values of how many are indexed; `None` when all are.
    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        match &*self.indexing() {
            Indexing::Ready(_) => None,
            Indexing::Making { done, all, .. } => Some((*done, (*all).max(*done))),
            Indexing::Lost | Indexing::Closed => Some((0, 0)),
        }
    }

    /// The index did not take a change.
    pub(super) fn give_up_index(&self) {
        // `look_after` begins it anew.
        *self.indexing_mut() = Indexing::Lost;
    }

    /// Lets go first whoever reads everybody into memory at a start: to verify and identify waits for nothing else.
    fn let_others_read(&self) {
        let end = Instant::now() + READ_WITHIN;
        let mut idle = Instant::now();
        while !self.ends() && idle.elapsed() < READS_BEGIN_WITHIN && Instant::now() < end {
            if self.readers.load(Ordering::SeqCst) > 0 {
                idle = Instant::now();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn take_or_make(&self, closed: &ClosedIndex) {
        info!(bytes = closed.bytes(), "comparing the index with how it was closed");
        let Some(trees) = self.index.reopen(closed) else { return self.keep_making() };
        self.finish(trees);
    }

    /// Makes the index, as often as it takes.
    fn keep_making(&self) {
        while !self.ends() {
            match self.make_index() {
                Ok(()) => return,
                Err(why) if !self.ends() => {
                    error!(%why, "the index is not made; it is tried again");
                    let until = Instant::now() + AGAIN;
                    while !self.ends() && Instant::now() < until {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Makes the index.
    pub(super) fn make_index(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        let trees = self.index.make()?;
        let done = AtomicU64::new(0);
        let said = Mutex::new(began);
        {
            let _files = self.files.read().unwrap_or_else(PoisonError::into_inner);
            let reader = {
                let ledger = self.ledger();
                *self.indexing_mut() = Indexing::begun();
                ledger.reader()
            };
            let all = self.pages.read().unwrap_or_else(PoisonError::into_inner).in_use() * 2;
            reader.sealed(&Table::ALL, &|page| {
                if self.ends() {
                    return Err(StoreError::Io("the store is being closed".to_owned()));
                }
                let values: Vec<_> =
                    page.into_iter().map(|live| (live.table, live.key, live.sealed)).collect();
                trees.fill(&values)?;
                let count = done.fetch_add(values.len() as u64, Ordering::Relaxed) + values.len() as u64;
                if let Indexing::Making { done, all: of, .. } = &mut *self.indexing_mut() {
                    (*done, *of) = (count, all.max(count));
                }
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.elapsed() >= SAID_EVERY {
                    *said = Instant::now();
                    info!(done = count, about = all.max(count), "making the index");
                }
                Ok(())
            })?;
        }
        self.catch_up(&trees)?;
        self.finish(trees);
        let took = began.elapsed();
        if took >= SAID_EVERY {
            info!(
                values = done.into_inner(),
                seconds = took.as_secs(),
                "the index is there: everything is served"
            );
        }
        Ok(())
    }

    /// Applies what was written meanwhile, until little is left of it.
    fn catch_up(&self, trees: &Trees) -> Result<(), StoreError> {
        loop {
            let pending = match &mut *self.indexing_mut() {
                Indexing::Making { pending, .. } if pending.len() > LAST_OF_ALL => std::mem::take(pending),
                _ => return Ok(()),
            };
            for some in pending.chunks(LAST_OF_ALL) {
                trees.apply_each(some)?;
            }
        }
    }

    /// From now on the index is what is asked.
    fn finish(&self, trees: Trees) {
        // Nobody writes while the last changes are applied.
        let _ledger = self.ledger();
        let mut indexing = self.indexing_mut();
        let pending = match &mut *indexing {
            Indexing::Making { pending, .. } => std::mem::take(pending),
            _ => Vec::new(),
        };
        match trees.apply_each(&pending) {
            Ok(()) => *indexing = Indexing::Ready(trees),
            Err(why) => {
                error!(%why, "the index does not take the last changes: it is made anew");
                *indexing = Indexing::Lost;
            }
        }
    }

    /// Closes the index so that the next start finds it.
    pub(super) fn close_index(&self) {
        let ledger = self.ledger();
        let (sequence, link) = ledger.position();
        let before = std::mem::replace(&mut *self.indexing_mut(), Indexing::Closed);
        if let Indexing::Ready(trees) = before
            && let Err(why) = self.index.close(trees, sequence, &link)
        {
            error!(%why, "the index was not closed: the next start makes it anew");
        }
    }
}
