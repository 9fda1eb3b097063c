//! Accepted probes that the store does not say: those of accepts while it made its index anew.
//!
//! Then nothing of people can be read or changed, and whoever lays down the right finger is let in all the same. A start
//! in that state reads everybody's history once; what comes to it goes into the store with the person's next accept
//! after. Invariant: bounded; of more people, the one who was taken up longest ago is forgotten.

use std::collections::{BTreeMap, HashMap};

use crate::{
    replay::History,
    store::{Table, Value},
    subject::SubjectId,
};

/// People whose probes are held: at most 3.6 kB each.
const MOST: usize = 16_384;

/// Histories by person, as the store keeps them.
#[derive(Default)]
pub(in crate::services) struct Unkept {
    histories: HashMap<SubjectId, (u64, Vec<u8>)>,
    order: BTreeMap<u64, SubjectId>,
    turn: u64,
}

impl Unkept {
    /// Takes in a value of the store; false when it is something else. What cannot be read is as if there were none.
    pub(in crate::services) fn read(&mut self, value: &Value) -> bool {
        if value.table != Table::Probes {
            return false;
        }
        if let (Ok(id), Some(_)) = (value.key.as_slice().try_into(), History::decode(&value.value)) {
            self.put(SubjectId::from_bytes(id), value.value.clone());
        }
        true
    }

    pub(super) fn of(&self, id: SubjectId) -> Option<Vec<u8>> {
        self.histories.get(&id).map(|(_, history)| history.clone())
    }

    pub(super) fn put(&mut self, id: SubjectId, history: Vec<u8>) {
        self.forget(id);
        self.turn += 1;
        self.order.insert(self.turn, id);
        self.histories.insert(id, (self.turn, history));
        while self.histories.len() > MOST {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.histories.remove(&oldest);
        }
    }

    pub(in crate::services) fn forget(&mut self, id: SubjectId) {
        if let Some((turn, _)) = self.histories.remove(&id) {
            self.order.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_people_the_one_of_longest_ago_is_forgotten() {
        let mut unkept = Unkept::default();
        let (first, second) = (SubjectId::random(), SubjectId::random());
        for id in [first, second, first] {
            unkept.put(id, Vec::new());
        }
        (2..MOST).for_each(|_| unkept.put(SubjectId::random(), Vec::new()));
        assert!(unkept.of(second).is_some());
        unkept.put(SubjectId::random(), Vec::new());
        assert!(unkept.of(second).is_none() && unkept.of(first).is_some());
        unkept.forget(first);
        assert_eq!((unkept.histories.len(), unkept.order.len()), (MOST - 1, MOST - 1));
    }
}
