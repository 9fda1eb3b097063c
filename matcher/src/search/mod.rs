//! 1:N search. For now by comparing with everything; the order of the answer is total, so the
//! same gallery gives the same candidates whatever order it was filled in.

use crate::{
    compare::{Prepared, compare_views},
    score::Score,
};

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
        let mut found: Vec<Candidate<K>> = self
            .entries
            .iter()
            .map(|(key, views)| Candidate { key: key.clone(), score: compare_views(probe, views) })
            .collect();
        found.sort_by(|a, b| b.score.get().total_cmp(&a.score.get()).then_with(|| a.key.cmp(&b.key)));
        found.truncate(limit);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compare::tests::grove, template::Template};

    fn prepared(seed: u64) -> Prepared {
        Prepared::new(&Template::new(400, 400, grove(seed)).unwrap())
    }

    #[test]
    fn the_finger_itself_comes_first_whatever_order_it_was_enrolled_in() {
        let (mut up, mut down) = (Gallery::new(), Gallery::new());
        for seed in 0..20_u64 {
            up.insert(seed, vec![prepared(seed), prepared(seed + 100)]);
            down.insert(19 - seed, vec![prepared(19 - seed), prepared(119 - seed)]);
        }
        let found = up.search(&prepared(7), 5);
        assert_eq!(found[0].key, 7);
        assert_eq!(found.len(), 5);
        assert_eq!(found, down.search(&prepared(7), 5));
        assert_eq!((up.fingers(), up.impressions()), (20, 40));
    }

    #[test]
    fn a_removed_finger_is_found_no_more() {
        let mut gallery = Gallery::new();
        gallery.insert(1, vec![prepared(1)]);
        assert!(gallery.remove(&1));
        assert!(!gallery.remove(&1));
        assert!(gallery.search(&prepared(1), 1).is_empty());
    }
}
