//! Accepted probes that the store does not say: those of accepts while it made its index anew.
//!
//! Then nothing of people can be read or changed, and whoever lays down the right finger is let in all the same. A start
//! in that state reads everybody's history once; what comes to it goes into the store with the person's next accept
//! after. Invariant: bounded; of more people, the one who was taken up longest ago is forgotten.

use crate::{
    latest::Latest,
    replay::History,
    store::{Table, Value},
    subject::SubjectId,
};

/// People whose probes are held: some 4 kB each, 7 kB at most.
const MOST: usize = 16_384;

/// Histories by person, as the store keeps them.
pub(in crate::services) struct Unkept(Latest<SubjectId, Vec<u8>>);

impl Default for Unkept {
    fn default() -> Self {
        Self(Latest::new(MOST))
    }
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
        self.0.get(id).cloned()
    }

    pub(super) fn put(&mut self, id: SubjectId, history: Vec<u8>) {
        self.0.put(id, history);
    }

    pub(in crate::services) fn forget(&mut self, id: SubjectId) {
        self.0.take(id);
    }
}
