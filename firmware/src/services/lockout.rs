//! Lockout as it is kept: who failed how often, and what there is still to wait.
//!
//! Invariant: what a failure costs is durable, in the commit of its audit record, before its answer is given; and
//! tallies are submitted in the order in which they were counted. So neither a cut of the power nor many attempts at
//! the same moment win a guess. Waiting runs on a clock that nobody can set; while somebody waits, what was waited is
//! kept every half a minute.

mod tallies;

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use authenteon_hal::discovery::ReaderId;
use tracing::warn;

use self::tallies::Entry;
pub(super) use self::tallies::Lockouts;
pub(crate) use self::tallies::Numbers;
use super::{Inner, Services, SubjectError, is_enrolled};
use crate::{
    audit::Event,
    observe::Step,
    policy::{Bar, Decision, Scope, Verdict, Wait},
    request::Caller,
    store::{Change, StoreError, Table},
    subject::SubjectId,
};

/// What the keys of tallies begin with.
const PREFIX: &str = "lockout/";
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

    pub(super) fn key(&self) -> Vec<u8> {
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
    /// Whose finger was found, if nobody is: what else he was to know or bring is guessed against his tally.
    pub(crate) found: Option<SubjectId>,
    /// At which reader of the box, if at one.
    pub(crate) sensor: Option<&'a ReaderId>,
}

impl Attempt<'_> {
    /// Whose failure it would be.
    fn about(&self) -> Vec<About> {
        let subject = self.claimed.or(self.found).map(About::Subject);
        let sensor = self.sensor.map(|id| About::Sensor(id.as_str().to_owned()));
        // Whoever can type names at the door of a VPN would lock it for everybody; a code is one of 100 million, and each
        // subject's guesses are counted.
        let station = (!self.by.id.is_of_radius()).then(|| About::Station(self.by.name.clone()));
        subject.into_iter().chain(station).chain(sensor).collect()
    }
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

impl Services {
    /// What an attempt has to wait for before anything is looked at.
    pub(crate) fn wait(&self, attempt: &Attempt<'_>, numbers: &Numbers) -> Option<Wait> {
        let inner = &self.inner;
        inner.lockouts().wait(&attempt.about(), inner.clock.running(), numbers)
    }

    /// Makes a verdict the decision: a lockout refuses whatever the verdict is, a failure is counted, and both are
    /// durable with their audit record; so is what is changed with an accept.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is decided.
    pub(crate) fn settle(
        &self,
        attempt: &Attempt<'_>,
        numbers: &Numbers,
        (verdict, also): (Verdict, &[Change]),
        event: impl FnOnce(&Verdict) -> Event,
    ) -> Result<Decision, StoreError> {
        let inner = &self.inner;
        let about = attempt.about();
        let mut lockouts = inner.lockouts();
        let now = inner.clock.running();
        // Again: others may have failed while this one was compared.
        let verdict = match lockouts.wait(&about, now, numbers) {
            Some(wait) => verdict.barred(&Bar::LockedOut(wait)),
            None => verdict,
        };
        let gallery = inner.gallery();
        let enrolled = |id| is_enrolled(&gallery, id);
        let touched = lockouts.count((&about, &verdict), (now, numbers), enrolled);
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
        if !touched.is_empty() {
            keep_waits(inner);
        }
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

    /// Commits the deletion of a subject, with what was counted: an attempt at the same moment is counted before it, and
    /// goes with it, or after it as one for nobody.
    ///
    /// # Errors
    /// [`StoreError`]; then the subject is there, with what was counted.
    pub(super) fn commit_deleted(
        &self,
        by: &Caller,
        id: SubjectId,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        let event = Event::SubjectDeleted { subject: id };
        self.commit_tally_moved(by, changes, &event, (About::Subject(id), None))
    }

    /// Commits changes with which somebody's tally becomes another's, or nobody's.
    ///
    /// # Errors
    /// [`StoreError`]; then the tally is what it was.
    pub(super) fn commit_tally_moved(
        &self,
        by: &Caller,
        changes: &[Change],
        event: &Event,
        (from, to): (About, Option<About>),
    ) -> Result<(), StoreError> {
        let mut moved: Option<Entry> = None;
        loop {
            let mut lockouts = self.lockouts();
            moved = lockouts.remove(&from).or(moved);
            if let (Some(to), Some(moved)) = (&to, &moved) {
                let now = self.clock.running();
                let waited = now.saturating_sub(moved.as_of);
                let rules = &self.policy.lockout;
                let mut tally = moved.tally;
                tally.pass(waited, rules, to.scope());
                let entry = lockouts.at(to, now, rules);
                entry.tally = entry.tally.joined(tally);
            }
            let both: Vec<About> = [from.clone()].into_iter().chain(to.clone()).collect();
            let tallies = self.kept(&mut lockouts, &both)?;
            let changes: Vec<Change> = changes.iter().cloned().chain(tallies).collect();
            let submitted = self.submit(by, &changes, event);
            drop(lockouts);
            match submitted.and_then(|ticket| self.timed(Step::Commit, || self.store.wait(&ticket))) {
                Err(StoreError::Superseded) => {}
                Ok(()) => return Ok(()),
                Err(why) => {
                    if let Some(entry) = moved {
                        self.lockouts().entries.entry(from).or_insert(entry);
                    }
                    return Err(why);
                }
            }
        }
    }

    /// Counts a subject from now on as one who does not exist, if there was an attempt since.
    pub(super) fn count_as_stray(&self, id: SubjectId) {
        self.lockouts().place(id, true);
    }

    /// Takes up the tallies of the store, after others came into it, beside those that were counted here: of two of the
    /// same one the stricter counts, in the store too. No attempt is counted meanwhile.
    pub(super) fn read_lockouts(&self, enrolled: impl Fn(SubjectId) -> bool) -> Result<(), StoreError> {
        let mut lockouts = self.lockouts();
        let (mut fresh, now) = (Lockouts::default(), self.clock.running());
        self.store.read_all(&[Table::Counters], &mut |values| {
            values.iter().try_for_each(|value| fresh.read(value, now))
        })?;
        let mut stricter = Vec::new();
        for about in lockouts.entries.keys().cloned().collect::<Vec<_>>() {
            let own = lockouts.at(&about, now, &self.policy.lockout).tally;
            let entry = fresh.at(&about, now, &self.policy.lockout);
            let joined = entry.tally.joined(own);
            if joined != entry.tally {
                entry.tally = joined;
                stricter.push(about);
            }
        }
        fresh.settle_strays(enrolled);
        fresh.keeping = lockouts.keeping;
        let changes = self.kept(&mut fresh, &stricter)?;
        let before = std::mem::replace(&mut *lockouts, fresh);
        if changes.is_empty() {
            return Ok(());
        }
        // In their order: what is counted after this comes after it in the store.
        let kept = loop {
            let submitted = self.store.submit(changes.clone(), self.store.epoch());
            match submitted.and_then(|ticket| self.store.wait(&ticket)) {
                Err(StoreError::Superseded) => {}
                done => break done,
            }
        };
        if kept.is_err() {
            *lockouts = before;
        }
        kept
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
    if lockouts.keeping || !lockouts.is_anybody_waiting() {
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
