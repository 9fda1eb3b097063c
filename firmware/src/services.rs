//! The services: subjects here; enrolment, verification and identification each in a file of its own.
//!
//! Calls block and may take tens of milliseconds: a caller on an async runtime gives them a thread.
//! Invariant: what a service has changed is in the store, durably and with its audit record, before the
//! gallery shows it and before it answers.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use authenteon_matcher::{
    TemplateError,
    search::{Finger, Gallery},
};
use uuid::Uuid;

use crate::{
    audit::{ChainError, Event, Head},
    clock::Clock,
    gallery::{self, SharedGallery},
    memory::{Answers, InProgress, SeenSamples},
    observe::{Observer, Step, timed},
    policy::Policy,
    replay::Ready,
    request::{Caller, ClientId, Role},
    sample::SampleError,
    store::{Change, Room, Store, Table, Ticket, Value},
    subject::SubjectId,
};

/// What the server reads of the store, and nothing else: how it fails, how it is protected, and how large it is.
pub(crate) use crate::store::{
    AtRest, Extent, KeyError, Master, NoPassphrase, Passphrase, Stats, StoreError,
};

pub(crate) use self::{
    factors::{Factors, put_factors},
    probes::{Accepting, Ground, LookedAt},
    record::{FingerRecord, SubjectRecord, put_subject},
};

pub(crate) use crate::gallery::{FingerKey, encode_views, finger_key, is_enrolled};

mod access;
mod acts;
mod at_rest;
mod audit;
mod backup;
mod clients;
mod decoy;
mod directory;
mod factors;
mod grace;
pub(crate) mod handover;
pub(crate) mod lockout;
mod logins;
mod lost;
mod names;
mod one_time_codes;
mod policy;
mod probes;
mod readers;
mod record;
mod restore;
mod restrictions;
mod rights;
mod second_factors;
mod subjects;
mod upkeep;

pub(crate) use self::access::{Admission, Bearer};
pub use self::{
    access::{
        Account, AccountError, Invitation, InvitationError, NoPassword, Password, SetUp, SignedIn, Token,
        TokenError,
    },
    audit::{
        AuditError, AuditPage, AuditSettings, Batch, Check, CheckState, Cursor, Finding, Verdict, Wanted,
    },
    directory::{
        Confirmed, Counts as DirectoryCounts, DirectoryStatus, FollowError, Held, NoSuchPassword,
        NotCertified, Outcome, Progress as DirectoryProgress, Read,
    },
    factors::{ChangeError, SubjectChange},
    handover::{
        Accepted, Allowed, Decided, Due, Grant, GrantError, Handed, HandoverError, HandoverSettings,
        KeysError, NoCertificate, NotAccepted, OnTrial, Purpose, UserAuthorityFacts, Wish,
    },
    lockout::Failed,
    one_time_codes::{CodeError, GOOD as CODE_GOOD},
    readers::ReaderError,
    restore::{RestoreOptions, RestoreReport},
    restrictions::RestrictionError,
    rights::{Proof, RightsError},
    second_factors::PinError,
    upkeep::{Job, Task, TaskState, UpkeepError},
};

use self::{
    clients::Known, factors::EverybodysFactors, grace::Graces, lockout::Lockouts, lost::Lost,
    one_time_codes::OneTimeCodes, probes::Unkept, readers::Readers, record::parse_subject,
    restrictions::Restrictions,
};

/// Samples remembered against replay.
const SAMPLES_REMEMBERED: usize = 65_536;
/// Answers remembered for repeated requests, and for how long: a hundred a second.
const ANSWERS_REMEMBERED: usize = 60_000;
/// People whose probes stay ready to be compared: some 40 kB each at most.
const PROBES_READY: usize = 256;
const ANSWERS_LIVE: Duration = Duration::from_secs(600);

/// What is read at the start, in one go.
const READ_AT_START: [Table; 11] = [
    Table::Fingers,
    Table::About,
    Table::Clients,
    Table::Revocations,
    Table::Policy,
    Table::Counters,
    Table::Factors,
    Table::Readers,
    Table::Invitations,
    Table::Accounts,
    Table::Tokens,
];

/// The services of one box. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub(crate) inner: Arc<Inner>,
}

/// The end of the chain, and the store's epoch in which it is right.
struct Chain {
    head: Head,
    epoch: u64,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gallery: Arc<SharedGallery>,
    /// Held while a change of people is read for, committed and shown: one after the other.
    people: Mutex<()>,
    /// The end of the audit's chain, of what was submitted. Held while a record is made and submitted, not while it
    /// becomes durable.
    chain: Mutex<Chain>,
    seen: Mutex<SeenSamples>,
    /// Accepted probes that the store does not say yet.
    unkept: Mutex<Unkept>,
    answers: Mutex<Answers>,
    /// How far it is while people are put back, or what is there of them is cleared away.
    rebuilding: Mutex<Option<(u64, u64)>>,
    /// Who holds a certificate of the box, as the store has it.
    known: Mutex<Known>,
    /// Who failed, and has to wait. Taken before the end of the chain.
    lockouts: Mutex<Lockouts>,
    /// What is kept of people beside names and fingers.
    factors: EverybodysFactors,
    /// What holds for some beyond the policy.
    restrictions: Restrictions,
    /// Who was accepted by a finger a moment ago.
    graces: Graces,
    /// Codes that accepts gave.
    codes: OneTimeCodes,
    /// Which readers were adopted.
    readers: Mutex<Readers>,
    /// What was given out beside.
    access: access::Access,
    /// How far directories were followed.
    directories: directory::Directories,
    /// Who is called by which login.
    logins: logins::Logins,
    /// What accepts are good for.
    handover: handover::Handover,
    pub(crate) in_progress: InProgress,
    /// Whose accept, or erasure, is not durable yet.
    pub(crate) accepting: InProgress<SubjectId>,
    /// The probes of who was accepted last.
    ready: Mutex<Ready>,
    /// What signs and verifies the audit.
    auditing: audit::Auditing,
    /// The last task of the store's upkeep.
    tasks: upkeep::Tasks,
    /// Compared with when there is nobody to compare with, so that absence takes as long.
    pub(crate) decoy: Finger,
    /// Who is told how long steps take.
    observer: OnceLock<Arc<dyn Observer>>,
}

/// Why the services do not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit chain does not hold.
    #[error(transparent)]
    Audit(#[from] ChainError),
    /// A template in the store is none.
    #[error("a stored template cannot be read: {0}")]
    Template(#[from] TemplateError),
}

/// Why nothing could be said of a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// There is no such subject.
    #[error("there is no such subject")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The request's name was used for another request.
    #[error("this request_id was used for another request: use a new one for every request")]
    RequestIdReused,
    /// The sample is none.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The store failed: without an audit record there is no accept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is to go with an accept is not for this caller.
    #[error(transparent)]
    Handover(#[from] HandoverError),
}

/// How much is enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Fingers.
    pub fingers: usize,
    /// Impressions of them.
    pub impressions: usize,
}

impl Services {
    /// Opens the services on a store and fills the gallery from it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(store: Arc<dyn Store>, policy: Policy, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let epoch = store.epoch();
        let (mut restoring, mut known, mut rules) = (None, Known::default(), None);
        let (mut lost, mut lockouts, started) = (Lost::default(), Lockouts::default(), clock.running());
        let (factors, restrictions) = (EverybodysFactors::default(), Restrictions::default());
        let (mut readers, mut unkept) = (Readers::default(), Unkept::default());
        let mut tables = READ_AT_START.to_vec();
        if store.progress().is_some() {
            // It cannot be asked for one person's yet.
            tables.push(Table::Probes);
        }
        let mut given = access::Found::default();
        let handover = handover::Handover::default();
        let mut read = |fact: &Value| -> Result<(), StoreError> {
            match fact.table {
                Table::About if lost.read(fact) || handover.grants.read(fact) => {}
                _ if given.read(fact) || unkept.read(fact) => {}
                Table::Policy if restrictions.read(fact)? => {}
                Table::Policy => rules = policy::read(fact).or(rules.take()),
                Table::Factors => factors.read(fact)?,
                Table::Counters => lockouts.read(fact, started)?,
                Table::Readers => readers.read(fact)?,
                Table::About => restoring = Inner::was_restoring(fact).or(restoring),
                _ => known.read(fact)?,
            }
            Ok(())
        };
        let read = Mutex::new(&mut read);
        let mut gallery = gallery::fill(None, |finger| {
            store.look_at_all(&tables, &|value| {
                if value.table == Table::Fingers {
                    return finger(value);
                }
                let fact = value.to_value();
                (read.lock().unwrap_or_else(PoisonError::into_inner))(&fact)
            })
        })?;
        if restoring.is_some() {
            gallery = Gallery::new();
            factors.clear();
            unkept = Unkept::default();
        }
        lockouts.settle_strays(|id| is_enrolled(&gallery, id));
        let gallery = Arc::new(SharedGallery::new(gallery));
        let head = Head::of(store.as_ref())?;
        let seen = SeenSamples::new(*Uuid::new_v4().as_bytes(), SAMPLES_REMEMBERED);
        let access = access::Access::open(store.as_ref(), given, clock.now())?;
        let inner = Inner {
            store,
            access,
            policy,
            clock,
            gallery,
            people: Mutex::new(()),
            chain: Mutex::new(Chain { head, epoch }),
            seen: Mutex::new(seen),
            unkept: Mutex::new(unkept),
            answers: Mutex::new(Answers::new(ANSWERS_REMEMBERED, ANSWERS_LIVE)),
            rebuilding: Mutex::default(),
            known: Mutex::new(known),
            lockouts: Mutex::new(lockouts),
            factors,
            restrictions,
            graces: Graces::default(),
            codes: OneTimeCodes::default(),
            readers: Mutex::new(readers),
            directories: directory::Directories::default(),
            logins: logins::Logins::default(),
            handover,
            in_progress: InProgress::default(),
            accepting: InProgress::default(),
            ready: Mutex::new(Ready::new(PROBES_READY)),
            auditing: audit::Auditing::default(),
            tasks: upkeep::Tasks::default(),
            decoy: decoy::decoy()?,
            observer: OnceLock::new(),
        };
        gallery::warm_up(&inner.gallery);
        let inner = Arc::new(inner);
        lockout::keep_waits(&inner);
        inner.keep_rules(rules);
        inner.keep_lost(&lost)?;
        if let Some(store) = restoring {
            inner.clear_behind(store)?;
        }
        Ok(Self { inner })
    }

    /// How much is enrolled.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let gallery = self.inner.gallery();
        Counts { fingers: gallery.fingers(), impressions: gallery.impressions() }
    }

    /// From now on this one is told how long steps take; only the first is.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        // Whoever is second has nothing to be told.
        let _ = self.inner.observer.set(observer);
    }

    /// The number of the last record of the audit.
    #[must_use]
    pub fn audit_number(&self) -> u64 {
        self.inner.head_number()
    }

    /// Returns once a change could be written: what waits here for long, hangs.
    pub fn await_writer(&self) {
        drop(self.inner.chain.lock().unwrap_or_else(PoisonError::into_inner));
        self.inner.store.await_writer();
    }

    /// Bytes that are free on the store's disk, where that is known.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.inner.store.room().ok().and_then(|(_, free)| free)
    }
}

impl Inner {
    /// The gallery as it is now.
    pub(crate) fn gallery(&self) -> Gallery<FingerKey> {
        self.gallery.snapshot()
    }

    /// Refuses a search among everybody while it would take minutes.
    pub(crate) fn searchable(&self) -> Result<(), StoreError> {
        let gallery = self.gallery();
        gallery::searchable(gallery.unsketched(), gallery.impressions())
    }

    pub(crate) fn people(&self) -> MutexGuard<'_, ()> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is in memory of the fingers of somebody who has none any more: a grace, a code, and probes.
    pub(crate) fn forget_proofs(&self, id: SubjectId) {
        self.graces.forget(id);
        self.codes.forget(id);
        self.unkept().forget(id);
        self.ready().take(id);
    }

    pub(crate) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subject(&self, id: SubjectId) -> Result<Option<SubjectRecord>, StoreError> {
        let value = self.store.get(Table::Subjects, id.as_bytes())?;
        value.map(|value| parse_subject(id, &value)).transpose()
    }

    /// Refuses what would fill the disk.
    pub(crate) fn room_for_people(&self) -> Result<(), StoreError> {
        self.people_may_change()?;
        if self.store.room()?.0 < Room::Everything { Err(StoreError::Full) } else { Ok(()) }
    }

    /// The number of the last record of the audit.
    fn head_number(&self) -> u64 {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).head.number()
    }

    /// Commits changes with the record that tells of them. Many commit at the same time: each record is chained to the
    /// one that was submitted before it, and all of them share what it takes to make them durable.
    pub(crate) fn commit(&self, by: &Caller, changes: &[Change], event: &Event) -> Result<(), StoreError> {
        self.timed(Step::Commit, || {
            loop {
                match self.commit_once(by, changes, event) {
                    // A record before this one was not written, and this one is not either.
                    Err(StoreError::Superseded) => {}
                    done => return done,
                }
            }
        })
    }

    /// Does a step, and tells how long it took.
    pub(crate) fn timed<T>(&self, step: Step, work: impl FnOnce() -> T) -> T {
        timed(self.observer.get().map(AsRef::as_ref), step, work)
    }

    /// The end of the chain, held, in the store's epoch of now.
    fn chain_now(&self) -> Result<MutexGuard<'_, Chain>, StoreError> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.store.epoch();
        if chain.epoch != epoch {
            *chain = Chain { head: Head::of_store(self.store.as_ref())?, epoch };
        }
        Ok(chain)
    }

    fn commit_once(&self, by: &Caller, changes: &[Change], event: &Event) -> Result<(), StoreError> {
        let ticket = self.submit(by, changes, event)?;
        self.store.wait(&ticket)
    }

    /// Submits changes with the record that tells of them, without waiting until they are durable.
    fn submit(&self, by: &Caller, changes: &[Change], event: &Event) -> Result<Ticket, StoreError> {
        let mut chain = self.chain_now()?;
        let epoch = chain.epoch;
        let now = self.clock.now();
        // The version before, which may have to go on with this, knows neither where somebody came from nor two fingers.
        let (record, next) = if self.store.is_earlier() {
            chain.head.append(now, &by.clone().at(None), event.clone().for_the_version_before())?
        } else {
            chain.head.append(now, by, event.clone())?
        };
        let tombstone = self.tombstone(event, now, next.number());
        let changes = changes.iter().cloned().chain(tombstone).chain([record]).collect();
        let ticket = self.store.submit(changes, epoch)?;
        chain.head = next;
        Ok(ticket)
    }
}

/// The box itself, doing what no client asked for: who or what in it is the name.
fn the_box(name: &str) -> Caller {
    Caller::new(ClientId::of_certificate(&[0; 32]), Role::Administrator, name.to_owned())
}

/// What the box does by itself.
fn this_box() -> Caller {
    the_box("this box")
}

fn damaged(place: String) -> StoreError {
    StoreError::Damaged { place }
}

fn subject_of(key: &[u8]) -> Result<SubjectId, StoreError> {
    let bytes = key.try_into().map_err(|_| damaged("a subject's key".to_owned()))?;
    Ok(SubjectId::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
