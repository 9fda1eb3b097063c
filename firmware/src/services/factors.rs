//! What is kept of a person beside name and fingers: groups, PIN, fingers under duress, recovery code, and which directory
//! he is followed in.
//!
//! It lies in one value under the person's key, and in memory for decisions, which read no store. Invariant: what is in
//! memory is what is durable; both go with the person.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

use super::{Inner, Services, SubjectError, put_subject};
use crate::{
    audit::Event,
    directory::{Link, SourceName, State},
    factor::{Issued, PinHash},
    request::Caller,
    store::{Change, StoreError, Table, Value},
    subject::{FingerPosition, GroupName, Subject, SubjectId, SubjectName},
};

/// As it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Factors {
    /// Whose restrictions hold for the person.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) groups: BTreeSet<GroupName>,
    /// What only the person knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<PinHash>,
    /// Fingers that are accepted with a silent alarm.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) duress: BTreeSet<FingerPosition>,
    /// A code that is good once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery: Option<Issued>,
    /// Which directory he is in, if he was not made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) followed: Option<Link>,
}

/// Everybody's.
#[derive(Default)]
pub(super) struct EverybodysFactors(RwLock<HashMap<SubjectId, Arc<Factors>>>);

fn damaged(id: SubjectId) -> StoreError {
    StoreError::Damaged { place: format!("factors/{id}") }
}

impl EverybodysFactors {
    /// Takes in a value of the store.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: what restricts somebody must not be lost unseen.
    pub(super) fn read(&self, value: &Value) -> Result<(), StoreError> {
        let bad = || StoreError::Damaged { place: "factors".to_owned() };
        let id = SubjectId::from_bytes(value.key.as_slice().try_into().map_err(|_| bad())?);
        let factors = serde_json::from_slice(&value.value).map_err(|_| damaged(id))?;
        self.put(id, Some(factors));
        Ok(())
    }

    pub(super) fn of(&self, id: SubjectId) -> Arc<Factors> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&id).cloned().unwrap_or_default()
    }

    fn put(&self, id: SubjectId, factors: Option<Factors>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match factors.filter(|factors| *factors != Factors::default()) {
            Some(factors) => all.insert(id, Arc::new(factors)),
            None => all.remove(&id),
        };
    }

    /// Looks at everybody who is followed.
    pub(super) fn each_followed(&self, mut look: impl FnMut(SubjectId, &Link)) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|(id, factors)| {
            if let Some(link) = &factors.followed {
                look(*id, link);
            }
        });
    }

    /// Everybody whom this directory has.
    pub(super) fn followed(&self, source: &SourceName) -> Vec<(SubjectId, Link)> {
        let mut found = Vec::new();
        self.each_followed(|id, link| {
            if link.source == *source {
                found.push((id, link.clone()));
            }
        });
        found
    }

    /// Whether any of whom this directory has is so.
    pub(super) fn any_followed(&self, source: &SourceName, is_so: impl Fn(&Link) -> bool) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let links = all.values().filter_map(|factors| factors.followed.as_ref());
        links.filter(|link| link.source == *source).any(is_so)
    }

    pub(super) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The change that keeps somebody's.
pub(crate) fn put_factors(id: SubjectId, factors: &Factors) -> Result<Change, StoreError> {
    let value = serde_json::to_vec(factors).map_err(|why| StoreError::Io(why.to_string()))?;
    // Never taken away while the person is there: that is how a person is erased.
    Ok(Change::Put { table: Table::Factors, key: id.as_bytes().to_vec(), value })
}

/// What is to be changed of a subject; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectChange {
    /// Another name.
    pub name: Option<SubjectName>,
    /// Other groups, in place of all of before.
    pub groups: Option<BTreeSet<GroupName>>,
}

/// Why a subject's name and groups were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// He is in a directory, which says what he is called and which groups he is in.
    #[error(
        "this subject is followed in the directory {0}, which says name and groups: change them there, or the groups of \
         its mapping in the configuration; fingers, PIN and codes are changed here"
    )]
    Followed(SourceName),
    /// There is none, or the store failed.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

impl From<StoreError> for ChangeError {
    fn from(why: StoreError) -> Self {
        Self::Subject(why.into())
    }
}

impl Services {
    /// Changes a subject's name or groups.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn change_subject(
        &self,
        by: &Caller,
        id: SubjectId,
        change: SubjectChange,
    ) -> Result<Subject, ChangeError> {
        let inner = &self.inner;
        inner.room_for_people()?;
        let _people = inner.people();
        inner.people_may_change()?;
        let mut record = inner.subject(id)?.ok_or(SubjectError::Unknown)?;
        let mut factors = Factors::clone(&inner.factors.of(id));
        if let Some(link) = &factors.followed {
            return Err(ChangeError::Followed(link.source.clone()));
        }
        let mut changes = Vec::new();
        let event = Event::SubjectChanged {
            subject: id,
            renamed: change.name.as_ref().is_some_and(|name| *name != record.name),
            groups: change.groups.clone().map(|groups| groups.into_iter().map(String::from).collect()),
        };
        if let Some(name) = change.name {
            record.name = name;
            changes.push(put_subject(id, &record)?);
        }
        if let Some(groups) = change.groups {
            factors.groups = groups;
            changes.push(put_factors(id, &factors)?);
        }
        if !changes.is_empty() {
            Inner::commit(inner, by, &changes, &event)?;
            inner.factors.put(id, Some(factors.clone()));
        }
        Ok(record.subject(id, &factors))
    }
}

impl Inner {
    /// What is kept of somebody; nothing of who does not exist.
    pub(crate) fn factors_of(&self, id: SubjectId) -> Arc<Factors> {
        self.factors.of(id)
    }

    /// How somebody stands in the directory that he is followed in.
    pub(crate) fn directory_state(&self, id: SubjectId) -> State {
        self.factors.of(id).followed.as_ref().map_or(State::Active, |link| link.state)
    }

    /// Takes up what is kept of a subject who is made or changed.
    pub(crate) fn keep_factors(&self, id: SubjectId, factors: Factors) {
        self.factors.put(id, Some(factors));
    }

    /// Forgets what is kept of somebody who was deleted.
    pub(super) fn forget_factors(&self, id: SubjectId) {
        self.factors.put(id, None);
        self.logins.put(id, None);
    }

    /// Forgets what is kept of everybody: nobody is there.
    pub(super) fn forget_factors_of_all(&self) {
        self.factors.clear();
        self.logins.forget();
    }

    /// Reads everybody's anew, after others came into the store.
    pub(super) fn read_factors(&self) -> Result<(), StoreError> {
        self.factors.clear();
        let read = self.store.read_all(&[Table::Factors], &mut |values| {
            values.iter().try_for_each(|value| self.factors.read(value))
        });
        // After that: who asked for a name meanwhile saw a part of them.
        self.logins.forget();
        read
    }
}
