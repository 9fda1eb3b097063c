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
use crate::{policy::Decision, request::Caller, subject::SubjectId, verify::Answer};

/// Accepts that are remembered.
const MOST: usize = 65_536;

/// Until when somebody need not lay a finger down at a station, on the clock that nobody can set.
#[derive(Default)]
pub(super) struct Graces(Mutex<HashMap<(String, SubjectId), Duration>>);

impl Graces {
    fn all(&self) -> MutexGuard<'_, HashMap<(String, SubjectId), Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A station is called otherwise, or nobody is called so any more.
    pub(super) fn rename(&self, from: &str, to: Option<&str>) {
        let mut all = self.all();
        let moved: Vec<_> = all.extract_if(|(name, _), _| name == from).collect();
        if let Some(to) = to {
            all.extend(moved.into_iter().map(|((_, of), until)| ((to.to_owned(), of), until)));
        }
    }

    /// Nobody is let in for this one any more without a finger.
    pub(super) fn forget(&self, subject: SubjectId) {
        self.all().retain(|(_, of), _| *of != subject);
    }
}

impl Services {
    /// Whether somebody need not lay a finger down.
    pub(crate) fn within_grace(&self, by: &Caller, subject: SubjectId) -> bool {
        let now = self.inner.clock.running();
        self.inner.graces.all().get(&(by.name.clone(), subject)).is_some_and(|until| now < *until)
    }

    /// Remembers what was decided now on a finger of somebody: an accept begins a grace of so many seconds, if there is
    /// one, and a refusal ends it.
    pub(crate) fn note_grace(&self, by: &Caller, subject: SubjectId, seconds: u32, answer: &Answer<'_>) {
        let is_accept = matches!(answer.decision, Decision::Accept { .. });
        if !answer.is_new || !is_accept || seconds == 0 {
            return self.end_grace(by, subject, answer);
        }
        let now = self.inner.clock.running();
        let mut all = self.inner.graces.all();
        if all.len() >= MOST {
            all.retain(|_, until| now < *until);
        }
        if all.len() < MOST {
            all.insert((by.name.clone(), subject), now + Duration::from_secs(seconds.into()));
        }
    }

    /// Ends a grace when there was a refusal now, whatever was presented.
    pub(crate) fn end_grace(&self, by: &Caller, subject: SubjectId, answer: &Answer<'_>) {
        if answer.is_new && matches!(answer.decision, Decision::Refuse { .. }) {
            self.inner.graces.all().remove(&(by.name.clone(), subject));
        }
    }
}
