//! What stations may have beside decisions, as an administrator allowed it.
//!
//! Invariant: a station has nothing unless it was granted; a grant is of a station that is there, and goes with it, as a
//! restriction does, so that nobody inherits one with a name. It is in no backup: a box that is restored elsewhere grants nothing by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::OnTrial;
use crate::{
    audit::Event,
    credential::assertion::Audience,
    request::Caller,
    services::{Inner, Services},
    store::{Change, StoreError, Table, Value},
};

/// What the keys of grants begin with in [`Table::About`].
const PREFIX: &str = "grant/";
/// Audiences of a station, and stations.
const MOST_AUDIENCES: usize = 100;
const MOST: usize = 10_000;

/// What a station may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Audiences that it may ask assertions for.
    #[schema(value_type = Vec<String>, example = json!(["https://app.example"]))]
    pub audiences: BTreeSet<Audience>,
    /// Whether it may have certificates of people whose fingers it presents itself.
    pub may_issue: bool,
}

/// Why nothing was granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Too many.
    #[error("a station has at most {MOST_AUDIENCES} audiences, and a box grants to at most {MOST} stations")]
    TooMany,
    /// Nobody is called so, or not any more.
    #[error("there is no such station")]
    Unknown,
    /// None can be given now.
    #[error(transparent)]
    OnTrial(#[from] OnTrial),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type All = BTreeMap<String, Grant>;

/// Those of the box.
#[derive(Default)]
pub(in crate::services) struct Grants {
    all: ArcSwap<All>,
    changing: Mutex<()>,
}

fn key(station: &str) -> Vec<u8> {
    format!("{PREFIX}{station}").into_bytes()
}

fn put(station: &str, grant: &Grant) -> Result<Change, StoreError> {
    let value = serde_json::to_vec(grant).map_err(|why| StoreError::Io(why.to_string()))?;
    Ok(Change::Put { table: Table::About, key: key(station), value })
}

impl Grants {
    /// Takes in a value of the store; false when it is something else. One that cannot be read grants nothing.
    pub(in crate::services) fn read(&self, value: &Value) -> bool {
        let Some(name) = std::str::from_utf8(&value.key).ok().and_then(|key| key.strip_prefix(PREFIX)) else {
            return false;
        };
        if let Ok(grant) = serde_json::from_slice(&value.value) {
            self.keep(name, Some(grant));
        }
        true
    }

    pub(super) fn of(&self, station: &str) -> Option<Grant> {
        self.all.load().get(station).cloned()
    }

    fn keep(&self, station: &str, grant: Option<Grant>) {
        let mut all = All::clone(&self.all.load());
        match grant {
            Some(grant) => all.insert(station.to_owned(), grant),
            None => all.remove(station),
        };
        self.all.store(Arc::new(all));
    }

    /// Held by who changes them, and while a station is renamed or removed.
    pub(in crate::services) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes with which a grant goes to a station's new name, or goes.
    pub(in crate::services) fn renaming(
        &self,
        from: &str,
        to: Option<&str>,
    ) -> Result<Vec<Change>, StoreError> {
        let Some(grant) = self.of(from) else { return Ok(Vec::new()) };
        let mut changes = vec![Change::Delete { table: Table::About, key: key(from) }];
        if let Some(to) = to {
            changes.push(put(to, &grant)?);
        }
        Ok(changes)
    }

    /// That is done.
    pub(in crate::services) fn renamed(&self, from: &str, to: Option<&str>) {
        if let Some(grant) = self.of(from) {
            self.keep(from, None);
            if let Some(to) = to {
                self.keep(to, Some(grant));
            }
        }
    }
}

impl Services {
    /// What a station may have.
    #[must_use]
    pub fn grant_of(&self, station: &str) -> Grant {
        self.inner.handover.grants.of(station).unwrap_or_default()
    }

    /// A station may have this from now on, in place of all of before; nothing takes all away.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn grant(&self, by: &Caller, station: &str, grant: Grant) -> Result<(), GrantError> {
        let inner = &self.inner;
        inner.not_on_trial()?;
        inner.while_client(station, || inner.grant(by, station, grant)).ok_or(GrantError::Unknown)?
    }
}

impl Inner {
    fn grant(&self, by: &Caller, station: &str, grant: Grant) -> Result<(), GrantError> {
        let grants = &self.handover.grants;
        let _changing = grants.changing();
        let all = grants.all.load();
        if grant.audiences.len() > MOST_AUDIENCES || (all.len() >= MOST && !all.contains_key(station)) {
            return Err(GrantError::TooMany);
        }
        let kept = Some(grant.clone()).filter(|grant| *grant != Grant::default());
        let change = match &kept {
            Some(grant) => put(station, grant)?,
            None => Change::Delete { table: Table::About, key: key(station) },
        };
        let event = Event::StationGranted {
            station: station.to_owned(),
            audiences: grant.audiences.into_iter().map(String::from).collect(),
            may_issue: grant.may_issue,
        };
        self.commit(by, &[change], &event)?;
        grants.keep(station, kept);
        Ok(())
    }
}
