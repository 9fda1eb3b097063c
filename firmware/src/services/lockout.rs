//! Lockout as it is kept: who failed how often, and what there is still to wait.
//!
//! Invariant: what a failure costs is durable, in the commit of its audit record, before its answer is given; and
//! tallies are submitted in the order in which they were counted. So neither a cut of the power nor many attempts at
//! the same moment win a guess. Waiting runs on a clock that nobody can set; while somebody waits, what was waited is
//! kept every half a minute.
//!
//! Subjects who are not enrolled are counted as everybody is, or a lockout would tell who is. Their number is bounded:
//! of more, the one with the fewest failures is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use authenteon_hal::discovery::ReaderId;
use tracing::warn;

use super::{Inner, Services, SubjectError};
use crate::{
    audit::Event,
    observe::Step,
    policy::{Bar, Decision, Lockout, Scope, Tally, Verdict, Wait},
    request::Caller,
    store::{Change, StoreError, Table, Value},
    subject::{FingerPosition, SubjectId},
};

/// What the keys of tallies begin with.
const PREFIX: &str = "lockout/";
/// Subjects who are not enrolled and are counted.
const STRAYS: usize = 4096;
/// How often what was waited is kept.
const KEEP: Duration = Duration::from_secs(30);

/// Whose failures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Subject(SubjectId),
    /// By name: a certificate that is renewed is no new beginning.
    Station(String),
    Sensor(String),
}

impl About {
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Subject(_) => Scope::Subject,
            Self::Station(_) => Scope::Station,
            Self::Sensor(_) => Scope::Sensor,
        }
    }

    /// Which one.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Subject(id) => id.to_string(),
            Self::Station(name) | Self::Sensor(name) => name.clone(),
        }
    }

    fn key(&self) -> Vec<u8> {
        format!("{PREFIX}{}/{}", self.scope().name(), self.id()).into_bytes()
    }

    fn of_key(key: &[u8]) -> Option<Self> {
        let (scope, id) = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?.split_once('/')?;
        match scope {
            "subject" => id.parse().ok().map(Self::Subject),
            "station" => Some(Self::Station(id.to_owned())),
            "sensor" => Some(Self::Sensor(id.to_owned())),
            _ => None,
        }
    }
}

/// Who tries, for whom and where.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) by: &'a Caller,
    /// Who is claimed, if somebody is.
    pub(crate) claimed: Option<SubjectId>,
    /// At which reader of the box, if at one.
    pub(crate) sensor: Option<&'a ReaderId>,
}

impl Attempt<'_> {
    /// Whose failure it would be.
    fn about(&self) -> Vec<About> {
        let subject = self.claimed.map(About::Subject);
        let sensor = self.sensor.map(|id| About::Sensor(id.as_str().to_owned()));
        subject.into_iter().chain([About::Station(self.by.name.clone())]).chain(sensor).collect()
    }
}

/// A tally, with when it was right.
struct Entry {
    tally: Tally,
    as_of: Duration,
    /// The wait that the store says.
    kept: Option<Duration>,
    /// Of somebody who is not enrolled: the place among them.
    stray: Option<(u32, u64)>,
}

/// Who has failed.
#[derive(Default)]
pub(super) struct Lockouts {
    entries: BTreeMap<About, Entry>,
    /// Subjects who are not enrolled: those with the fewest failures first, and of them the ones longest ago.
    strays: BTreeSet<(u32, u64, SubjectId)>,
    turn: u64,
    /// Whether a thread keeps what was waited.
    keeping: bool,
}

/// Somebody with failures, as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Of what kind.
    pub scope: Scope,
    /// Which one.
    pub id: String,
    /// How many.
    pub failures: u32,
    /// What there is to wait, if anything.
    pub wait: Option<Wait>,
}

impl Lockouts {
    /// Takes in a value of the store; what it is not about is another's.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: a lockout must not be lost unseen.
    pub(super) fn read(&mut self, value: &Value, now: Duration) -> Result<(), StoreError> {
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
    pub(super) fn settle_strays(&mut self, enrolled: impl Fn(SubjectId) -> bool) {
        let strays: Vec<SubjectId> = self.entries.keys().filter_map(subject).collect();
        for id in strays.into_iter().filter(|id| !enrolled(*id)) {
            self.place(id, true);
        }
    }

    fn at(&mut self, about: &About, now: Duration, rules: &Lockout) -> &mut Entry {
        let new = || Entry { tally: Tally::default(), as_of: now, kept: None, stray: None };
        let entry = self.entries.entry(about.clone()).or_insert_with(new);
        entry.tally.pass(now.saturating_sub(entry.as_of), rules, about.scope());
        entry.as_of = now;
        entry
    }

    /// The longest wait of some.
    fn wait(&mut self, about: &[About], now: Duration, rules: &Lockout) -> Option<Wait> {
        let waits = about.iter().filter_map(|about| {
            self.entries.contains_key(about).then_some(())?;
            let left = self.at(about, now, rules).tally.wait()?;
            Some(Wait { of: about.scope(), left })
        });
        waits.max_by_key(|wait| wait.left)
    }

    /// Counts a verdict for some, and says whose tallies are others now.
    fn count(
        &mut self,
        (about, verdict): (&[About], &Verdict),
        (now, rules): (Duration, &Lockout),
        enrolled: impl Fn(SubjectId) -> bool,
    ) -> Vec<About> {
        let mut touched = Vec::new();
        for about in about {
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
    fn place(&mut self, id: SubjectId, stray: bool) {
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
    fn changes(&mut self, about: &[About]) -> Result<Vec<Change>, StoreError> {
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

    fn remove(&mut self, about: &About) -> Option<Entry> {
        let entry = self.entries.remove(about)?;
        if let (About::Subject(id), Some((failures, turn))) = (about, entry.stray) {
            self.strays.remove(&(failures, turn, *id));
        }
        Some(entry)
    }

    /// Those of whom the store says that they wait.
    fn waiting(&self) -> Vec<About> {
        self.entries.iter().filter(|(_, e)| e.kept.is_some()).map(|(about, _)| about.clone()).collect()
    }
}

fn subject(about: &About) -> Option<SubjectId> {
    match about {
        About::Subject(id) => Some(*id),
        About::Station(_) | About::Sensor(_) => None,
    }
}

impl Services {
    /// What an attempt has to wait for before anything is looked at.
    pub(crate) fn wait(&self, attempt: &Attempt<'_>, rules: &Lockout) -> Option<Wait> {
        let inner = &self.inner;
        inner.lockouts().wait(&attempt.about(), inner.clock.running(), rules)
    }

    /// Makes a verdict the decision: a lockout refuses whatever the verdict is, a failure is counted, and both are
    /// durable with their audit record; so is what is changed with an accept.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is decided.
    pub(crate) fn settle(
        &self,
        attempt: &Attempt<'_>,
        rules: &Lockout,
        (verdict, also): (Verdict, &[Change]),
        event: impl FnOnce(&Verdict) -> Event,
    ) -> Result<Decision, StoreError> {
        let inner = &self.inner;
        let mut about = attempt.about();
        if let Decision::Accept { subject } = verdict.decision
            && attempt.claimed.is_none()
        {
            about.push(About::Subject(subject));
        }
        let mut lockouts = inner.lockouts();
        let now = inner.clock.running();
        // Again: others may have failed while this one was compared.
        let verdict = match lockouts.wait(&about, now, rules) {
            Some(wait) => verdict.barred(&Bar::LockedOut(wait)),
            None => verdict,
        };
        let gallery = inner.gallery();
        let enrolled =
            |id| FingerPosition::ALL.iter().any(|position| gallery.get(&(id, *position)).is_some());
        let touched = lockouts.count((&about, &verdict), (now, rules), enrolled);
        let event = event(&verdict);
        loop {
            let mut changes = inner.kept(&mut lockouts, &touched)?;
            if matches!(verdict.decision, Decision::Accept { .. }) {
                changes.extend_from_slice(also);
            }
            let submitted = inner.submit(attempt.by, &changes, &event);
            drop(lockouts);
            match submitted.and_then(|ticket| inner.timed(Step::Commit, || inner.store.wait(&ticket))) {
                // With what is counted by then.
                Err(StoreError::Superseded) => lockouts = inner.lockouts(),
                done => break done?,
            }
        }
        keep_waits(inner);
        Ok(verdict.decision)
    }

    /// Everybody with failures, those who wait longest first.
    #[must_use]
    pub fn lockouts(&self) -> Vec<Failed> {
        let inner = &self.inner;
        let mut lockouts = inner.lockouts();
        let now = inner.clock.running();
        let all: Vec<About> = lockouts.entries.keys().cloned().collect();
        let mut failed: Vec<Failed> = all
            .iter()
            .filter_map(|about| {
                let tally = lockouts.at(about, now, &inner.policy.lockout).tally;
                let wait = tally.wait().map(|left| Wait { of: about.scope(), left });
                let failed =
                    Failed { scope: about.scope(), id: about.id(), failures: tally.failures(), wait };
                (!tally.is_clear()).then_some(failed)
            })
            .collect();
        failed.sort_by_key(|f| std::cmp::Reverse((f.wait.map(|w| w.left), f.failures)));
        failed
    }

    /// Takes away somebody's failures, and what is to be waited for them. Of who has none it is no error.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub(crate) fn clear_lockout(&self, by: &Caller, about: &About) -> Result<(), SubjectError> {
        let inner = &self.inner;
        if let About::Subject(id) = about {
            inner.subject(*id)?.ok_or(SubjectError::Unknown)?;
        }
        let event = Event::LockoutCleared { scope: about.scope(), id: about.id() };
        let mut lockouts = inner.lockouts();
        let before = lockouts.remove(about);
        loop {
            let changes = inner.kept(&mut lockouts, std::slice::from_ref(about))?;
            let submitted = inner.submit(by, &changes, &event);
            drop(lockouts);
            match submitted.and_then(|ticket| inner.timed(Step::Commit, || inner.store.wait(&ticket))) {
                Err(StoreError::Superseded) => lockouts = inner.lockouts(),
                Ok(()) => return Ok(()),
                Err(why) => {
                    if let Some(entry) = before {
                        inner.lockouts().entries.entry(about.clone()).or_insert(entry);
                    }
                    return Err(why.into());
                }
            }
        }
    }
}

impl Inner {
    pub(super) fn lockouts(&self) -> MutexGuard<'_, Lockouts> {
        self.lockouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes that keep the tallies of some; none where the version before may have to go on with the store.
    fn kept(&self, lockouts: &mut Lockouts, about: &[About]) -> Result<Vec<Change>, StoreError> {
        if self.store.is_earlier() { Ok(Vec::new()) } else { lockouts.changes(about) }
    }

    /// What goes with a subject who is deleted.
    pub(super) fn lockout_of(&self, id: SubjectId) -> Change {
        Change::Delete { table: Table::Counters, key: About::Subject(id).key() }
    }

    /// Forgets a subject who was deleted.
    pub(super) fn forget_lockout(&self, id: SubjectId) {
        self.lockouts().remove(&About::Subject(id));
    }

    /// Reads the tallies anew, after others came into the store.
    pub(super) fn read_lockouts(&self) -> Result<(), StoreError> {
        let (mut fresh, now) = (Lockouts::default(), self.clock.running());
        self.store.read_all(&[Table::Counters], &mut |values| {
            values.iter().try_for_each(|value| fresh.read(value, now))
        })?;
        let gallery = self.gallery();
        fresh.settle_strays(|id| FingerPosition::ALL.iter().any(|p| gallery.get(&(id, *p)).is_some()));
        let mut lockouts = self.lockouts();
        fresh.keeping = lockouts.keeping;
        *lockouts = fresh;
        Ok(())
    }

    /// Keeps what was waited; false when nobody waits any more.
    fn keep_waited(&self) -> Result<bool, StoreError> {
        let mut lockouts = self.lockouts();
        let (waiting, now) = (lockouts.waiting(), self.clock.running());
        for about in &waiting {
            lockouts.at(about, now, &self.policy.lockout);
        }
        let changes = self.kept(&mut lockouts, &waiting)?;
        lockouts.keeping = !changes.is_empty();
        if changes.is_empty() {
            return Ok(false);
        }
        // No decision: there is nothing to tell the audit. In the order in which it was counted, as they are.
        let ticket = self.store.submit(changes, self.store.epoch())?;
        drop(lockouts);
        match self.store.wait(&ticket) {
            // The store says more than is true; the next time comes.
            Err(StoreError::Superseded) | Ok(()) => Ok(true),
            Err(why) => Err(why),
        }
    }
}

/// Starts keeping what is waited, when somebody waits and nobody does yet.
pub(super) fn keep_waits(inner: &Arc<Inner>) {
    let mut lockouts = inner.lockouts();
    if lockouts.keeping || lockouts.waiting().is_empty() {
        return;
    }
    lockouts.keeping = true;
    drop(lockouts);
    let weak = Arc::downgrade(inner);
    let work = move || loop {
        thread::sleep(KEEP);
        // Nobody waits for this thread: it does not keep the services.
        let Some(inner) = weak.upgrade() else { return };
        match inner.keep_waited() {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => {
                warn!(%why, "what was waited of a lockout is not kept: a restart now would make it longer");
            }
        }
    };
    if let Err(why) = thread::Builder::new().name("lockout".to_owned()).spawn(work) {
        warn!(%why, "what is waited of a lockout is not kept: a restart now would make it longer");
        inner.lockouts().keeping = false;
    }
}

#[cfg(test)]
mod tests;
