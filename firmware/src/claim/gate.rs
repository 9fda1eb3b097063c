//! Who may go on with a claim: a pure function of the code, the failures before it and the time.
//!
//! Invariant: a code is compared at most [`FAILURES`] times. One that the box shows is then worth nothing,
//! as it is after [`SHOWN_LIVES`]; one that the administrator chose cannot be replaced, so claiming waits
//! for [`LOCKED`] instead. Failures are counted in memory: a restart forgets them, and whoever can restart
//! the box stands before it and reads the console anyway.

use std::{collections::VecDeque, time::Duration};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::code::Code;

/// Wrong codes until the code is replaced, or claiming is locked.
pub(super) const FAILURES: u32 = 5;
/// How long a shown code is good.
pub(super) const SHOWN_LIVES: Duration = Duration::from_secs(30 * 60);
/// How long nobody may claim after too many wrong guesses at a chosen code.
pub(super) const LOCKED: Duration = Duration::from_secs(30 * 60);
/// Attempts of all clients together in [`WINDOW`].
const ATTEMPTS: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// What the right code looks like from afar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// None at the moment: there was no randomness to make one.
    Nothing,
    /// Digest of a [`Code`] that the box shows.
    Shown([u8; 32]),
    /// SHA-256 of a text that the administrator chose.
    Chosen([u8; 32]),
}

impl Expected {
    /// Whether `typed` is the code, in a time that tells nothing of it; `None` when it cannot be one.
    pub(super) fn is(&self, typed: &str) -> Option<bool> {
        match self {
            Self::Nothing => Some(false),
            Self::Shown(digest) => Code::parse(typed).ok().map(|typed| typed.digest().ct_eq(digest).into()),
            Self::Chosen(digest) => {
                let typed: [u8; 32] = Sha256::digest(typed.as_bytes()).into();
                Some(typed.ct_eq(digest).into())
            }
        }
    }
}

/// What comes of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the code.
    Right,
    /// It is not, and so many wrong ones are left.
    Wrong {
        /// How many.
        left: u32,
    },
    /// It was the last wrong one: the code must be replaced now.
    Spent,
    /// Its check does not fit: nothing was compared.
    Mistyped,
    /// Nothing was compared: claiming waits for so long.
    Locked(Duration),
}

/// The gate.
pub(super) struct Gate {
    expected: Expected,
    /// When the code was made.
    since: Duration,
    failures: u32,
    locked_until: Duration,
}

impl Gate {
    /// A gate for this code, made at the moment `now`.
    pub(super) fn new(expected: Expected, now: Duration) -> Self {
        Self { expected, since: now, failures: 0, locked_until: Duration::ZERO }
    }

    /// What is asked for.
    pub(super) fn expected(&self) -> Expected {
        self.expected
    }

    /// Whether the box must show another code.
    pub(super) fn stale(&self, now: Duration) -> bool {
        match self.expected {
            Expected::Nothing => true,
            Expected::Shown(_) => self.failures >= FAILURES || now.saturating_sub(self.since) >= SHOWN_LIVES,
            Expected::Chosen(_) => false,
        }
    }

    /// Judges a code at the moment `now`. Replace a [`Self::stale`] one before.
    pub(super) fn judge(&mut self, typed: &str, now: Duration) -> Verdict {
        if now < self.locked_until {
            return Verdict::Locked(self.locked_until - now);
        }
        match self.expected.is(typed) {
            None => Verdict::Mistyped,
            Some(true) if !self.stale(now) => Verdict::Right,
            Some(_) => self.count(now),
        }
    }

    fn count(&mut self, now: Duration) -> Verdict {
        self.failures += 1;
        if self.failures < FAILURES {
            return Verdict::Wrong { left: FAILURES - self.failures };
        }
        if matches!(self.expected, Expected::Chosen(_)) {
            self.failures = 0;
            self.locked_until = now + LOCKED;
            return Verdict::Locked(LOCKED);
        }
        Verdict::Spent
    }
}

/// Bounds the attempts of everybody together: nobody can keep the console or the processor busy.
#[derive(Default)]
pub(super) struct Rate(VecDeque<Duration>);

impl Rate {
    /// Counts an attempt at the moment `now`, or says how long to wait.
    pub(super) fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        while self.0.front().is_some_and(|first| now.saturating_sub(*first) >= WINDOW) {
            self.0.pop_front();
        }
        if let (true, Some(first)) = (self.0.len() >= ATTEMPTS, self.0.front()) {
            return Err(WINDOW.saturating_sub(now.saturating_sub(*first)));
        }
        self.0.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn code() -> Code {
        Code::random(rustls::crypto::aws_lc_rs::default_provider().secure_random).unwrap()
    }

    #[test]
    fn a_shown_code_is_right_until_its_half_hour_is_over() {
        let shown = code();
        let mut gate = Gate::new(Expected::Shown(shown.digest()), SECOND);
        assert_eq!(gate.judge(&shown.to_string(), SHOWN_LIVES), Verdict::Right);
        assert!(gate.stale(SHOWN_LIVES + SECOND));
        assert_ne!(gate.judge(&shown.to_string(), SHOWN_LIVES + SECOND), Verdict::Right);
    }

    #[test]
    fn five_wrong_codes_spend_a_shown_code_and_a_mistyped_one_does_not_count() {
        let shown = code();
        let mut gate = Gate::new(Expected::Shown(shown.digest()), SECOND);
        for left in (1..FAILURES).rev() {
            assert_eq!(gate.judge(&code().to_string(), SECOND), Verdict::Wrong { left });
            assert_eq!(gate.judge("0000", SECOND), Verdict::Mistyped);
        }
        assert_eq!(gate.judge(&code().to_string(), SECOND), Verdict::Spent);
        assert!(gate.stale(SECOND));
        assert_eq!(gate.judge(&shown.to_string(), SECOND), Verdict::Spent, "the right one came too late");
    }

    #[test]
    fn a_chosen_code_never_goes_stale_and_five_failures_lock_it_for_half_an_hour() {
        let chosen = "correct horse, 80 bits of it";
        let mut gate = Gate::new(Expected::Chosen(Sha256::digest(chosen).into()), SECOND);
        assert!(!gate.stale(SHOWN_LIVES * 1000));
        for left in (1..FAILURES).rev() {
            assert_eq!(gate.judge("guess", SECOND), Verdict::Wrong { left });
        }
        assert_eq!(gate.judge("guess", SECOND), Verdict::Locked(LOCKED));
        assert_eq!(gate.judge(chosen, LOCKED), Verdict::Locked(SECOND), "the right one waits too");
        assert_eq!(gate.judge("guess", LOCKED + SECOND), Verdict::Wrong { left: FAILURES - 1 });
        assert_eq!(gate.judge(chosen, LOCKED + SECOND), Verdict::Right);
    }

    #[test]
    fn without_a_code_nothing_is_right() {
        let mut gate = Gate::new(Expected::Nothing, SECOND);
        assert!(gate.stale(SECOND));
        for typed in ["", "0", &code().to_string()] {
            assert_ne!(gate.judge(typed, SECOND), Verdict::Right);
        }
    }

    #[test]
    fn ten_attempts_a_minute_are_for_everybody_together() {
        let mut rate = Rate::default();
        for n in 0..10 {
            assert_eq!(rate.admit(SECOND * n), Ok(()));
        }
        assert_eq!(rate.admit(SECOND * 20), Err(SECOND * 40));
        assert_eq!(rate.admit(SECOND * 60), Ok(()), "the first one is a minute ago");
        assert_eq!(rate.admit(SECOND * 60), Err(SECOND));
    }
}
