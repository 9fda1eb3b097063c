//! What the services remember while they run: samples seen, so that a replay is known, and answers
//! given, so that a repeated request gets the same one.
//!
//! Both are bounded: the oldest is forgotten first. Samples are kept as keyed digests only.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    clock::Timestamp,
    policy::Decision,
    request::{ClientId, RequestId},
};

/// Samples seen.
pub(crate) struct SeenSamples {
    key: [u8; 16],
    limit: usize,
    order: VecDeque<[u8; 32]>,
    seen: HashMap<[u8; 32], ()>,
}

impl SeenSamples {
    /// Remembers `limit` samples under a key of this run.
    pub(crate) fn new(key: [u8; 16], limit: usize) -> Self {
        Self { key, limit, order: VecDeque::new(), seen: HashMap::new() }
    }

    /// Remembers a sample; true when it was there already.
    pub(crate) fn seen_before(&mut self, digest: &[u8; 32]) -> bool {
        let keyed: [u8; 32] = Sha256::new().chain_update(self.key).chain_update(digest).finalize().into();
        if self.seen.insert(keyed, ()).is_some() {
            return true;
        }
        self.order.push_back(keyed);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        false
    }
}

/// A request as its caller names it.
type Name = (ClientId, RequestId);

/// An answer given before.
#[derive(Clone)]
struct Answer {
    at: Timestamp,
    body: [u8; 32],
    decision: Decision,
}

/// What is worked on, by name: who wants to work on the same waits. A request that is sent again meanwhile waits for its
/// answer; otherwise the repetition would be taken for a replay of its own sample.
pub(crate) struct InProgress<N: Ord + Clone = Name> {
    names: Mutex<BTreeSet<N>>,
    ended: Condvar,
}

impl<N: Ord + Clone> Default for InProgress<N> {
    fn default() -> Self {
        Self { names: Mutex::default(), ended: Condvar::new() }
    }
}

/// The right to work on something, until it is dropped.
pub(crate) struct Turn<'a, N: Ord + Clone = Name> {
    of: &'a InProgress<N>,
    name: N,
}

impl<N: Ord + Clone> InProgress<N> {
    /// Waits until nobody works on this.
    pub(crate) fn begin(&self, name: &N) -> Turn<'_, N> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        while !names.insert(name.clone()) {
            names = self.ended.wait(names).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { of: self, name: name.clone() }
    }
}

impl<N: Ord + Clone> Drop for Turn<'_, N> {
    fn drop(&mut self) {
        self.of.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.of.ended.notify_all();
    }
}

/// What is known of a request.
pub(crate) enum Known {
    /// Nothing: work it out.
    New,
    /// It was asked before, with the same body.
    Answered(Decision),
    /// It was asked before, with another body.
    Reused,
}

/// Answers given.
pub(crate) struct Answers {
    limit: usize,
    lifetime: Duration,
    order: VecDeque<Name>,
    given: BTreeMap<Name, Answer>,
}

impl Answers {
    pub(crate) fn new(limit: usize, lifetime: Duration) -> Self {
        Self { limit, lifetime, order: VecDeque::new(), given: BTreeMap::new() }
    }

    /// What is known of a request at a moment.
    pub(crate) fn known(&self, name: &Name, body: &[u8; 32], now: Timestamp) -> Known {
        match self.given.get(name).filter(|answer| now.since(answer.at) <= self.lifetime) {
            None => Known::New,
            Some(answer) if answer.body == *body => Known::Answered(answer.decision.clone()),
            Some(_) => Known::Reused,
        }
    }

    /// Remembers an answer.
    pub(crate) fn remember(&mut self, name: Name, body: [u8; 32], decision: Decision, now: Timestamp) {
        if self.given.insert(name.clone(), Answer { at: now, body, decision }).is_none() {
            self.order.push_back(name);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.given.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RefuseReason;

    fn name(request: &str) -> Name {
        (ClientId::of_certificate(&[1; 32]), RequestId::try_from(request.to_owned()).unwrap())
    }

    #[test]
    fn a_sample_is_known_the_second_time_until_enough_others_came() {
        let mut seen = SeenSamples::new([3; 16], 2);
        assert!(!seen.seen_before(&[1; 32]));
        assert!(seen.seen_before(&[1; 32]));
        assert!(!seen.seen_before(&[2; 32]));
        assert!(!seen.seen_before(&[3; 32]));
        assert!(!seen.seen_before(&[1; 32]), "the oldest of three is forgotten when two are kept");
    }

    #[test]
    fn a_request_waits_for_its_own_like_and_for_no_other() {
        let (working, done) = (InProgress::<Name>::default(), std::sync::atomic::AtomicBool::new(false));
        let turn = working.begin(&name("a"));
        drop(working.begin(&name("b")));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _turn = working.begin(&name("a"));
                assert!(done.load(std::sync::atomic::Ordering::SeqCst), "the first had not ended");
            });
            // Gives the other thread the time to go wrong.
            std::thread::yield_now();
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            drop(turn);
        });
    }

    #[test]
    fn an_answer_is_given_again_to_the_same_body_and_refused_to_another() {
        let mut answers = Answers::new(2, Duration::from_secs(600));
        let (now, later) = (Timestamp::from_millis(0), Timestamp::from_millis(600_001));
        let refused = Decision::Refuse { reason: RefuseReason::NotMatched };
        answers.remember(name("a"), [1; 32], refused.clone(), now);
        assert!(matches!(answers.known(&name("a"), &[1; 32], now), Known::Answered(d) if d == refused));
        assert!(matches!(answers.known(&name("a"), &[2; 32], now), Known::Reused));
        assert!(matches!(answers.known(&name("a"), &[1; 32], later), Known::New));
        for other in ["b", "c"] {
            answers.remember(name(other), [1; 32], refused.clone(), now);
        }
        assert!(matches!(answers.known(&name("a"), &[1; 32], now), Known::New), "two are kept");
    }
}
