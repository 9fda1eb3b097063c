//! People whom a repair of the store took out: they were erased, or lost a finger, in what was given up, and their keys
//! are gone.
//!
//! Invariant: each is among the erasures, so that no older backup brings back who was erased.

use super::{Inner, this_box};
use crate::{
    audit::Event,
    store::{Change, StoreError, TAKEN_OUT, Table, Value},
    subject::SubjectId,
};

/// Those whom the store names.
#[derive(Default)]
pub(super) struct Lost(Vec<SubjectId>);

impl Lost {
    /// Takes in a fact of the store; false when it is another one.
    pub(super) fn read(&mut self, fact: &Value) -> bool {
        let id = fact.key.strip_prefix(TAKEN_OUT).and_then(|id| id.try_into().ok());
        self.0.extend(id.map(SubjectId::from_bytes));
        id.is_some()
    }
}

impl Inner {
    /// Makes erasures of them, with a record each.
    pub(super) fn keep_lost(&self, lost: &Lost) -> Result<(), StoreError> {
        for subject in &lost.0 {
            let key = [TAKEN_OUT, subject.as_bytes().as_slice()].concat();
            let done = Change::Delete { table: Table::About, key };
            self.commit(&this_box(), &[done], &Event::SubjectLost { subject: *subject })?;
        }
        Ok(())
    }
}
