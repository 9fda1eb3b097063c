//! Replays: an accept that rests on a copy of what was accepted or enrolled before is none.
//!
//! It is looked at once a finger has matched, so that to whoever brings a wrong one a person with a history, one without
//! and one who does not exist are the same: nothing is read of any. Invariant: accepts of one person come one after the
//! other until they are durable, and so does an erasure, so that no probe slips past the one before and none is kept of
//! somebody who is gone.

use std::sync::{MutexGuard, PoisonError};

use super::{Inner, Services, damaged};
use crate::{
    memory::Turn,
    policy::{Decision, Evidence, Replay, ReplayRule, Verdict, decide},
    replay::{History, Probe, Recent},
    store::{Change, StoreError, Table},
    subject::{FingerPosition, SubjectId},
};

impl Services {
    /// The verdict once replays are told: a refusal instead of an accept, or with the accept what is kept of its probes.
    /// The person's turn ends when that is durable.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing is decided.
    pub(crate) fn without_replay(
        &self,
        verdict: Verdict,
        probes: &[Probe],
        also: &mut Vec<Change>,
    ) -> Result<(Verdict, Option<Turn<'_, SubjectId>>), StoreError> {
        let inner = &self.inner;
        let rule = inner.policy.replay;
        let Decision::Accept { subject } = verdict.decision else { return Ok((verdict, None)) };
        // An older store has no place for it.
        if probes.is_empty() || !rule.is_on() || inner.store.is_earlier() {
            return Ok((verdict, None));
        }
        let turn = inner.accepting.begin(&subject);
        let mut history = inner.history(subject)?;
        let mut replays = probes
            .iter()
            .filter_map(|probe| inner.replay_of(&history, subject, probe, rule == ReplayRule::On));
        if let Some(replay) = replays.next() {
            let bytes = history.encode();
            inner.recent().put(subject, bytes, history);
            let refused = decide(&inner.policy, &Evidence::Replay(replay));
            let Verdict { score, needed, .. } = verdict;
            return Ok((Verdict { score, needed, ..refused }, Some(turn)));
        }
        for probe in probes {
            history.add(subject, probe);
        }
        // Who was erased meanwhile leaves nothing behind.
        if inner.is_enrolled(subject) {
            let (table, key, value) = (Table::Probes, subject.as_bytes().to_vec(), history.encode());
            inner.recent().put(subject, value.clone(), history);
            also.push(Change::Put { table, key, value });
        }
        Ok((verdict, Some(turn)))
    }
}

impl Inner {
    /// Whether a sample came before, since the start, whoever presented it. It is remembered.
    pub(crate) fn seen_before(&self, digest: &[u8; 32]) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.policy.replay.is_on() && seen.seen_before(digest)
    }

    fn history(&self, of: SubjectId) -> Result<History, StoreError> {
        let Some(kept) = self.store.get(Table::Probes, of.as_bytes())? else { return Ok(History::default()) };
        if let Some(ready) = self.recent().take(of, &kept) {
            return Ok(ready);
        }
        History::decode(&kept).ok_or_else(|| damaged(format!("probes/{of}")))
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing of somebody's probes stays in memory.
    pub(crate) fn forget_probes(&self, of: SubjectId) {
        self.recent().forget(of);
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

    fn is_enrolled(&self, id: SubjectId) -> bool {
        let gallery = self.gallery();
        FingerPosition::ALL.iter().any(|position| gallery.get(&(id, *position)).is_some())
    }
}

#[cfg(test)]
mod tests;
