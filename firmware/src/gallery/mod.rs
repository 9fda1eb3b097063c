//! Everybody's fingers in memory: what identification and enrolment search.
//!
//! Filled from the store at start (`loading.rs`), changed as the store is, and prepared in the background
//! (`warming.rs`). Invariant: a search runs on a snapshot, and a change is made beside what searches see and
//! put in its place, so neither waits for the other.

mod loading;
mod stored;
mod warming;

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use arc_swap::ArcSwap;
use authenteon_matcher::{
    Prepared,
    search::{Candidate, Gallery, Search},
};

use crate::{
    store::StoreError,
    subject::{FingerPosition, SubjectId},
};

pub use self::{loading::fill, stored::FingerKey};
pub(crate) use self::{
    stored::{decode_views, encode_views, finger_key, finger_of as read_finger},
    warming::warm_up,
};

/// The gallery of a box, which many read and some change.
pub struct SharedGallery {
    /// Without a lock: who holds one may lose the processor, and everybody waits until it has it again.
    current: ArcSwap<Gallery<FingerKey>>,
    /// Held by who makes another.
    changing: Mutex<()>,
}

impl SharedGallery {
    /// Shares a gallery.
    #[must_use]
    pub fn new(gallery: Gallery<FingerKey>) -> Self {
        Self { current: ArcSwap::from_pointee(gallery), changing: Mutex::new(()) }
    }

    /// The gallery as it is now; what is changed later does not reach it.
    #[must_use]
    pub fn snapshot(&self) -> Gallery<FingerKey> {
        Gallery::clone(&self.current.load())
    }

    /// Changes it, all at once for those who search.
    pub fn change(&self, change: impl FnOnce(&mut Gallery<FingerKey>)) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.snapshot();
        change(&mut next);
        self.current.store(Arc::new(next));
    }
}

/// Threads that work on one search, or one batch, at most.
const THREADS: usize = 4;

/// The best `limit` fingers, by as many threads as there are cores.
pub(crate) fn search(
    gallery: &Gallery<FingerKey>,
    probe: &Prepared,
    limit: usize,
) -> Vec<Candidate<FingerKey>> {
    gallery.search_with(probe, &Search { limit, threads: threads(), filter: None }, &mut |_| ())
}

/// Impressions without a sketch that a search may have: each costs a preparation, and these a few seconds.
const UNSKETCHED: usize = 20_000;

/// Refuses a search while too much of a gallery that was just read waits for its index. Verifications need none.
pub(crate) fn searchable(unsketched: usize, impressions: usize) -> Result<(), StoreError> {
    if unsketched <= UNSKETCHED {
        return Ok(());
    }
    let done = impressions.saturating_sub(unsketched);
    Err(StoreError::Degraded { done: done as u64, all: impressions as u64 })
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS))
}

/// Whether any finger of somebody is in a gallery.
pub(crate) fn is_enrolled(gallery: &Gallery<FingerKey>, id: SubjectId) -> bool {
    FingerPosition::ALL.iter().any(|position| gallery.get(&(id, *position)).is_some())
}

#[cfg(test)]
mod tests;
