//! What changed, by a mark on each object: how any LDAP directory can be followed.
//!
//! Each time, the identifier and the mark of every object are read, which is little more than the sweep that finds deletions
//! anyway, and trusts no clock: a replica that lags, or a clock that is set, hides nothing. A mark is `entryCSN` where there is
//! one, else `modifyTimestamp`.
//! Invariant: an object whose mark could have stayed while it changed, as both lie in one second, is told of once more.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use sha2::{Digest, Sha256};

use super::person::seconds;
use crate::{directory::wire::Found, request::hex};

/// Attributes that can be a mark.
pub(super) const ATTRIBUTES: [&str; 2] = ["entryCSN", "modifyTimestamp"];
/// After this, no second is any more in which a mark was made when it was first seen.
const SETTLES: Duration = Duration::from_secs(2);
/// Marks older than the newest by this many seconds are settled when they are seen; replicas' clocks may differ as much.
const OLD: i64 = 60;

/// The mark of an object, if it can be read.
pub(super) fn of(found: &Found) -> Option<String> {
    ATTRIBUTES.iter().find_map(|attribute| found.text(attribute)).map(str::to_owned)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    text: String,
    /// When it was first seen, by the clock that nobody sets.
    seen: Duration,
    settled: bool,
}

/// Marks of all objects, by what they are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks<K>(BTreeMap<K, Mark>);

impl<K> Default for Marks<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// What differs from earlier marks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference<K> {
    pub(super) changed: BTreeSet<K>,
    pub(super) gone: BTreeSet<K>,
}

impl<K: Ord + Clone + AsRef<[u8]>> Marks<K> {
    /// Marks as they were read at this moment.
    pub(super) fn read(marks: impl IntoIterator<Item = (K, String)>, at: Duration) -> Self {
        let marks: Vec<_> = marks.into_iter().collect();
        let newest = marks.iter().filter_map(|(_, text)| seconds(text)).max().unwrap_or_default();
        // What is no moment of whole seconds tells any two changes apart.
        let settled = |text: &str| seconds(text).is_none_or(|mark| mark < newest - OLD) || text.contains('#');
        let marks = marks.into_iter().map(|(key, text)| {
            let settled = settled(&text);
            (key, Mark { text, seen: at, settled })
        });
        Self(marks.collect())
    }

    /// What changed since `earlier`, whose knowledge of when marks were first seen is taken over.
    pub(super) fn since(&mut self, earlier: &Self) -> Difference<K> {
        let mut changed = BTreeSet::new();
        for (key, mark) in &mut self.0 {
            match earlier.0.get(key) {
                Some(before) if before.text == mark.text => {
                    if !before.settled {
                        changed.insert(key.clone());
                    }
                    let settled = before.settled || mark.seen.saturating_sub(before.seen) >= SETTLES;
                    *mark = Mark { settled, ..before.clone() };
                }
                _ => {
                    changed.insert(key.clone());
                }
            }
        }
        let gone = earlier.0.keys().filter(|key| !self.0.contains_key(*key)).cloned().collect();
        Difference { changed, gone }
    }

    /// Whose marks they are.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// A number that is another where a mark is; what is kept with the cursor, to know that these are its marks.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (key, mark) in &self.0 {
            for part in [key.as_ref(), mark.text.as_bytes()] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        hex(&digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(marks: &[(&str, &str)], at: u64) -> Marks<String> {
        let owned = marks.iter().map(|(key, mark)| ((*key).to_owned(), (*mark).to_owned()));
        Marks::read(owned, Duration::from_secs(at))
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn new_changed_and_gone_objects_are_found() {
        let before = marks(&[("a", "20260101000000.000001Z#1"), ("b", "20260101000000.000001Z#2")], 0);
        let mut after = marks(&[("b", "20260101000000.000002Z#2"), ("c", "20260101000000.000001Z#3")], 1);
        let expected = Difference { changed: names(&["b", "c"]), gone: names(&["a"]) };
        assert_eq!(after.since(&before), expected);
        let mut same = after.clone();
        assert_eq!(same.since(&after), Difference { changed: names(&[]), gone: names(&[]) });
        assert_eq!(same.digest(), after.digest());
        assert_ne!(before.digest(), after.digest());
    }

    #[test]
    fn a_change_within_the_second_of_its_mark_is_not_missed() {
        let read = |at| marks(&[("old", "20260101000000Z"), ("new", "20260101120000Z")], at);
        let first = read(10);
        let mut second = read(11);
        assert_eq!(second.since(&first).changed, names(&["new"]));
        let mut third = read(12);
        assert_eq!(third.since(&second).changed, names(&["new"]), "not yet two seconds after it was seen");
        let mut fourth = read(13);
        assert_eq!(fourth.since(&third).changed, names(&[]));
    }
}
