//! 1:N search. For now by comparing with everything; the order of the answer is total, so the
//! same gallery gives the same candidates whatever order it was filled in.

use crate::{
    compare::{Prepared, compare},
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

    /// The views kept under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&[Prepared]> {
        let at = self.entries.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
        self.entries.get(at).map(|(_, views)| views.as_slice())
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
        let mut out: Vec<Candidate<K>> = self
            .entries
            .iter()
            .map(|(key, views)| {
                let scores = views.iter().map(|view| compare(probe, view).get());
                Candidate { key: key.clone(), score: Score(scores.fold(0.0, f64::max)) }
            })
            .collect();
        out.sort_by(|a, b| b.score.get().total_cmp(&a.score.get()).then_with(|| a.key.cmp(&b.key)));
        out.truncate(limit);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        minutiae::{Minutia, MinutiaKind},
        template::Template,
    };

    fn view(seed: u32) -> Prepared {
        let minutiae = (0..30u32)
            .map(|i| {
                let h = (seed * 1000 + i).wrapping_mul(2_654_435_761);
                Minutia {
                    x: (h >> 8) as u16 % 3000,
                    y: (h >> 20) as u16 % 3000,
                    angle: h as u8,
                    kind: MinutiaKind::Ending,
                    quality: 80,
                }
            })
            .collect();
        Prepared::new(&Template::new((300, 300), minutiae))
    }

    #[test]
    fn the_mate_is_first_whatever_the_order_of_enrolment() {
        let mut forward = Gallery::new();
        let mut backward = Gallery::new();
        for key in 0..20u32 {
            forward.insert(key, vec![view(key), view(key + 100)]);
            backward.insert(19 - key, vec![view(119 - key), view(19 - key)]);
        }
        let probe = view(107);
        let found = forward.search(&probe, 5);
        assert_eq!(found[0].key, 7);
        assert_eq!(found.len(), 5);
        assert_eq!(found, backward.search(&probe, 5));
        assert!(forward.remove(&7) && !forward.remove(&7));
        assert!(forward.search(&probe, 20).iter().all(|c| c.key != 7));
        assert_eq!((forward.fingers(), forward.impressions()), (19, 38));
    }

    #[test]
    fn equal_scores_are_ordered_by_key() {
        let mut gallery = Gallery::new();
        for key in [5u32, 2, 9] {
            gallery.insert(key, vec![view(1)]);
        }
        let keys: Vec<u32> = gallery.search(&view(1), 3).iter().map(|c| c.key).collect();
        assert_eq!(keys, [2, 5, 9]);
    }
}
