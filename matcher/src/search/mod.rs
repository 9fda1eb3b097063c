//! 1:N search: a cascade (`cascade.rs`) over sketches of all impressions (`sketch.rs`) and an index of their keys
//! (`segment.rs`). Among 64 impressions everybody is compared in full.
//!
//! A gallery is persistent: a clone of it is a snapshot, made at once, which no later change reaches. A search
//! runs on a snapshot and a change makes the next one, so neither waits for the other. What is put in alone is sketched at
//! once; what is put in by the thousands waits for [`Gallery::batch`], and is compared one by one until then.

pub(crate) mod alignment;
mod cascade;
mod finger;
mod hash;
mod index;
pub(crate) mod likeness;
mod occupancy;
mod parallel;
mod segment;
pub(crate) mod sketch;
mod standing;
pub(crate) mod votes;

use std::sync::Arc;

use self::{
    cascade::{Cascade, Reach},
    finger::Budget,
    index::Index,
    segment::Entry,
};
use crate::{
    compare::{Prepared, compare_views},
    score::Score,
};

pub use self::{
    finger::Finger,
    index::{Batch, Built},
    occupancy::occupancy,
    standing::Standing,
};

/// One enrolled finger that resembles the probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate<K> {
    /// Whose.
    pub key: K,
    /// The best score among the impressions of that key.
    pub score: Score,
    /// The same normalised over the shortlist: deviations above the mean of the fifty behind the best. It tells how far
    /// somebody stands out; the score alone decides.
    pub standing: f64,
}

/// What is asked of a search.
#[derive(Clone, Copy)]
pub struct Search<'a, K> {
    /// Fingers in the answer at most.
    pub limit: usize,
    /// Threads that work on it.
    pub threads: usize,
    /// Looks only at fingers of which it says so: of a group, at a position, or of a shard.
    pub filter: Option<&'a (dyn Fn(&K) -> bool + Sync)>,
}

impl<K> Default for Search<'_, K> {
    fn default() -> Self {
        Self { limit: 1, threads: 1, filter: None }
    }
}

/// Told as a stage of a search ends: the matcher knows no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which.
    pub name: &'static str,
    /// Impressions that are left.
    pub kept: usize,
}

/// Who is told of stages, on whichever thread the search is.
pub type Told<'a> = &'a mut (dyn FnMut(Stage) + Send);

/// What a gallery takes in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Templates, packed, and what names them.
    pub templates: usize,
    /// Cut cylinders.
    pub cylinders: usize,
    /// Keys and postings.
    pub index: usize,
    /// Prepared impressions that are kept besides, within a budget.
    pub prepared: usize,
}

/// Fingers of a chunk at most. A change copies one chunk and the list of all chunks, and at a million fingers
/// both are as long. Few in tests, so that these split chunks too.
const LARGEST: usize = if cfg!(test) { 8 } else { 1024 };
/// Fingers of a chunk that is filled at once: the next enrolments find place.
const FILLED: usize = LARGEST - LARGEST / 4;

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
    index: Index<K>,
}

impl<K: Clone + Ord> Default for Gallery<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Ord> Gallery<K> {
    /// Bytes of prepared impressions that are kept at most unless something else is said: of about 22,000. Of a gallery of more than
    /// 25,000 it is 100 an impression.
    pub const BUDGET: usize = 96 << 20;

    /// An empty gallery.
    #[must_use]
    pub fn new() -> Self {
        Self::with_budget(Self::BUDGET)
    }

    /// An empty gallery that keeps so many bytes of prepared impressions.
    #[must_use]
    pub fn with_budget(bytes: usize) -> Self {
        let budget = Arc::new(Budget::new(bytes));
        Self { chunks: Arc::default(), fingers: 0, impressions: 0, budget, index: Index::default() }
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
        if let Some(old) = self.entry(&key).map(|(_, old)| Arc::clone(old)) {
            self.index.remove(&key, &old);
        }
        self.impressions += finger.impressions();
        self.budget.now_of(self.impressions);
        let entry = (key, Arc::new(finger));
        self.index.insert(entry.clone(), &self.budget);
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
        self.entry(key).map(|(_, finger)| &**finger)
    }

    fn entry(&self, key: &K) -> Option<&Entry<K>> {
        let chunk = self.chunks.get(place(&self.chunks, key))?;
        let there = chunk.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
        chunk.get(there)
    }

    /// Removes a finger; true when it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        // Nothing is copied for what is not there.
        let Some(old) = self.entry(key).map(|(_, old)| Arc::clone(old)) else { return false };
        self.index.remove(key, &old);
        let at = place(&self.chunks, key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at).map(Arc::make_mut) else { return false };
        let Ok(there) = chunk.binary_search_by(|(k, _)| k.cmp(key)) else { return false };
        let (_, finger) = chunk.remove(there);
        self.fingers -= 1;
        self.impressions -= finger.impressions();
        self.budget.now_of(self.impressions);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        true
    }

    /// Impressions that have no sketch yet, and are compared one by one in every search.
    #[must_use]
    pub fn unsketched(&self) -> usize {
        self.index.unsketched()
    }

    /// What is to be built next, so that searches are fast: built outside, and put in by [`Self::place`].
    #[must_use]
    pub fn batch(&self) -> Option<Batch<K>> {
        self.index.batch(&self.budget)
    }

    /// Puts in what was built of this gallery or of a snapshot of it. What was changed meanwhile stays changed.
    pub fn place(&mut self, built: Built<K>) {
        self.index.place(built);
    }

    /// What it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let entries: usize = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Entry<K>>()).sum();
        let mut bytes = Bytes { templates: entries, prepared: self.kept_bytes(), ..Bytes::default() };
        bytes.templates += self.entries().map(|(_, finger)| finger.bytes()).sum::<usize>();
        for part in self.index.parts.iter() {
            let (sketches, index) = part.segment.bytes();
            bytes.templates += part.segment.entries.capacity() * size_of::<Entry<K>>();
            bytes.cylinders += sketches;
            bytes.index += index;
        }
        bytes
    }
}

impl<K: Clone + Ord + Send + Sync> Gallery<K> {
    /// Builds all that there is to build, with so many threads.
    pub fn build(&mut self, threads: usize) {
        while let Some(mut batch) = self.batch() {
            batch.sketch(threads, || true);
            self.place(batch.build());
        }
    }

    /// The best `limit` fingers, best first, ties by key; of a large gallery those that the cascade finds. A finger without
    /// impressions is never found.
    #[must_use]
    pub fn search(&self, probe: &Prepared, limit: usize) -> Vec<Candidate<K>> {
        self.search_with(probe, &Search { limit, ..Search::default() }, &mut |_| ())
    }

    /// The same for each of several probes.
    #[must_use]
    pub fn search_each(&self, probes: &[&Prepared], limit: usize) -> Vec<Vec<Candidate<K>>> {
        probes.iter().map(|probe| self.search(probe, limit)).collect()
    }

    /// The same as it is asked, telling of each stage.
    #[must_use]
    pub fn search_with(&self, probe: &Prepared, search: &Search<'_, K>, told: Told<'_>) -> Vec<Candidate<K>> {
        self.search_within(&Reach::USUAL, probe, search, told)
    }

    fn search_within(
        &self,
        reach: &Reach,
        probe: &Prepared,
        search: &Search<'_, K>,
        told: Told<'_>,
    ) -> Vec<Candidate<K>> {
        parallel::on_the_crew(search.threads, || {
            Cascade::new(&self.index, &self.budget, probe, search).run(reach, told)
        })
    }

    /// The best `limit` fingers by comparing with every impression: what a search is measured against.
    #[must_use]
    pub fn exhaustive(&self, probe: &Prepared, threads: usize, limit: usize) -> Vec<(K, Score)> {
        let all: Vec<&Entry<K>> = self.entries().filter(|(_, finger)| finger.impressions() > 0).collect();
        let scores = parallel::map(threads, 16, &all, |(_, finger)| {
            finger.prepared(&self.budget, |views| compare_views(probe, views))
        });
        let mut ranked: Vec<_> = all.into_iter().map(|(key, _)| key.clone()).zip(scores).collect();
        ranked.sort_by(|a, b| b.1.get().total_cmp(&a.1.get()).then_with(|| a.0.cmp(&b.0)));
        ranked.truncate(limit);
        ranked
    }
}

impl<K: Clone + Ord> Gallery<K> {
    fn entries(&self) -> impl Iterator<Item = &Entry<K>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

/// Fills it with many fingers in any order, at the cost of sorting them; under one key the last counts.
impl<K: Clone + Ord> Extend<(K, Finger)> for Gallery<K> {
    fn extend<I: IntoIterator<Item = (K, Finger)>>(&mut self, fingers: I) {
        let mut new: Vec<Entry<K>> =
            fingers.into_iter().map(|(key, finger)| (key, Arc::new(finger))).collect();
        only_the_last_of_a_key(&mut new);
        for (key, _) in &new {
            if let Some(old) = self.entry(key).map(|(_, old)| Arc::clone(old)) {
                self.index.remove(key, &old);
            }
        }
        self.index.extend(new.iter().cloned());
        let mut entries: Vec<Entry<K>> = self.entries().cloned().chain(new).collect();
        only_the_last_of_a_key(&mut entries);
        self.fingers = entries.len();
        self.impressions = entries.iter().map(|(_, finger)| finger.impressions()).sum();
        self.budget.now_of(self.impressions);
        self.chunks = Arc::new(entries.chunks(FILLED).map(|chunk| Arc::new(chunk.to_vec())).collect());
    }
}

/// Sorts by key; of equal ones the last stays.
fn only_the_last_of_a_key<K: Ord>(entries: &mut Vec<Entry<K>>) {
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    // It keeps the first of the equal ones, which becomes the later one.
    entries.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
}

/// The first chunk that may hold a key: its last one is not before it.
fn place<K: Ord>(chunks: &[Chunk<K>], key: &K) -> usize {
    chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| last < key))
}

#[cfg(test)]
mod tests;
