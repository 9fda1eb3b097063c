//! How often somebody's password was guessed wrong, and how long the next guess waits.
//!
//! Invariant: names that are nobody's are counted like those of accounts, so that waiting tells nothing of who there is; no
//! number of them makes the box forget what was guessed at an account. Memory is bounded. Time is the box's uptime, and what
//! was counted before a restart begins to wait anew with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Wrong guesses that cost nothing: people mistype.
const FREE: u32 = 4;
/// What the next one costs; each costs twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Names of nobody that are remembered. One guess is compared at a time, which takes some milliseconds: a name is remembered
/// for longer than it may have to wait.
const NAMES: usize = 65_536;

#[derive(Clone, Copy)]
struct Count {
    wrong: u32,
    last: Duration,
    next: Duration,
}

impl Count {
    fn new(wrong: u32, now: Duration) -> Self {
        let over = wrong.checked_sub(FREE + 1);
        let wait = over.map(|over| LONGEST_WAIT.min(FIRST_WAIT * 2_u32.saturating_pow(over.min(20))));
        Self { wrong, last: now, next: now + wait.unwrap_or_default() }
    }
}

/// The guesses.
#[derive(Default)]
pub(super) struct Guesses {
    accounts: BTreeMap<String, Count>,
    /// At names that are nobody's.
    others: BTreeMap<String, Count>,
    /// Those by when they were guessed at last.
    oldest: BTreeSet<(Duration, String)>,
}

impl Guesses {
    /// What there is to wait before this name is tried.
    pub(super) fn wait(&self, name: &str, now: Duration) -> Option<Duration> {
        let next = self.count(name)?.next;
        next.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    fn count(&self, name: &str) -> Option<Count> {
        self.accounts.get(name).or_else(|| self.others.get(name)).copied()
    }

    /// Counts a wrong one at an account, or at nobody's name; gives how many there are.
    pub(super) fn wrong(&mut self, name: &str, account: bool, now: Duration) -> u32 {
        let wrong = self.count(name).map_or(0, |count| count.wrong).saturating_add(1);
        if account {
            self.seed(name, wrong, now);
            return wrong;
        }
        self.forget(name);
        if self.others.len() >= NAMES
            && let Some((_, oldest)) = self.oldest.pop_first()
        {
            self.others.remove(&oldest);
        }
        self.oldest.insert((now, name.to_owned()));
        self.others.insert(name.to_owned(), Count::new(wrong, now));
        wrong
    }

    /// So many were wrong at an account, the last of them now or before the start.
    pub(super) fn seed(&mut self, name: &str, wrong: u32, now: Duration) {
        self.forget(name);
        self.accounts.insert(name.to_owned(), Count::new(wrong, now));
    }

    /// It was right, or there is no such account any more.
    pub(super) fn right(&mut self, name: &str) {
        self.forget(name);
        self.accounts.remove(name);
    }

    fn forget(&mut self, name: &str) {
        if let Some((name, count)) = self.others.remove_entry(name) {
            self.oldest.remove(&(count.last, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_guesses_make_the_next_one_wait_longer_each_time_for_nobody_too() {
        let at = Duration::from_secs;
        for account in [true, false] {
            let mut guesses = Guesses::default();
            for _ in 0..FREE {
                guesses.wrong("ada", account, at(1));
                assert_eq!(guesses.wait("ada", at(1)), None);
            }
            guesses.wrong("ada", account, at(1));
            assert_eq!((guesses.wait("ada", at(1)), guesses.wait("ada", at(31))), (Some(FIRST_WAIT), None));
            guesses.wrong("ada", account, at(31));
            assert_eq!(guesses.wait("ada", at(31)), Some(FIRST_WAIT * 2));
            for _ in 0..100 {
                guesses.wrong("ada", account, at(100));
            }
            assert_eq!(guesses.wait("ada", at(100)), Some(LONGEST_WAIT));
            assert_eq!(guesses.wait("bob", at(100)), None);
            guesses.right("ada");
            assert_eq!(guesses.wait("ada", at(100)), None);
            assert_eq!((guesses.others.len(), guesses.oldest.len()), (0, 0));
        }
    }

    #[test]
    fn no_number_of_names_fills_the_memory_or_makes_an_account_s_count_forgotten() {
        let mut guesses = Guesses::default();
        for _ in 0..9 {
            guesses.wrong("ada", true, Duration::ZERO);
        }
        for n in 0..2 * NAMES as u64 {
            guesses.wrong(&n.to_string(), false, Duration::from_millis(n));
        }
        assert_eq!((guesses.others.len(), guesses.oldest.len()), (NAMES, NAMES));
        let now = Duration::from_millis(2 * NAMES as u64);
        assert!(guesses.wait("ada", now).is_some());
        assert_eq!(guesses.wrong("ada", true, now), 10);
        assert_eq!(guesses.wrong("0", false, now), 1, "the oldest of nobody's");
    }

    #[test]
    fn what_was_guessed_at_a_name_counts_when_somebody_gets_it() {
        let mut guesses = Guesses::default();
        for _ in 0..FREE {
            guesses.wrong("ada", false, Duration::ZERO);
        }
        assert_eq!(guesses.wrong("ada", true, Duration::ZERO), FREE + 1);
        assert!(guesses.others.is_empty() && guesses.oldest.is_empty());
    }
}
