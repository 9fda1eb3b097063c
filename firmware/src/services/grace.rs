//! The grace period: whoever was accepted by a finger a moment ago need not lay it down again, at the same station and
//! where the policy allows it.
//!
//! Invariant: an accept by grace neither prolongs the grace nor takes a failure away; a failure ends it. It is in memory
//! only: a restart ends it too.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Services;
use crate::{policy::Decision, request::Caller, subject::SubjectId};

/// Accepts that are remembered.
const MOST: usize = 65_536;

/// Until when somebody need not lay a finger down at a station, on the clock that nobody can set.
#[derive(Default)]
pub(super) struct Graces(Mutex<HashMap<(String, SubjectId), Duration>>);

impl Graces {
    fn all(&self) -> MutexGuard<'_, HashMap<(String, SubjectId), Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services {
    /// Whether somebody need not lay a finger down.
    pub(crate) fn within_grace(&self, by: &Caller, subject: SubjectId) -> bool {
        let now = self.inner.clock.running();
        self.inner.graces.all().get(&(by.name.clone(), subject)).is_some_and(|until| now < *until)
    }

    /// Remembers what was decided on a finger of somebody: an accept begins a grace of so many seconds, if there is one,
    /// and a refusal ends it.
    pub(crate) fn note_grace(&self, by: &Caller, subject: SubjectId, seconds: u32, decision: &Decision) {
        let now = self.inner.clock.running();
        let key = (by.name.clone(), subject);
        let mut all = self.inner.graces.all();
        match decision {
            Decision::Accept { .. } => {
                if seconds == 0 {
                    return;
                }
                if all.len() >= MOST {
                    all.retain(|_, until| now < *until);
                }
                if all.len() < MOST {
                    all.insert(key, now + Duration::from_secs(seconds.into()));
                }
            }
            Decision::Refuse { .. } => drop(all.remove(&key)),
            Decision::Retry { .. } => {}
        }
    }
}
