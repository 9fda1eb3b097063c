//! The tallies in memory, with when each was right and what the store says of it.
//!
//! Subjects who are not enrolled are counted as everybody is, or a lockout would tell who is. Invariant: their number is
//! bounded; of more, the one with the fewest failures is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{About, PREFIX};
use crate::{
    policy::{Lockout, Scope, Tally, Verdict, Wait},
    store::{Change, StoreError, Table, Value},
    subject::SubjectId,
};

/// Subjects who are not enrolled and are counted.
pub(super) const STRAYS: usize = 4096;

/// The numbers that count. Those of a subject's own policy are not told, and are nobody else's: a station or a reader is
/// not locked for all by what restricts one group.
pub(crate) struct Numbers {
    /// For stations and readers, and for a subject without own ones.
    pub(crate) told: Lockout,
    /// For the subject.
    pub(crate) own: Option<Lockout>,
}

impl Numbers {
    fn of(&self, scope: Scope) -> &Lockout {
        match (scope, &self.own) {
            (Scope::Subject, Some(own)) => own,
            _ => &self.told,
        }
    }
}

impl From<Lockout> for Numbers {
    fn from(told: Lockout) -> Self {
        Self { told, own: None }
    }
}

/// A tally, with when it was right.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) tally: Tally,
    pub(super) as_of: Duration,
    /// The wait that the store says.
    kept: Option<Duration>,
    /// Of somebody who is not enrolled: the place among them.
    stray: Option<(u32, u64)>,
}

/// Who has failed.
#[derive(Default)]
pub(in crate::services) struct Lockouts {
    pub(super) entries: BTreeMap<About, Entry>,
    /// Subjects who are not enrolled: those with the fewest failures first, and of them the ones longest ago.
    pub(super) strays: BTreeSet<(u32, u64, SubjectId)>,
    turn: u64,
    /// Whether a thread keeps what was waited.
    pub(super) keeping: bool,
}

impl Lockouts {
    /// Takes in a value of the store; what it is not about is another's.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: a lockout must not be lost unseen.
    pub(in crate::services) fn read(&mut self, value: &Value, now: Duration) -> Result<(), StoreError> {
        if value.table != Table::Counters || !value.key.starts_with(PREFIX.as_bytes()) {
            return Ok(());
        }
        let place = || String::from_utf8_lossy(&value.key).into_owned();
        let damaged = || StoreError::Damaged { place: format!("counters/{}", place()) };
        let about = About::of_key(&value.key).ok_or_else(damaged)?;
        let tally: Tally = serde_json::from_slice(&value.value).map_err(|_| damaged())?;
        self.entries.insert(about, Entry { tally, as_of: now, kept: tally.wait(), stray: None });
        Ok(())
    }

    /// Says which of the subjects that were read are enrolled.
    pub(in crate::services) fn settle_strays(&mut self, enrolled: impl Fn(SubjectId) -> bool) {
        let strays: Vec<SubjectId> = self.entries.keys().filter_map(subject).collect();
        for id in strays.into_iter().filter(|id| !enrolled(*id)) {
            self.place(id, true);
        }
    }

    pub(super) fn at(&mut self, about: &About, now: Duration, rules: &Lockout) -> &mut Entry {
        let new = || Entry { tally: Tally::default(), as_of: now, kept: None, stray: None };
        let entry = self.entries.entry(about.clone()).or_insert_with(new);
        entry.tally.pass(now.saturating_sub(entry.as_of), rules, about.scope());
        entry.as_of = now;
        entry
    }

    /// The longest wait of some.
    pub(super) fn wait(&mut self, about: &[About], now: Duration, numbers: &Numbers) -> Option<Wait> {
        let waits = about.iter().filter_map(|about| {
            self.entries.contains_key(about).then_some(())?;
            let left = self.at(about, now, numbers.of(about.scope())).tally.wait()?;
            Some(Wait { of: about.scope(), left })
        });
        waits.max_by_key(|wait| wait.left)
    }

    /// Counts a verdict for some, and says whose tallies are others now.
    pub(super) fn count(
        &mut self,
        (about, verdict): (&[About], &Verdict),
        (now, numbers): (Duration, &Numbers),
        enrolled: impl Fn(SubjectId) -> bool,
    ) -> Vec<About> {
        let mut touched = Vec::new();
        for about in about {
            let rules = numbers.of(about.scope());
            if verdict.is_success() && self.entries.contains_key(about) {
                let entry = self.at(about, now, rules);
                let before = entry.tally;
                entry.tally.succeed(about.scope());
                if entry.tally != before {
                    touched.push(about.clone());
                }
            } else if verdict.is_failure() {
                self.at(about, now, rules).tally.fail(rules, about.scope());
                touched.push(about.clone());
                if let About::Subject(id) = about {
                    self.place(*id, !enrolled(*id));
                }
            }
        }
        while self.strays.len() > STRAYS {
            let Some((_, _, id)) = self.strays.pop_first() else { break };
            self.entries.remove(&About::Subject(id));
            touched.push(About::Subject(id));
        }
        touched
    }

    /// Puts a subject's tally among those of who is not enrolled, or takes it out from there.
    pub(super) fn place(&mut self, id: SubjectId, stray: bool) {
        let Some(entry) = self.entries.get_mut(&About::Subject(id)) else { return };
        if let Some((failures, turn)) = entry.stray.take() {
            self.strays.remove(&(failures, turn, id));
        }
        if stray {
            self.turn += 1;
            let place = (entry.tally.failures(), self.turn);
            entry.stray = Some(place);
            self.strays.insert((place.0, place.1, id));
        }
    }

    /// What the store is to say of some.
    pub(super) fn changes(&mut self, about: &[About]) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::with_capacity(about.len());
        for about in about {
            let (table, key) = (Table::Counters, about.key());
            match self.entries.get_mut(about) {
                Some(entry) if !entry.tally.is_clear() => {
                    entry.kept = entry.tally.wait();
                    let value =
                        serde_json::to_vec(&entry.tally).map_err(|why| StoreError::Io(why.to_string()))?;
                    changes.push(Change::Put { table, key, value });
                }
                _ => {
                    self.remove(about);
                    changes.push(Change::Delete { table, key });
                }
            }
        }
        Ok(changes)
    }

    pub(super) fn remove(&mut self, about: &About) -> Option<Entry> {
        let entry = self.entries.remove(about)?;
        if let (About::Subject(id), Some((failures, turn))) = (about, entry.stray) {
            self.strays.remove(&(failures, turn, *id));
        }
        Some(entry)
    }

    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.entries.values().any(|entry| entry.kept.is_some())
    }

    /// Those of whom the store says that they wait.
    pub(super) fn waiting(&self) -> Vec<About> {
        self.entries.iter().filter(|(_, e)| e.kept.is_some()).map(|(about, _)| about.clone()).collect()
    }
}

fn subject(about: &About) -> Option<SubjectId> {
    match about {
        About::Subject(id) => Some(*id),
        About::Station(_) | About::Sensor(_) => None,
    }
}
