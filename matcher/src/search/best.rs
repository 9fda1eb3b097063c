//! The best few of many, kept while they come: as large as the answer, whatever the gallery is.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::Candidate;
use crate::score::Score;

/// A candidate; the greater one is the worse one.
struct Ranked<'a, K> {
    score: Score,
    key: &'a K,
}

impl<K: Ord> Ord for Ranked<'_, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.get().total_cmp(&self.score.get()).then_with(|| self.key.cmp(other.key))
    }
}

impl<K: Ord> PartialOrd for Ranked<'_, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Ranked<'_, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord> Eq for Ranked<'_, K> {}

/// The best so far.
pub(super) struct Best<'a, K> {
    limit: usize,
    /// The worst of them on top.
    heap: BinaryHeap<Ranked<'a, K>>,
}

impl<'a, K: Clone + Ord> Best<'a, K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, key: &'a K, score: Score) {
        let ranked = Ranked { score, key };
        if self.heap.len() < self.limit {
            self.heap.push(ranked);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && ranked < *worst
        {
            *worst = ranked;
        }
    }

    /// Best first.
    pub(super) fn candidates(self) -> Vec<Candidate<K>> {
        let ranked = self.heap.into_sorted_vec().into_iter();
        ranked.map(|Ranked { score, key }| Candidate { key: key.clone(), score }).collect()
    }
}
