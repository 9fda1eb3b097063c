//! Subjects: made, read and deleted.
//!
//! Invariant: with a subject goes all that is kept of him, in one commit, and no accept of him is made after it.

use super::{Inner, Services, SubjectError, SubjectRecord, put_factors, put_subject, subject_of};
use crate::{
    audit::Event,
    gallery::finger_key,
    request::Caller,
    services::{factors::Factors, record::parse_subject},
    store::{Change, StoreError, Table},
    subject::{FingerPosition, NewSubject, Subject, SubjectId},
};

impl Services {
    /// Makes a subject.
    ///
    /// # Errors
    /// [`SubjectError::Store`].
    pub fn create_subject(&self, by: &Caller, new: NewSubject) -> Result<Subject, SubjectError> {
        // Before it waits, and again when it need not.
        self.inner.room_for_people()?;
        let _people = self.inner.people();
        self.inner.room_for_people()?;
        let id = SubjectId::random();
        let record = SubjectRecord::new(new.name, self.inner.clock.now());
        let mut changes = vec![put_subject(id, &record)?];
        let factors = Factors { groups: new.groups, ..Factors::default() };
        if factors != Factors::default() {
            changes.push(put_factors(id, &factors)?);
        }
        Inner::commit(&self.inner, by, &changes, &Event::SubjectCreated { subject: id })?;
        self.inner.keep_factors(id, factors.clone());
        Ok(record.subject(id, &factors))
    }

    /// One subject.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn subject(&self, id: SubjectId) -> Result<Subject, SubjectError> {
        self.inner.people_may_change()?;
        let record = self.inner.subject(id)?.ok_or(SubjectError::Unknown)?;
        Ok(record.subject(id, &self.inner.factors.of(id)))
    }

    /// Up to `limit` subjects in the order of their ids, from the first after `after`.
    ///
    /// # Errors
    /// [`SubjectError::Store`].
    pub fn subjects(&self, after: Option<SubjectId>, limit: usize) -> Result<Vec<Subject>, SubjectError> {
        self.inner.people_may_change()?;
        let after = after.as_ref().map(|id| id.as_bytes().as_slice());
        let page = self.inner.store.scan(Table::Subjects, after, limit)?;
        let subjects = page.iter().map(|(key, value)| {
            let id = subject_of(key)?;
            Ok(parse_subject(id, value)?.subject(id, &self.inner.factors.of(id)))
        });
        subjects.collect()
    }

    /// Deletes a subject and everything kept of the fingers.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn delete_subject(&self, by: &Caller, id: SubjectId) -> Result<(), SubjectError> {
        self.inner.people_may_change()?;
        let _people = self.inner.people();
        self.inner.people_may_change()?;
        self.inner.subject(id)?.ok_or(SubjectError::Unknown)?;
        Ok(self.inner.erase(by, id)?)
    }
}

impl Inner {
    /// Deletes a subject who is there, while people are held.
    pub(super) fn erase(&self, by: &Caller, id: SubjectId) -> Result<(), StoreError> {
        let mut changes = vec![Change::Delete { table: Table::Subjects, key: id.as_bytes().to_vec() }];
        // All that there could be: nothing of the person stays because a record does not list it.
        let fingers = FingerPosition::ALL.map(|position| (id, position));
        changes.extend(fingers.iter().map(|f| Change::Delete { table: Table::Fingers, key: finger_key(f) }));
        let rest = [Table::Factors, Table::Probes];
        changes.extend(rest.map(|table| Change::Delete { table, key: id.as_bytes().to_vec() }));
        let _turn = self.accepting.begin(&id);
        self.commit_deleted(by, id, &changes)?;
        self.forget_factors(id);
        self.forget_proofs(id);
        self.gallery.change(|gallery| {
            for finger in &fingers {
                gallery.remove(finger);
            }
        });
        self.count_as_stray(id);
        Ok(())
    }
}
