//! Restrictions as they are kept, and the policy that is in force for a request.
//!
//! Invariant: what is in memory is what is durable, with its audit record.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use super::{Inner, Services};
use crate::{
    audit::Event,
    policy::{NotARestriction, Operation, Policy, Restriction, Whom},
    request::Caller,
    store::{Change, StoreError, Table, Value},
    subject::GroupName,
};

/// What the keys of restrictions begin with in [`Table::Policy`].
const PREFIX: &str = "restriction/";
/// Restrictions of a box.
const MOST: usize = 1000;

type All = BTreeMap<Whom, Restriction>;

/// Those of the box.
#[derive(Default)]
pub(super) struct Restrictions {
    all: ArcSwap<All>,
    /// Held by who changes them.
    changing: Mutex<()>,
}

/// Why a restriction was not kept or taken away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestrictionError {
    /// It cannot be used.
    #[error(transparent)]
    Not(#[from] NotARestriction),
    /// There are so many already.
    #[error("there are {MOST} restrictions, which is as many as there may be: take some away first")]
    TooMany,
    /// There is none of that name.
    #[error("there is no such restriction")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn key(whom: &Whom) -> Vec<u8> {
    format!("{PREFIX}{whom}").into_bytes()
}

impl Restrictions {
    /// Takes in a value of the store; false when it is something else.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: a restriction must not be lost unseen.
    pub(super) fn read(&self, value: &Value) -> Result<bool, StoreError> {
        let Some(name) = std::str::from_utf8(&value.key).ok().and_then(|key| key.strip_prefix(PREFIX)) else {
            return Ok(false);
        };
        let damaged = || StoreError::Damaged { place: format!("policy/{PREFIX}{name}") };
        let (kind, of) = name.split_once('/').ok_or_else(damaged)?;
        let whom = Whom::of(kind, of).map_err(|_| damaged())?;
        let restriction: Restriction = serde_json::from_slice(&value.value).map_err(|_| damaged())?;
        self.put(whom, Some(restriction));
        Ok(true)
    }

    fn put(&self, whom: Whom, restriction: Option<Restriction>) {
        let mut all = All::clone(&self.all.load());
        match restriction {
            Some(restriction) => all.insert(whom, restriction),
            None => all.remove(&whom),
        };
        self.all.store(Arc::new(all));
    }
}

impl Services {
    /// The policy of all, and what holds beyond it.
    #[must_use]
    pub fn restrictions(&self) -> (Policy, BTreeMap<Whom, Restriction>) {
        (self.inner.policy.clone(), All::clone(&self.inner.restrictions.all.load()))
    }

    /// Puts a restriction in the place of the one of before.
    ///
    /// # Errors
    /// [`RestrictionError`].
    pub fn restrict(
        &self,
        by: &Caller,
        whom: Whom,
        restriction: Restriction,
    ) -> Result<(), RestrictionError> {
        restriction.check()?;
        let inner = &self.inner;
        let _changing = inner.restrictions.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let all = inner.restrictions.all.load();
        if all.len() >= MOST && !all.contains_key(&whom) {
            return Err(RestrictionError::TooMany);
        }
        let value = serde_json::to_vec(&restriction).map_err(|why| StoreError::Io(why.to_string()))?;
        let change = Change::Put { table: Table::Policy, key: key(&whom), value };
        let event = Event::Restricted { whom: whom.to_string(), restriction: restriction.clone() };
        Inner::commit(inner, by, &[change], &event)?;
        inner.restrictions.put(whom, Some(restriction));
        Ok(())
    }

    /// Takes a restriction away.
    ///
    /// # Errors
    /// [`RestrictionError`].
    pub fn unrestrict(&self, by: &Caller, whom: &Whom) -> Result<(), RestrictionError> {
        let inner = &self.inner;
        let _changing = inner.restrictions.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.restrictions.all.load().contains_key(whom) {
            return Err(RestrictionError::Unknown);
        }
        let change = Change::Delete { table: Table::Policy, key: key(whom) };
        Inner::commit(inner, by, &[change], &Event::Unrestricted { whom: whom.to_string() })?;
        inner.restrictions.put(whom.clone(), None);
        Ok(())
    }

    /// The policy for a request whoever it is about: of all, of the operation, and of the station that asks.
    pub(crate) fn policy_for(&self, by: &Caller, operation: Operation) -> Policy {
        let all = self.inner.restrictions.all.load();
        let of = [Whom::Operation(operation), Whom::Station(by.name.clone())];
        of.iter().filter_map(|whom| all.get(whom)).fold(self.inner.policy.clone(), Policy::restricted)
    }

    /// The same with what holds for the groups of a subject.
    pub(crate) fn policy_with(&self, policy: &Policy, groups: &BTreeSet<GroupName>) -> Policy {
        let all = self.inner.restrictions.all.load();
        let of = groups.iter().filter_map(|group| all.get(&Whom::Group(group.clone())));
        of.fold(policy.clone(), Policy::restricted)
    }
}

impl Inner {
    /// Reads them anew, after others came into the store.
    pub(super) fn read_restrictions(&self) -> Result<(), StoreError> {
        self.restrictions.all.store(Arc::default());
        self.store.read_all(&[Table::Policy], &mut |values| {
            values.iter().try_for_each(|value| self.restrictions.read(value).map(drop))
        })
    }
}
