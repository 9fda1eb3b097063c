//! A map that keeps the latest of what is put into it.
//!
//! Invariant: it holds so many values and no more; the one that was put in longest ago goes first.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// The latest values by key.
pub(crate) struct Latest<K, V> {
    limit: usize,
    values: HashMap<K, (u64, V)>,
    /// Keys by when they were put in.
    order: BTreeMap<u64, K>,
    turn: u64,
}

impl<K: Copy + Eq + Hash, V> Latest<K, V> {
    /// Keeps `limit` values.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, values: HashMap::new(), order: BTreeMap::new(), turn: 0 }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.values.get(&key).map(|(_, value)| value)
    }

    /// Puts one in, in the place of another of the same key.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.take(key);
        self.turn += 1;
        self.order.insert(self.turn, key);
        self.values.insert(key, (self.turn, value));
        while self.values.len() > self.limit {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.values.remove(&oldest);
        }
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, key: K) -> Option<V> {
        let (turn, value) = self.values.remove(&key)?;
        self.order.remove(&turn);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_the_one_that_was_put_in_longest_ago_goes() {
        let mut latest = Latest::new(2);
        for (key, value) in [('a', 1), ('b', 2), ('a', 3), ('c', 4)] {
            latest.put(key, value);
        }
        assert_eq!((latest.get('a'), latest.get('b'), latest.get('c')), (Some(&3), None, Some(&4)));
        assert_eq!((latest.take('a'), latest.take('a')), (Some(3), None));
        latest.put('d', 5);
        assert_eq!((latest.get('c'), latest.get('d')), (Some(&4), Some(&5)));
        assert_eq!((latest.values.len(), latest.order.len()), (2, 2));
    }
}
