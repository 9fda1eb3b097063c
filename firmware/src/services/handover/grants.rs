//! What stations may have beside decisions, as an administrator allowed it.
//!
//! Invariant: a station has nothing unless it was granted; a grant goes with the station, as a restriction does, and is in no
//! backup: a box that is restored elsewhere grants nothing by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
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
        let grants = &self.inner.handover.grants;
        let _changing = grants.changing.lock().unwrap_or_else(PoisonError::into_inner);
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
        Inner::commit(&self.inner, by, &[change], &event)?;
        grants.keep(station, kept);
        Ok(())
    }
}
