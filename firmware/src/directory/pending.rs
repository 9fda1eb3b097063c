//! Who is still let in but has a day after which not: no server tells when that day comes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ObjectId;

/// Ends that lie ahead, in seconds since 1970, by whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Pending(BTreeMap<ObjectId, i64>);

impl Pending {
    /// What was read of somebody: an end that lies ahead, or none.
    pub(super) fn put(&mut self, who: ObjectId, end: Option<i64>, now: i64) {
        match end {
            Some(end) if end > now => self.0.insert(who, end),
            _ => self.0.remove(&who),
        };
    }

    /// Whose end has come.
    pub(super) fn due(&self, now: i64) -> BTreeSet<ObjectId> {
        self.0.iter().filter(|(_, end)| **end <= now).map(|(who, _)| *who).collect()
    }

    /// What was known of others stays known.
    pub(super) fn fill(&mut self, before: Self) {
        before.0.into_iter().for_each(|(who, end)| {
            self.0.entry(who).or_insert(end);
        });
    }

    /// Somebody is not there any more.
    pub(super) fn forget(&mut self, who: ObjectId) {
        self.0.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_due_once_it_has_come_and_until_it_was_read_again() {
        let who = ObjectId::of_octets(&[7; 16]).unwrap();
        let mut pending = Pending::default();
        pending.put(who, Some(100), 50);
        assert!(pending.due(99).is_empty());
        assert_eq!(pending.due(100), BTreeSet::from([who]));
        pending.put(who, Some(100), 100);
        assert!(pending.due(200).is_empty());
    }
}
