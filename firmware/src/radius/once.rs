//! The same request again: it gets the answer that it got, while a client may still wait for it, and none later.
//!
//! Whoever gets no answer sends the same packet again after some seconds, while a finger may take longer. Invariant: of the
//! same packet nothing is done twice; what is remembered is bounded, and the oldest is forgotten first.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::clients::Client;

/// Requests that are remembered.
const MOST: usize = 65_536;
/// Answers that are kept: of the longest, 32 MiB.
const ANSWERS: usize = 8192;
/// How long an answer is given again.
const AGAIN: Duration = Duration::from_secs(30);

/// What is known of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is new, and from now on it is not.
    New,
    /// Its answer is on the way, or it was answered too long ago.
    Silent,
    /// It was answered so.
    Answered(Vec<u8>),
}

enum Stage {
    Working,
    Answered(Duration, Vec<u8>),
    /// Only that it was is left.
    Over,
}

/// By what a packet is known: a digest of its client and all its bytes.
pub(super) type Name = [u8; 32];

/// What a packet of a client is known by.
pub(super) fn name(client: &Client, packet: &[u8]) -> Name {
    let client = client.name.as_str().as_bytes();
    let digest = Sha256::new().chain_update((client.len() as u64).to_be_bytes()).chain_update(client);
    digest.chain_update(packet).finalize().into()
}

#[derive(Default)]
struct All {
    stages: HashMap<Name, Stage>,
    order: VecDeque<Name>,
    /// Those whose answers are kept, the oldest first.
    answered: VecDeque<(Duration, Name)>,
}

/// Packets that came.
#[derive(Default)]
pub(super) struct Once(Mutex<All>);

impl Once {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a packet that came now.
    pub(super) fn begin(&self, name: &Name, now: Duration) -> Known {
        let mut all = self.all();
        all.forget(now);
        match all.stages.get(name) {
            Some(Stage::Answered(_, answer)) => Known::Answered(answer.clone()),
            Some(Stage::Working | Stage::Over) => Known::Silent,
            None => {
                if all.order.len() >= MOST
                    && let Some(oldest) = all.order.pop_front()
                {
                    all.stages.remove(&oldest);
                }
                all.stages.insert(*name, Stage::Working);
                all.order.push_back(*name);
                Known::New
            }
        }
    }

    /// It has this answer; without one it may be tried again.
    pub(super) fn end(&self, name: &Name, answer: Option<&[u8]>, now: Duration) {
        let mut all = self.all();
        let Some(stage) = all.stages.get_mut(name) else { return };
        match answer {
            Some(answer) => {
                *stage = Stage::Answered(now, answer.to_vec());
                all.answered.push_back((now, *name));
                all.forget(now);
            }
            None => {
                all.stages.remove(name);
                // It is one of the last.
                if let Some(place) = all.order.iter().rposition(|other| other == name) {
                    all.order.remove(place);
                }
            }
        }
    }
}

impl All {
    /// Lets go of answers that nobody waits for any more.
    fn forget(&mut self, now: Duration) {
        while let Some((at, name)) = self.answered.front().copied()
            && (now.saturating_sub(at) > AGAIN || self.answered.len() > ANSWERS)
        {
            self.answered.pop_front();
            // It may have been forgotten, and have come again since.
            if let Some(stage) = self.stages.get_mut(&name)
                && matches!(stage, Stage::Answered(since, _) if *since == at)
            {
                *stage = Stage::Over;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_packet_is_worked_on_once_and_its_answer_given_again_for_half_a_minute() {
        let once = Once::default();
        assert_eq!(once.begin(&[1; 32], at(0)), Known::New);
        assert_eq!(once.begin(&[1; 32], at(5)), Known::Silent, "its answer is on the way");
        assert_eq!(once.begin(&[2; 32], at(5)), Known::New);
        once.end(&[1; 32], Some(b"yes"), at(7));
        assert_eq!(once.begin(&[1; 32], at(37)), Known::Answered(b"yes".to_vec()));
        for late in [38, 3600, 1_000_000] {
            assert_eq!(
                once.begin(&[1; 32], at(late)),
                Known::Silent,
                "nobody waits any more: it is a replay"
            );
        }
        assert!(once.all().answered.is_empty());
    }

    #[test]
    fn what_was_not_answered_is_tried_again() {
        let once = Once::default();
        assert_eq!(once.begin(&[1; 32], at(0)), Known::New);
        once.end(&[1; 32], None, at(1));
        assert_eq!(once.begin(&[1; 32], at(2)), Known::New);
    }

    #[test]
    fn the_oldest_of_too_many_are_forgotten() {
        let once = Once::default();
        let name = |number: usize| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_be_bytes());
            name
        };
        for number in 0..MOST + 10 {
            assert_eq!(once.begin(&name(number), at(0)), Known::New);
            once.end(&name(number), Some(b"no"), at(0));
        }
        let all = once.all();
        assert_eq!((all.stages.len(), all.order.len(), all.answered.len()), (MOST, MOST, ANSWERS));
        drop(all);
        assert_eq!(once.begin(&name(0), at(1)), Known::New);
        assert_eq!(once.begin(&name(MOST - ANSWERS), at(1)), Known::Silent);
        assert_eq!(once.begin(&name(MOST), at(1)), Known::Answered(b"no".to_vec()));
    }
}
