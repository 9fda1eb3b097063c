//! A reading of a directory becomes a plan, and the plan is done: a commit with its record for each person, how far the
//! directory was followed last of all.
//!
//! Invariant: what was read and not done is read again. What a plan was made of is looked at again before a person is changed.

use std::{collections::BTreeSet, sync::PoisonError};

use serde::Serialize;
use tracing::{info, warn};

use super::{Held, Progress, Services, Watched};
use crate::{
    audit::Event,
    clock::Timestamp,
    directory::{
        Account, Cursor, Link, ObjectId, Reading, SourceName, State,
        plan::{Act, Changed, Confirmation, Harm, Person, Plan, Rules, plan},
    },
    request::Caller,
    services::{Factors, Inner, SubjectRecord, put_factors, put_subject, the_box},
    store::{Change, StoreError, Table},
    subject::SubjectId,
};

/// People who are changed in one turn: others who change people wait for so many.
const TURN: usize = 256;
/// People who cannot be taken that are remembered.
const REMEMBERED: usize = 1000;
/// How far a directory was followed is kept so often when nobody in it has changed, in milliseconds: who goes on from an
/// earlier place reads the same again.
const KEPT: u64 = 600_000;

/// Why a directory was not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The version before may have to go on with the store.
    #[error("an update is on trial: directories are followed when it is kept")]
    OnTrial,
    /// What was confirmed is not what waits.
    #[error(
        "nothing was done: what was confirmed is not what the directory says now; look at it (authenteonctl directory \
         status) and confirm that"
    )]
    NotWaiting,
    /// Another store lies under it than when the reading began.
    #[error("nothing was done: a backup was restored while the directory was read, and it is read again")]
    Restored,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who confirms a plan that waits, and which.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Who.
    pub by: Caller,
    /// Which.
    pub plan: Confirmation,
}

/// What was read of a directory.
#[derive(Clone, Debug)]
pub struct Read {
    /// How far it was followed when the reading began.
    pub since: Option<Cursor>,
    /// What was found.
    pub reading: Reading,
    /// Whether everybody was looked for.
    pub swept: bool,
}

/// How many people something was done of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Made.
    pub created: usize,
    /// Called otherwise, in other groups, with another account.
    pub changed: usize,
    /// Not let in any more: disabled, or expired.
    pub disabled: usize,
    /// The same, because they are not there any more.
    pub gone: usize,
    /// Let in again.
    pub enabled: usize,
    /// Erased.
    pub erased: usize,
}

impl Counts {
    /// Of what is to be done.
    #[must_use]
    pub fn of(acts: &[Act]) -> Self {
        let mut counts = Self::default();
        for act in acts {
            match act {
                Act::Create { .. } => counts.created += 1,
                Act::Erase { .. } => counts.erased += 1,
                Act::Update { changed, .. } => {
                    let any = |of: &[Changed]| of.iter().any(|what| changed.contains(what));
                    counts.disabled += usize::from(any(&[Changed::Disabled, Changed::Expired]));
                    counts.gone += usize::from(any(&[Changed::Gone]));
                    counts.enabled += usize::from(any(&[Changed::Enabled, Changed::Returned]));
                    counts.changed += usize::from(any(&[
                        Changed::Name,
                        Changed::Login,
                        Changed::Upn,
                        Changed::Sid,
                        Changed::Groups,
                        Changed::Privileged,
                    ]));
                }
            }
        }
        counts
    }
}

/// What a reading came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was to be done.
    pub plan: Plan,
    /// Whether it was.
    pub done: bool,
}

/// A person as he is to be, ready to be committed.
struct Ready {
    subject: SubjectId,
    factors: Factors,
    changes: Vec<Change>,
    event: Event,
    account: Account,
    /// Whether he was let in before, and is not any more.
    is_shut: bool,
}

impl Services {
    /// What a reading would come to.
    ///
    /// # Errors
    /// [`FollowError`].
    pub fn plan_directory(
        &self,
        source: &SourceName,
        reading: &Reading,
        rules: &Rules,
    ) -> Result<Plan, FollowError> {
        self.inner.people_may_change().map_err(FollowError::Store)?;
        Ok(plan(source, &self.inner.roll()?, reading, rules, self.inner.clock.now()))
    }

    /// Does what a reading comes to, unless somebody has to confirm it first. One directory after the other: what one says of a
    /// person can be about what the other one's is called.
    ///
    /// # Errors
    /// [`FollowError`]; what was done until then stays, and the rest is done after the next reading.
    pub fn follow_directory(
        &self,
        source: &SourceName,
        read: Read,
        rules: &Rules,
        confirmed: Option<&Confirmed>,
    ) -> Result<Outcome, FollowError> {
        let (inner, Read { since, reading, swept }) = (&self.inner, read);
        let _turn = inner.directories.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.store.is_earlier() {
            return Err(FollowError::OnTrial);
        }
        inner.people_may_change()?;
        let now = inner.clock.now();
        let before = inner.progress_of(source)?;
        if !reading.whole && before.cursor != since {
            return Err(FollowError::Restored);
        }
        let plan = if inner.nothing_to_plan(source, &reading, rules, now) && confirmed.is_none() {
            None
        } else {
            Some(plan(source, &inner.roll()?, &reading, rules, now))
        };
        let plan = match plan {
            Some(plan) => {
                inner.directories.tell(source, |watched| {
                    watched.collisions.clone_from(&plan.collisions);
                    watched.note_unusable(&reading, &plan);
                });
                plan
            }
            None => nothing(source, inner),
        };
        if let Some(confirmed) = confirmed
            && plan.held.as_ref() != Some(&confirmed.plan)
        {
            inner.hold(source, &plan, now)?;
            return Err(FollowError::NotWaiting);
        }
        if plan.held.is_some() && confirmed.is_none() {
            inner.hold(source, &plan, now)?;
            return Ok(Outcome { plan, done: false });
        }
        if let Some(Confirmed { by, .. }) = confirmed {
            let event = Event::DirectoryConfirmed { source: source.clone(), harm: plan.harm };
            inner.commit(by, &[], &event)?;
        }
        inner.apply(source, &plan.acts, now)?;
        let made_up = swept;
        let swept = swept.then_some(now).or(before.swept);
        let progress = Progress { cursor: Some(reading.cursor), read: Some(now), swept };
        let counts = Counts::of(&plan.acts);
        inner.keep_progress(source, &progress, &counts, now)?;
        inner.directories.tell(source, |watched| {
            watched.progress = Some(progress);
            (watched.held, watched.error, watched.planned) = (None, None, true);
            watched.unswept.take_if(|_| made_up);
            if !plan.acts.is_empty() {
                watched.last = Some((counts, now));
            }
        });
        Ok(Outcome { plan, done: true })
    }
}

impl Watched {
    /// Remembers who cannot be taken: those of before too, of whom a reading that is not whole says nothing.
    fn note_unusable(&mut self, reading: &Reading, plan: &Plan) {
        let said: BTreeSet<ObjectId> =
            reading.entries.iter().map(|entry| entry.id).chain(reading.gone.iter().copied()).collect();
        self.unusable.retain(|(id, _)| !reading.whole && id.is_none_or(|id| !said.contains(&id)));
        self.unusable.extend(plan.unusable.iter().cloned());
        self.unusable.sort();
        self.unusable.dedup();
        self.unusable.truncate(REMEMBERED);
    }
}

/// The plan of a reading in which nothing is.
fn nothing(source: &SourceName, inner: &Inner) -> Plan {
    let harm = Harm { of: inner.factors.followed(source).len(), ..Harm::default() };
    let (collisions, unusable) =
        inner.directories.tell(source, |watched| (watched.collisions.clone(), watched.unusable.clone()));
    Plan { acts: Vec::new(), collisions, unusable, harm, held: None }
}

impl Inner {
    /// Whether a reading brings nothing, and nobody's time is over: then nobody need be read.
    fn nothing_to_plan(&self, source: &SourceName, reading: &Reading, rules: &Rules, now: Timestamp) -> bool {
        let brings = reading.whole
            || !reading.entries.is_empty()
            || !reading.gone.is_empty()
            || !reading.unusable.is_empty();
        let planned = self.directories.tell(source, |watched| watched.planned);
        planned && !brings && !self.factors.any_followed(source, |link| rules.is_over(link, now))
    }

    /// Remembers that a plan waits; that is a record, once.
    fn hold(&self, source: &SourceName, plan: &Plan, now: Timestamp) -> Result<(), StoreError> {
        let known = self.directories.tell(source, |watched| {
            // It was read, all the same.
            watched.error = None;
            if plan.held.is_none() {
                watched.held = None;
            }
            watched.held.clone()
        });
        let Some(confirmation) = plan.held.clone() else { return Ok(()) };
        if known.is_some_and(|held| held.confirmation == confirmation) {
            return Ok(());
        }
        let Harm { disabled, gone, erased, of } = plan.harm;
        warn!(directory = %source, disabled, gone, erased, of, "nothing was done of it: an administrator has to confirm");
        let event = Event::DirectoryHeld { source: source.clone(), harm: plan.harm };
        self.commit(&by(source), &[], &event)?;
        let held = Held { confirmation, harm: plan.harm, since: now };
        self.directories.tell(source, |watched| watched.held = Some(held));
        Ok(())
    }

    /// Does it: who is not to be let in any more first.
    pub(super) fn apply(&self, source: &SourceName, acts: &[Act], now: Timestamp) -> Result<(), StoreError> {
        let rank = |act: &Act| match act {
            Act::Update { link, .. } if link.state != State::Active => 0,
            Act::Update { .. } => 1,
            Act::Create { .. } => 2,
            Act::Erase { .. } => 3,
        };
        let mut order: Vec<&Act> = acts.iter().collect();
        order.sort_by_key(|act| rank(act));
        // A full disk lets nobody new in, and keeps nobody in who is not to be.
        for turn in order.chunk_by(|a, b| rank(a) == rank(b)).flat_map(|same| same.chunks(TURN)) {
            if turn.iter().any(|act| matches!(act, Act::Create { .. })) {
                self.room_for_people()?;
            }
            let _people = self.people();
            self.people_may_change()?;
            // A backup that was restored since the plan was made may have brought some.
            let mut there = BTreeSet::new();
            if turn.iter().any(|act| matches!(act, Act::Create { .. })) {
                self.factors.each_followed(|_, link| {
                    if link.source == *source {
                        there.insert(link.object);
                    }
                });
            }
            let mut ready = Vec::with_capacity(turn.len());
            for act in turn {
                match act {
                    Act::Create { object, .. } if there.contains(object) => {}
                    Act::Create { object, person } => ready.push(created(source, *object, person, now)?),
                    Act::Update { subject, link, person, changed } => {
                        ready.extend(self.updated(*subject, link, person, changed)?);
                    }
                    Act::Erase { subject, link, .. } if self.is_still(*subject, link) => {
                        self.erase(&by(source), *subject)?;
                    }
                    Act::Erase { .. } => {}
                }
            }
            self.commit_ready(&by(source), ready)?;
        }
        Ok(())
    }

    /// Whether somebody is the one of whom a plan speaks still.
    fn is_still(&self, subject: SubjectId, link: &Link) -> bool {
        let factors = self.factors.of(subject);
        let followed = factors.followed.as_ref();
        followed.is_some_and(|now| (&now.source, now.object) == (&link.source, link.object))
    }

    /// Somebody as he is to be; nothing when he was deleted since the plan was made.
    fn updated(
        &self,
        subject: SubjectId,
        link: &Link,
        person: &Person,
        changed: &BTreeSet<Changed>,
    ) -> Result<Option<Ready>, StoreError> {
        let Some(before) = self.subject(subject)?.filter(|_| self.is_still(subject, link)) else {
            return Ok(None);
        };
        let known = self.factors.of(subject);
        let was_let_in = known.followed.as_ref().is_some_and(|before| before.state == State::Active);
        let factors =
            Factors { groups: person.groups.clone(), followed: Some(link.clone()), ..Factors::clone(&known) };
        let mut changes = Vec::new();
        if factors != *known {
            changes.push(put_factors(subject, &factors)?);
        }
        if before.name != person.name || before.account.as_ref() != Some(&person.account) {
            let record =
                SubjectRecord { name: person.name.clone(), account: Some(person.account.clone()), ..before };
            changes.push(put_subject(subject, &record)?);
        }
        let groups = changed.contains(&Changed::Groups);
        let event = Event::FollowedChanged {
            subject,
            source: link.source.clone(),
            changed: changed.iter().copied().collect(),
            groups: groups.then(|| person.groups.iter().cloned().map(String::from).collect()),
        };
        let is_shut = was_let_in && link.state != State::Active;
        Ok(Some(Ready { subject, factors, changes, event, account: person.account.clone(), is_shut }))
    }

    /// Commits people together, and shows each who is durable.
    fn commit_ready(&self, by: &Caller, mut ready: Vec<Ready>) -> Result<(), StoreError> {
        while !ready.is_empty() {
            let mut failed = None;
            let mut tickets = Vec::with_capacity(ready.len());
            for one in &ready {
                match self.submit(by, &one.changes, &one.event) {
                    Ok(ticket) => tickets.push(ticket),
                    Err(why) => {
                        failed = (why != StoreError::Superseded).then_some(why);
                        break;
                    }
                }
            }
            let mut tickets = tickets.into_iter();
            let mut again = Vec::new();
            for one in ready {
                match tickets.next().map(|ticket| self.store.wait(&ticket)) {
                    Some(Ok(())) => self.show(one),
                    Some(Err(StoreError::Superseded)) | None => again.push(one),
                    Some(Err(why)) => failed = Some(failed.unwrap_or(why)),
                }
            }
            if let Some(why) = failed {
                return Err(why);
            }
            ready = again;
        }
        Ok(())
    }

    fn show(&self, ready: Ready) {
        self.keep_factors(ready.subject, ready.factors);
        // After that: who looks for everybody's names meanwhile finds him, or waits.
        self.called(ready.subject, &ready.account);
        if ready.is_shut {
            // Whoever is let in again one day lays a finger down.
            self.graces.forget(ready.subject);
            self.codes.forget(ready.subject);
        }
    }

    /// Keeps how far a directory was followed, where that is worth a change of the store.
    fn keep_progress(
        &self,
        source: &SourceName,
        progress: &Progress,
        counts: &Counts,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let kept = self.directories.tell(source, |watched| watched.kept.clone());
        let fresh = kept.read.is_some_and(|read| read <= now && now.since(read).as_millis() < KEPT.into());
        let nothing = *counts == Counts::default();
        if nothing && fresh && kept.swept == progress.swept {
            return Ok(());
        }
        let value = serde_json::to_vec(progress).map_err(|why| StoreError::Io(why.to_string()))?;
        let change = Change::Put { table: Table::Cookies, key: source.as_ref().as_bytes().to_vec(), value };
        if nothing {
            self.store.commit(&[change])?;
        } else {
            let Counts { created, changed, disabled, gone, enabled, erased } = counts.clone();
            info!(directory = %source, created, changed, disabled, gone, enabled, erased, "followed");
            let event = Event::DirectoryFollowed {
                source: source.clone(),
                created,
                changed,
                disabled,
                gone,
                enabled,
                erased,
            };
            self.commit(&by(source), &[change], &event)?;
        }
        self.directories.tell(source, |watched| watched.kept = progress.clone());
        Ok(())
    }
}

/// The box itself, doing what a directory says.
fn by(source: &SourceName) -> Caller {
    the_box(&format!("directory {source}"))
}

/// Somebody who is new.
fn created(
    source: &SourceName,
    object: ObjectId,
    person: &Person,
    now: Timestamp,
) -> Result<Ready, StoreError> {
    let subject = SubjectId::random();
    let record = SubjectRecord {
        account: Some(person.account.clone()),
        ..SubjectRecord::new(person.name.clone(), now)
    };
    let link = Link { source: source.clone(), object, state: State::Active, since: now };
    let factors = Factors { groups: person.groups.clone(), followed: Some(link), ..Factors::default() };
    let changes = vec![put_subject(subject, &record)?, put_factors(subject, &factors)?];
    let event = Event::SubjectFollowed { subject, source: source.clone() };
    Ok(Ready { subject, factors, changes, event, account: person.account.clone(), is_shut: false })
}
