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
    pub(super) changing: Mutex<()>,
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

pub(super) fn key(whom: &Whom) -> Vec<u8> {
    format!("{PREFIX}{whom}").into_bytes()
}

/// The change that keeps a restriction.
pub(super) fn put(whom: &Whom, restriction: &Restriction) -> Result<Change, StoreError> {
    let value = serde_json::to_vec(restriction).map_err(|why| StoreError::Io(why.to_string()))?;
    Ok(Change::Put { table: Table::Policy, key: key(whom), value })
}

/// A restriction, if it is one that lies under a key.
fn parsed(key: &[u8], value: &[u8]) -> Result<Option<(Whom, Restriction)>, StoreError> {
    let Some(name) = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(PREFIX)) else {
        return Ok(None);
    };
    let damaged = || StoreError::Damaged { place: format!("policy/{PREFIX}{name}") };
    let (kind, of) = name.split_once('/').ok_or_else(damaged)?;
    let whom = Whom::of(kind, of).map_err(|_| damaged())?;
    Ok(Some((whom, serde_json::from_slice(value).map_err(|_| damaged())?)))
}

impl Restrictions {
    /// Takes in a value of the store; false when it is something else.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: a restriction must not be lost unseen.
    pub(super) fn read(&self, value: &Value) -> Result<bool, StoreError> {
        let Some((whom, restriction)) = parsed(&value.key, &value.value)? else { return Ok(false) };
        self.put(whom, Some(restriction));
        Ok(true)
    }

    pub(super) fn of(&self, whom: &Whom) -> Option<Restriction> {
        self.all.load().get(whom).cloned()
    }

    pub(super) fn has(&self, whom: &Whom) -> bool {
        self.all.load().contains_key(whom)
    }

    pub(super) fn put(&self, whom: Whom, restriction: Option<Restriction>) {
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
        restriction.check_for(&whom)?;
        let inner = &self.inner;
        let _changing = inner.restrictions.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let all = inner.restrictions.all.load();
        if all.len() >= MOST && !all.contains_key(&whom) {
            return Err(RestrictionError::TooMany);
        }
        let change = put(&whom, &restriction)?;
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
    /// Those of the box, and those that changes of the store bring.
    pub(super) fn restrictions_with(
        &self,
        changes: &[Change],
    ) -> Result<BTreeMap<Whom, Restriction>, StoreError> {
        let mut all = All::clone(&self.restrictions.all.load());
        for change in changes {
            if let Change::Put { key, value, .. } = change {
                all.extend(parsed(key, value)?);
            }
        }
        Ok(all)
    }

    /// From now on these are in force.
    pub(super) fn use_restrictions(&self, all: BTreeMap<Whom, Restriction>) {
        self.restrictions.all.store(Arc::new(all));
    }
}
