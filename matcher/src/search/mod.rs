//! 1:N search. For now by comparing with everything; the order of the answer is total, so the
//! same gallery gives the same candidates whatever order it was filled in.
//!
//! A gallery is persistent: a clone of it is a snapshot, made at once, which no later change reaches. A search
//! runs on a snapshot and a change makes the next one, so neither waits for the other.

mod best;
mod finger;

use std::sync::Arc;

use self::{best::Best, finger::Budget};
use crate::{
    compare::{Prepared, compare_views},
    score::Score,
};

pub use self::finger::Finger;

/// One enrolled finger that resembles the probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate<K> {
    /// Whose.
    pub key: K,
    /// The best score among the impressions of that key.
    pub score: Score,
}

/// Fingers of a chunk at most. A change copies one chunk and the list of all chunks, and at a million fingers
/// both are as long. Few in tests, so that these split chunks too.
const LARGEST: usize = if cfg!(test) { 8 } else { 1024 };
/// Fingers of a chunk that is filled at once: the next enrolments find place.
const FILLED: usize = LARGEST - LARGEST / 4;

type Entry<K> = (K, Arc<Finger>);
/// Fingers in key order, at least one.
type Chunk<K> = Arc<Vec<Entry<K>>>;

/// Enrolled fingers in memory. A clone is a snapshot and costs nothing.
#[derive(Clone)]
pub struct Gallery<K> {
    /// In key order.
    chunks: Arc<Vec<Chunk<K>>>,
    fingers: usize,
    impressions: usize,
    /// One for all snapshots, which share what is kept.
    budget: Arc<Budget>,
}

impl<K: Clone + Ord> Default for Gallery<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Ord> Gallery<K> {
    /// Bytes of prepared impressions that are kept unless something else is said: of about 30,000.
    pub const BUDGET: usize = 128 << 20;

    /// An empty gallery.
    #[must_use]
    pub fn new() -> Self {
        Self::with_budget(Self::BUDGET)
    }

    /// An empty gallery that keeps so many bytes of prepared impressions.
    #[must_use]
    pub fn with_budget(bytes: usize) -> Self {
        Self { chunks: Arc::default(), fingers: 0, impressions: 0, budget: Arc::new(Budget::new(bytes)) }
    }

    /// Fingers enrolled.
    #[must_use]
    pub fn fingers(&self) -> usize {
        self.fingers
    }

    /// Impressions enrolled, over all fingers: the N of identification errors.
    #[must_use]
    pub fn impressions(&self) -> usize {
        self.impressions
    }

    /// Bytes of prepared impressions that are kept, over all snapshots.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.budget.taken()
    }

    /// Adds a finger, or replaces what is kept under its key.
    pub fn insert(&mut self, key: K, finger: Finger) {
        self.impressions += finger.impressions();
        let entry = (key, Arc::new(finger));
        let chunks = Arc::make_mut(&mut self.chunks);
        // What comes after everything goes into the last.
        let at = place(chunks, &entry.0).min(chunks.len().saturating_sub(1));
        let Some(chunk) = chunks.get_mut(at) else {
            chunks.push(Arc::new(vec![entry]));
            self.fingers += 1;
            return;
        };
        let chunk = Arc::make_mut(chunk);
        match chunk.binary_search_by(|(k, _)| k.cmp(&entry.0)) {
            Ok(there) => {
                if let Some(old) = chunk.get_mut(there) {
                    self.impressions -= std::mem::replace(old, entry).1.impressions();
                }
            }
            Err(there) => {
                chunk.insert(there, entry);
                self.fingers += 1;
                if chunk.len() > LARGEST {
                    let rest = chunk.split_off(LARGEST / 2);
                    chunks.insert(at + 1, Arc::new(rest));
                }
            }
        }
    }

    /// What is kept under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Finger> {
        let chunk = self.chunks.get(place(&self.chunks, key))?;
        let there = chunk.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
        chunk.get(there).map(|(_, finger)| &**finger)
    }

    /// Removes a finger; true when it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        // Nothing is copied for what is not there.
        if self.get(key).is_none() {
            return false;
        }
        let at = place(&self.chunks, key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at).map(Arc::make_mut) else { return false };
        let Ok(there) = chunk.binary_search_by(|(k, _)| k.cmp(key)) else { return false };
        let (_, finger) = chunk.remove(there);
        self.fingers -= 1;
        self.impressions -= finger.impressions();
        if chunk.is_empty() {
            chunks.remove(at);
        }
        true
    }

    /// The best `limit` fingers, best first, ties by key.
    #[must_use]
    pub fn search(&self, probe: &Prepared, limit: usize) -> Vec<Candidate<K>> {
        // One probe, one answer.
        self.search_each(&[probe], limit).pop().unwrap_or_default()
    }

    /// The same for each of several probes, in one pass: what is packed is prepared once for all.
    #[must_use]
    pub fn search_each(&self, probes: &[&Prepared], limit: usize) -> Vec<Vec<Candidate<K>>> {
        let mut best: Vec<Best<'_, K>> = probes.iter().map(|_| Best::new(limit)).collect();
        for (key, finger) in self.entries() {
            finger.prepared(&self.budget, |views| {
                for (probe, best) in probes.iter().zip(&mut best) {
                    best.offer(key, compare_views(probe, views));
                }
            });
        }
        best.into_iter().map(Best::candidates).collect()
    }

    /// Prepares what is not, as long as there is place for it and `go_on` says so, so that searches find it
    /// prepared.
    pub fn warm(&self, mut go_on: impl FnMut() -> bool) {
        for (_, finger) in self.entries() {
            if !go_on() || !finger.warm(&self.budget) {
                return;
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<K>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

/// Fills it with many fingers in any order, at the cost of sorting them; under one key the last counts.
impl<K: Clone + Ord> Extend<(K, Finger)> for Gallery<K> {
    fn extend<I: IntoIterator<Item = (K, Finger)>>(&mut self, fingers: I) {
        let mut entries: Vec<Entry<K>> = self.entries().cloned().collect();
        entries.extend(fingers.into_iter().map(|(key, finger)| (key, Arc::new(finger))));
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        // It keeps the first of the equal ones, which becomes the later one.
        entries.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        self.fingers = entries.len();
        self.impressions = entries.iter().map(|(_, finger)| finger.impressions()).sum();
        self.chunks = Arc::new(entries.chunks(FILLED).map(|chunk| Arc::new(chunk.to_vec())).collect());
    }
}

/// The first chunk that may hold a key: its last one is not before it.
fn place<K: Ord>(chunks: &[Chunk<K>], key: &K) -> usize {
    chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| last < key))
}

#[cfg(test)]
mod tests;
