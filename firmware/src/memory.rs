//! What the services remember while they run: samples seen, so that a replay is known, and answers
//! given, so that a repeated request gets the same one.
//!
//! Both are bounded: the oldest is forgotten first. Samples are kept as keyed digests only.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    request::{ClientId, RequestId},
    services::Decided,
};

/// Samples seen, and those that are looked at now: these count once what came of them is durable.
pub(crate) struct SeenSamples {
    key: [u8; 16],
    limit: usize,
    order: VecDeque<[u8; 32]>,
    seen: HashSet<[u8; 32]>,
    claimed: HashSet<[u8; 32]>,
}

impl SeenSamples {
    /// Remembers `limit` samples under a key of this run.
    pub(crate) fn new(key: [u8; 16], limit: usize) -> Self {
        Self { key, limit, order: VecDeque::new(), seen: HashSet::new(), claimed: HashSet::new() }
    }

    fn keyed(&self, digest: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(self.key).chain_update(digest).finalize().into()
    }

    /// Begins to look at a sample; false when it came before, or another one who brought it is looked at.
    pub(crate) fn claim(&mut self, digest: &[u8; 32]) -> bool {
        let keyed = self.keyed(digest);
        !self.seen.contains(&keyed) && self.claimed.insert(keyed)
    }

    /// Nothing came of it: whoever brings it again is looked at.
    pub(crate) fn release(&mut self, digest: &[u8; 32]) {
        let keyed = self.keyed(digest);
        self.claimed.remove(&keyed);
    }

    /// Remembers a sample.
    pub(crate) fn remember(&mut self, digest: &[u8; 32]) {
        let keyed = self.keyed(digest);
        self.claimed.remove(&keyed);
        if !self.seen.insert(keyed) {
            return;
        }
        self.order.push_back(keyed);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

/// A request as its caller names it.
type Name = (ClientId, RequestId);

/// An answer given before, on the clock that nobody can set.
#[derive(Clone)]
struct Answer {
    at: Duration,
    body: [u8; 32],
    decided: Decided,
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
    Answered(Decided),
    /// It was asked before, with another body.
    Reused,
}

/// Answers given, each under a digest of its name: a tenth of the memory that names take.
pub(crate) struct Answers {
    limit: usize,
    lifetime: Duration,
    order: VecDeque<[u8; 32]>,
    given: HashMap<[u8; 32], Answer>,
}

/// What a request is known by.
fn digest((client, request): &Name) -> [u8; 32] {
    let client = client.as_str();
    let parts = Sha256::new().chain_update((client.len() as u64).to_be_bytes()).chain_update(client);
    parts.chain_update(request.as_ref()).finalize().into()
}

impl Answers {
    pub(crate) fn new(limit: usize, lifetime: Duration) -> Self {
        Self { limit, lifetime, order: VecDeque::new(), given: HashMap::new() }
    }

    /// What is known of a request at a moment.
    pub(crate) fn known(&self, name: &Name, body: &[u8; 32], now: Duration) -> Known {
        match self.given.get(&digest(name)).filter(|answer| now.saturating_sub(answer.at) <= self.lifetime) {
            None => Known::New,
            Some(answer) if answer.body == *body => Known::Answered(answer.decided.clone()),
            Some(_) => Known::Reused,
        }
    }

    /// Remembers an answer, and forgets those that are too old.
    pub(crate) fn remember(&mut self, name: &Name, body: [u8; 32], decided: Decided, now: Duration) {
        while let Some(oldest) = self.order.front() {
            let live = |answer: &Answer| now.saturating_sub(answer.at) <= self.lifetime;
            if self.order.len() < self.limit && self.given.get(oldest).is_some_and(live) {
                break;
            }
            self.given.remove(oldest);
            self.order.pop_front();
        }
        let name = digest(name);
        if self.given.insert(name, Answer { at: now, body, decided }).is_none() {
            self.order.push_back(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Decision, RefuseReason};

    fn name(request: &str) -> Name {
        (ClientId::of_certificate(&[1; 32]), RequestId::try_from(request.to_owned()).unwrap())
    }

    #[test]
    fn a_sample_is_known_once_something_came_of_it_until_enough_others_came() {
        let mut seen = SeenSamples::new([3; 16], 2);
        assert!(seen.claim(&[1; 32]));
        assert!(!seen.claim(&[1; 32]), "two at the same moment");
        seen.release(&[1; 32]);
        assert!(seen.claim(&[1; 32]), "nothing came of the first");
        for sample in [[1; 32], [1; 32], [2; 32]] {
            seen.remember(&sample);
            assert!(!seen.claim(&sample));
        }
        seen.remember(&[3; 32]);
        assert!(seen.claim(&[1; 32]), "the oldest of three is forgotten when two are kept");
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
        let (now, later) = (Duration::from_secs(5), Duration::from_millis(605_001));
        let refused = Decided::from(Decision::Refuse { reason: RefuseReason::NotMatched });
        answers.remember(&name("a"), [1; 32], refused.clone(), now);
        assert!(matches!(answers.known(&name("a"), &[1; 32], now), Known::Answered(d) if d == refused));
        assert!(matches!(answers.known(&name("a"), &[2; 32], now), Known::Reused));
        assert!(matches!(answers.known(&name("a"), &[1; 32], later), Known::New));
        for other in ["b", "c"] {
            answers.remember(&name(other), [1; 32], refused.clone(), now);
        }
        assert!(matches!(answers.known(&name("a"), &[1; 32], now), Known::New), "two are kept");
        answers.remember(&name("d"), [1; 32], refused, later);
        assert_eq!((answers.order.len(), answers.given.len()), (1, 1), "what is too old is not kept");
    }
}
