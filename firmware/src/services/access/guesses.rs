//! How often somebody's password was guessed wrong, and how long the next guess waits.
//!
//! Invariant: names that are nobody's are counted like those of accounts, so that waiting tells nothing of who there is;
//! memory is bounded. Time is the box's uptime, and what was counted before a restart begins to wait anew with it.

use std::{collections::BTreeMap, time::Duration};

/// Wrong guesses that cost nothing: people mistype.
const FREE: u32 = 4;
/// What the next one costs; each costs twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Names that are remembered.
const NAMES: usize = 4096;

#[derive(Clone, Copy, Default)]
struct Count {
    wrong: u32,
    last: Duration,
    next: Duration,
}

/// The guesses.
#[derive(Default)]
pub(super) struct Guesses(BTreeMap<String, Count>);

impl Guesses {
    /// What there is to wait before this name is tried.
    pub(super) fn wait(&self, name: &str, now: Duration) -> Option<Duration> {
        let next = self.0.get(name).map(|count| count.next)?;
        next.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// Counts a wrong one; gives how many there are.
    pub(super) fn wrong(&mut self, name: &str, now: Duration) -> u32 {
        let wrong = self.0.get(name).map_or(0, |count| count.wrong).saturating_add(1);
        self.seed(name, wrong, now);
        wrong
    }

    /// So many were wrong, the last of them now or before the start.
    pub(super) fn seed(&mut self, name: &str, wrong: u32, now: Duration) {
        if self.0.len() >= NAMES && !self.0.contains_key(name) {
            let oldest = self.0.iter().min_by_key(|(_, count)| count.last).map(|(name, _)| name.clone());
            oldest.map(|name| self.0.remove(&name));
        }
        let over = wrong.checked_sub(FREE + 1);
        let wait = over.map(|over| LONGEST_WAIT.min(FIRST_WAIT * 2_u32.saturating_pow(over.min(20))));
        let count = Count { wrong, last: now, next: now + wait.unwrap_or_default() };
        self.0.insert(name.to_owned(), count);
    }

    /// It was right.
    pub(super) fn right(&mut self, name: &str) {
        self.0.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_guesses_make_the_next_one_wait_longer_each_time_for_nobody_too() {
        let mut guesses = Guesses::default();
        let at = Duration::from_secs;
        for _ in 0..FREE {
            guesses.wrong("ada", at(1));
            assert_eq!(guesses.wait("ada", at(1)), None);
        }
        guesses.wrong("ada", at(1));
        assert_eq!((guesses.wait("ada", at(1)), guesses.wait("ada", at(31))), (Some(FIRST_WAIT), None));
        guesses.wrong("ada", at(31));
        assert_eq!(guesses.wait("ada", at(31)), Some(FIRST_WAIT * 2));
        for _ in 0..100 {
            guesses.wrong("ada", at(100));
        }
        assert_eq!(guesses.wait("ada", at(100)), Some(LONGEST_WAIT));
        assert_eq!(guesses.wait("bob", at(100)), None);
        guesses.right("ada");
        assert_eq!(guesses.wait("ada", at(100)), None);
    }

    #[test]
    fn no_number_of_names_fills_the_memory() {
        let mut guesses = Guesses::default();
        for n in 0..2 * NAMES as u64 {
            guesses.wrong(&n.to_string(), Duration::from_secs(n));
        }
        assert_eq!(guesses.0.len(), NAMES);
    }
}
