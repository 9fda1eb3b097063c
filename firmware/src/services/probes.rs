//! Replays: an accept that rests on a copy of what was accepted or enrolled before is none; and nor is one of somebody
//! who was erased meanwhile.
//!
//! It is looked at once a finger has matched, so that to whoever brings a wrong one a person with a history, one without
//! and one who does not exist are the same: nothing is read of any. Invariant: accepts of one person come one after the
//! other until they are durable, and so does an erasure, so that no probe slips past the one before and none is kept of
//! somebody who is gone.

mod unkept;

use std::sync::{MutexGuard, PoisonError};

pub(super) use self::unkept::Unkept;
use super::{Inner, Services, damaged, is_enrolled};
use crate::{
    factor::OneTimeCode,
    memory::{SeenSamples, Turn},
    policy::{Decision, Evidence, RefuseReason, Replay, ReplayRule, Verdict, decide},
    replay::{History, Probe, Ready},
    store::{Change, StoreError, Table},
    subject::{FingerPosition, SubjectId},
    verify::Judged,
};

/// What an accept rests on, and has to be there still when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// These fingers of the person.
    Fingers(Vec<FingerPosition>),
    /// Any finger of the person.
    Enrolled,
    /// A code, which goes with the person.
    Code,
    /// This code, which is used up now, and goes with the person.
    OneTime(OneTimeCode),
}

/// An accept on the way to be durable: nobody else's of the same person, and no erasure, is.
pub(crate) struct Accepting<'a> {
    inner: &'a Inner,
    subject: SubjectId,
    _turn: Turn<'a, SubjectId>,
    /// What is remembered of its probes, and where.
    history: Remembered,
}

enum Remembered {
    Nothing,
    /// With the accept's record.
    InStore,
    /// Until the store takes it.
    InMemory(Vec<u8>),
}

/// Samples that are looked at: they are remembered with the decision, or else let go.
pub(crate) struct LookedAt<'a> {
    inner: &'a Inner,
    digests: Vec<[u8; 32]>,
}

impl LookedAt<'_> {
    /// Begins to look at a sample; false when it came before, whoever presented it.
    pub(crate) fn claim(&mut self, digest: &[u8; 32]) -> bool {
        if !self.inner.policy.replay.is_on() {
            return true;
        }
        let is_new = self.inner.seen().claim(digest);
        self.digests.extend(is_new.then_some(*digest));
        is_new
    }

    /// What came of them is durable.
    pub(crate) fn remember(mut self) {
        let mut seen = self.inner.seen();
        std::mem::take(&mut self.digests).iter().for_each(|digest| seen.remember(digest));
    }
}

impl Drop for LookedAt<'_> {
    fn drop(&mut self) {
        let mut seen = self.inner.seen();
        self.digests.iter().for_each(|digest| seen.release(digest));
    }
}

impl Services {
    /// Makes a refusal of an accept that does not stand: its ground is gone, or it rests on a replay. With one that does,
    /// what is kept of its probes becomes part of what is changed. The person's turn ends with what is given back.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is decided.
    pub(crate) fn uphold<E>(
        &self,
        judged: &mut Judged<E>,
        probes: &[Probe],
    ) -> Result<Option<Accepting<'_>>, StoreError> {
        let inner = &self.inner;
        let Decision::Accept { subject } = judged.verdict.decision else { return Ok(None) };
        let turn = inner.accepting.begin(&subject);
        let (verdict, history) = if inner.stands(subject, &judged.ground) {
            inner.without_replay(judged, subject, probes)?
        } else {
            let (reason, why) = (RefuseReason::NotMatched, "erased meanwhile");
            let decision = Decision::Refuse { reason };
            (Some(Verdict { decision, why, ..judged.verdict }), Remembered::Nothing)
        };
        if let Some(verdict) = verdict {
            judged.verdict = verdict;
        }
        Ok(Some(Accepting { inner, subject, _turn: turn, history }))
    }
}

impl Accepting<'_> {
    /// The accept is durable.
    pub(crate) fn made(&self) {
        match &self.history {
            Remembered::Nothing => {}
            Remembered::InStore => self.inner.unkept().forget(self.subject),
            Remembered::InMemory(history) => self.inner.unkept().put(self.subject, history.clone()),
        }
    }
}

impl Inner {
    /// Whether what an accept rests on is there. What is good once is not any more after it.
    fn stands(&self, subject: SubjectId, ground: &Ground) -> bool {
        match ground {
            Ground::Code => true,
            Ground::OneTime(code) => self.codes.take(subject, code, self.clock.running()),
            Ground::Enrolled => self.is_enrolled(subject),
            Ground::Fingers(fingers) => {
                let gallery = self.gallery();
                fingers.iter().all(|position| gallery.get(&(subject, *position)).is_some())
            }
        }
    }

    /// The refusal of a replay, or else what is remembered of the probes of an accept.
    fn without_replay<E>(
        &self,
        judged: &mut Judged<E>,
        subject: SubjectId,
        probes: &[Probe],
    ) -> Result<(Option<Verdict>, Remembered), StoreError> {
        let rule = self.policy.replay;
        // An older store has no place for it.
        if probes.is_empty() || !rule.is_on() || self.store.is_earlier() {
            return Ok((None, Remembered::Nothing));
        }
        let (mut history, is_whole) = self.history(subject)?;
        let mut replays = probes
            .iter()
            .filter_map(|probe| self.replay_of(&history, subject, probe, rule == ReplayRule::On));
        if let Some(replay) = replays.next() {
            self.ready().put(subject, (history.encode(), history));
            let refused = decide(&self.policy, &Evidence::Replay(replay));
            let Verdict { score, needed, .. } = judged.verdict;
            return Ok((Some(Verdict { score, needed, ..refused }), Remembered::Nothing));
        }
        for probe in probes {
            history.add(subject, probe);
        }
        let value = history.encode();
        self.ready().put(subject, (value.clone(), history));
        if !is_whole {
            return Ok((None, Remembered::InMemory(value)));
        }
        let (table, key) = (Table::Probes, subject.as_bytes().to_vec());
        judged.also.push(Change::Put { table, key, value });
        Ok((None, Remembered::InStore))
    }

    fn seen(&self) -> MutexGuard<'_, SeenSamples> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unkept(&self) -> MutexGuard<'_, Unkept> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is looked at yet.
    pub(crate) fn looking(&self) -> LookedAt<'_> {
        LookedAt { inner: self, digests: Vec::new() }
    }

    /// Remembers a sample: whoever presents it from now on presents it again.
    pub(crate) fn remember_sample(&self, digest: &[u8; 32]) {
        if self.policy.replay.is_on() {
            self.seen().remember(digest);
        }
    }

    /// The probes that somebody was accepted with, and whether the store says so and takes more.
    fn history(&self, of: SubjectId) -> Result<(History, bool), StoreError> {
        let unkept = self.unkept().of(of);
        let read = |bytes: Option<Vec<u8>>| {
            let Some(bytes) = bytes else { return Ok(History::default()) };
            let ready = self.ready().take(of).filter(|(kept, _)| *kept == bytes).map(|(_, history)| history);
            ready.or_else(|| History::decode(&bytes)).ok_or_else(|| damaged(format!("probes/{of}")))
        };
        let kept = match self.store.get(Table::Probes, of.as_bytes()) {
            Err(StoreError::Degraded { .. }) => return Ok((read(unkept)?, false)),
            kept => kept?,
        };
        let mut history = read(kept)?;
        if let Some(later) = unkept.as_deref().and_then(History::decode) {
            history.join(later);
        }
        Ok((history, true))
    }

    fn replay_of(&self, history: &History, of: SubjectId, probe: &Probe, copies: bool) -> Option<Replay> {
        let repeated = history.repeated(of, probe, copies);
        if repeated.is_some() || !copies {
            return repeated;
        }
        let gallery = self.gallery();
        let mut fingers = FingerPosition::ALL.iter().filter_map(|position| gallery.get(&(of, *position)));
        fingers.any(|finger| finger.sameness(&probe.prepared).is_copy()).then_some(Replay::View)
    }

    pub(crate) fn is_enrolled(&self, id: SubjectId) -> bool {
        is_enrolled(&self.gallery(), id)
    }
}

#[cfg(test)]
mod tests;
