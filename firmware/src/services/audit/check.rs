//! Whether the audit holds: the whole chain is walked, compared with every head that the box signed, and with one that
//! somebody kept elsewhere. On a thread of its own; who asks is told how far it is.
//!
//! Invariant: one at a time; a verdict other than [`Verdict::Whole`] names the record from which nothing can be rested on.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde::Serialize;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{AuditError, Inner, Services};
use crate::{
    audit::{ChainError, Head, Kept, Purpose, Signed, walk},
    clock::Timestamp,
};

/// Records between two words on how far it is.
const TOLD: u64 = 256;

/// What a verification came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was altered, and nothing is missing; the anchor, where one was given, is of this audit.
    Whole,
    /// A record is missing, altered or out of place.
    Broken {
        /// The first such record.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// The start of what is kept is not signed by this box: more was cut off than the box did.
    StartForged,
    /// A head that the box signed is of another chain.
    Rewritten {
        /// The record at which it differs.
        number: u64,
    },
    /// A head that the box signed, or the anchor, is of a longer chain.
    Truncated {
        /// The record that there was.
        number: u64,
        /// The last one that there is.
        head: u64,
    },
    /// The anchor's signature does not hold: nobody can say what it is of.
    AnchorForged,
    /// The anchor is of a store that this box knows nothing of.
    AnchorForeign,
    /// The anchor is of a record that was deleted because its time was over: a newer one is needed.
    AnchorTooOld {
        /// The first record that is kept.
        first: u64,
    },
    /// The anchor is of another box whose backup was restored here, and later than the backup: what it tells of is only on
    /// that box.
    AnchorAfterBackup {
        /// The last record of that box that is here.
        last: u64,
    },
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it comes to.
    pub verdict: Verdict,
    /// Records that were read.
    pub records: u64,
    /// Signed heads that they were compared with.
    pub heads: u64,
    /// The first record that is kept, and the last.
    pub first: u64,
    /// The last record's number and hash.
    pub head: Head,
    /// Of another store, whose backup was restored: the anchor's.
    pub of: Option<Uuid>,
    /// Heads, and the start, that this box keeps of its own audit and that were signed with another key than it has now: its
    /// authority was made anew, or somebody else signed them.
    pub other_keys: u64,
    /// Whether the anchor, of this box's own audit, was.
    pub other_key: bool,
}

/// How a verification is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// It goes on.
    Running,
    /// This was found.
    Done(Box<Finding>),
    /// Nothing can be said.
    Failed(AuditError),
}

/// The verification that goes on, or the last one since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Counted from one at every start.
    pub number: u64,
    /// When.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Records that were read, of how many.
    pub progress: (u64, u64),
    /// How it is.
    pub state: CheckState,
}

/// The last one, and its thread.
#[derive(Default)]
pub(super) struct Checks {
    last: Mutex<Option<Check>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stops: AtomicBool,
}

impl Checks {
    fn last(&self) -> MutexGuard<'_, Option<Check>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, now: Timestamp, all: u64) -> Result<Check, AuditError> {
        let mut last = self.last();
        let number = match &*last {
            Some(Check { state: CheckState::Running, .. }) => return Err(AuditError::Running),
            before => before.as_ref().map_or(0, |check| check.number) + 1,
        };
        let check = Check { number, begun: now, ended: None, progress: (0, all), state: CheckState::Running };
        *last = Some(check.clone());
        Ok(check)
    }

    fn end(&self, state: CheckState, now: Timestamp) {
        if let Some(check) = &mut *self.last() {
            (check.state, check.ended) = (state, Some(now));
        }
    }
}

impl Services {
    /// Begins to verify the audit; see [`Self::audit_check`] for what comes of it.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn check_audit(&self, anchor: Option<Signed>) -> Result<Check, AuditError> {
        let inner = &self.inner;
        let head = Head::of(inner.store.as_ref())?;
        let first = Head::start_of(inner.store.as_ref(), inner.store.id())?;
        let checks = &inner.auditing.checks;
        let check = checks.begin(inner.clock.now(), head.number() - first.number().min(head.number()))?;
        let this = self.clone();
        let spawned = thread::Builder::new().name("audit-check".to_owned()).spawn(move || {
            let inner = &this.inner;
            let state = match inner.examine(anchor.as_ref()) {
                Ok(finding) => {
                    match &finding.verdict {
                        Verdict::Whole => info!(records = finding.records, "the audit is whole"),
                        verdict => warn!(?verdict, "the audit does not hold, or not with this anchor"),
                    }
                    CheckState::Done(Box::new(finding))
                }
                Err(why) => {
                    error!(%why, "the audit is not verified");
                    CheckState::Failed(why)
                }
            };
            inner.auditing.checks.end(state, inner.clock.now());
        });
        match spawned {
            Ok(thread) => *checks.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread),
            Err(why) => {
                checks.end(CheckState::Failed(AuditError::Io(why.to_string())), inner.clock.now());
                return Err(why.into());
            }
        }
        Ok(check)
    }

    /// The verification that goes on, or the last one since the start.
    #[must_use]
    pub fn audit_check(&self) -> Option<Check> {
        self.inner.auditing.checks.last().clone()
    }

    /// The box stops: a verification that goes on ends soon, and is waited for.
    pub fn end_audit_check(&self) {
        let checks = &self.inner.auditing.checks;
        checks.stops.store(true, Ordering::Relaxed);
        let thread = checks.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            error!("the verification of the audit ended with a panic");
        }
    }
}

/// What a walk along a chain found.
struct Walked {
    head: Head,
    first: u64,
    records: u64,
    heads: u64,
    other_keys: u64,
    wrong: Option<Verdict>,
    /// What the chain has at the anchor's number.
    at_anchor: Option<Head>,
}

impl Inner {
    /// Verifies the box's own audit, and that of the anchor's box if it is another's.
    pub(super) fn examine(&self, anchor: Option<&Signed>) -> Result<Finding, AuditError> {
        let _uncut = self.auditing.uncut();
        let own = self.store.id();
        let mine = anchor.filter(|anchor| anchor.store == own);
        let walked = self.walked(own, mine)?;
        let mut finding = Finding {
            verdict: Verdict::Whole,
            records: walked.records,
            heads: walked.heads,
            first: walked.first,
            head: walked.head.clone(),
            of: None,
            other_keys: walked.other_keys,
            other_key: mine.is_some_and(|anchor| self.is_of_another_key(anchor)),
        };
        finding.verdict = match (walked.wrong.clone(), anchor) {
            (Some(wrong), _) => wrong,
            (None, None) => Verdict::Whole,
            (None, Some(anchor)) if !anchor.is_of(Purpose::Head, anchor.store) => Verdict::AnchorForged,
            (None, Some(anchor)) if anchor.store == own => compared(&walked, anchor),
            (None, Some(anchor)) => {
                let there = self.walked(anchor.store, Some(anchor))?;
                (finding.of, finding.records) = (Some(anchor.store), finding.records + there.records);
                finding.heads += there.heads;
                match (there.wrong.clone(), there.records) {
                    (Some(wrong), _) => wrong,
                    (None, 0) => Verdict::AnchorForeign,
                    (None, _) if anchor.number > there.head.number() => {
                        Verdict::AnchorAfterBackup { last: there.head.number() }
                    }
                    (None, _) => compared(&there, anchor),
                }
            }
        };
        Ok(finding)
    }

    fn walked(&self, of: Uuid, anchor: Option<&Signed>) -> Result<Walked, AuditError> {
        let store = self.store.as_ref();
        let start = Signed::start_of(store, of)?;
        let heads = Signed::heads_of(store, of)?;
        let mut signed: BTreeMap<u64, &Kept> = heads.iter().map(|head| (head.under, head)).collect();
        let begin = start.as_ref().map_or(0, |start| start.number);
        let mut walked = Walked {
            head: Head::none(),
            first: begin + 1,
            records: 0,
            heads: 0,
            other_keys: 0,
            wrong: None,
            at_anchor: None,
        };
        if start.as_ref().is_some_and(|start| !start.is_of(Purpose::Start, of)) {
            walked.wrong = Some(Verdict::StartForged);
            return Ok(walked);
        }
        let kept = start.iter().chain(heads.iter().map(|head| &head.signed));
        let others = kept.filter(|signed| self.is_of_another_key(signed));
        walked.other_keys = if of == store.id() { others.count() as u64 } else { 0 };
        // Heads of what was deleted since are of no chain that is here.
        signed.retain(|number, _| *number >= begin);
        let checks = &self.auditing.checks;
        let ended = walk(store, of, |head, bytes| {
            if !bytes.is_empty() {
                walked.records += 1;
                if walked.records.is_multiple_of(TOLD) {
                    if checks.stops.load(Ordering::Relaxed) {
                        return Err(AuditError::Io("the box stops".to_owned()));
                    }
                    if let Some(check) = &mut *checks.last() {
                        check.progress = (walked.records, check.progress.1.max(walked.records));
                    }
                }
            }
            if anchor.is_some_and(|anchor| anchor.number == head.number()) {
                walked.at_anchor = Some(head.clone());
            }
            if let Some(signed) = signed.remove(&head.number()) {
                walked.heads += 1;
                if walked.wrong.is_none() && !signed.fits(head, of) {
                    walked.wrong = Some(Verdict::Rewritten { number: head.number() });
                }
            }
            walked.head = head.clone();
            Ok(())
        });
        match ended {
            Ok(_) => {}
            Err(AuditError::Chain(ChainError::Broken { number, reason })) => {
                walked.wrong = Some(Verdict::Broken { number, why: reason.to_owned() });
                return Ok(walked);
            }
            Err(why) => return Err(why),
        }
        if let (None, Some((number, _))) = (&walked.wrong, signed.last_key_value()) {
            walked.wrong = Some(Verdict::Truncated { number: *number, head: walked.head.number() });
        }
        Ok(walked)
    }

    /// Whether a statement was signed with another key than this box has now.
    pub(super) fn is_of_another_key(&self, signed: &Signed) -> bool {
        self.auditing.device.get().is_some_and(|device| device.public() != signed.key)
    }
}

/// An anchor against the chain that it should be of.
fn compared(walked: &Walked, anchor: &Signed) -> Verdict {
    match &walked.at_anchor {
        Some(head) if anchor.is_at(head) => Verdict::Whole,
        Some(head) => Verdict::Rewritten { number: head.number() },
        None if anchor.number > walked.head.number() => {
            Verdict::Truncated { number: anchor.number, head: walked.head.number() }
        }
        None => Verdict::AnchorTooOld { first: walked.first },
    }
}
