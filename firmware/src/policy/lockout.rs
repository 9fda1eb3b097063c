//! Lockout: who failed too often waits, and each failure more makes the next wait twice as long, up to a bound.
//!
//! A tally knows no clock: it is told how much time has passed, by who has a clock that cannot be set. Invariant: what
//! a tally says after it was kept and read again is never a shorter wait than without.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whose failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Those of attempts to pass for one subject, wherever they are made.
    Subject,
    /// Those of attempts of one client, for whomever.
    Station,
    /// Those at one reader of the box, for whomever.
    Sensor,
}

impl Scope {
    /// The word that the API and the audit use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Station => "station",
            Self::Sensor => "sensor",
        }
    }
}

/// How many failures are let pass, and how long is waited after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Lockout {
    /// Failures for one subject before the first wait; 0: never. Only a success takes them away.
    pub subject_failures: u32,
    /// Failures of one station before the first wait; 0: never.
    pub station_failures: u32,
    /// Failures at one reader of the box before the first wait; 0: never.
    pub sensor_failures: u32,
    /// Seconds of the first wait; each failure after it costs twice the one before.
    pub first_wait_seconds: u32,
    /// Seconds of the longest wait.
    pub longest_wait_seconds: u32,
    /// Seconds in which one failure of a station or at a reader is forgotten. In the long run that is how often
    /// somebody can guess there.
    pub forget_seconds: u32,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            subject_failures: 5,
            station_failures: 100,
            sensor_failures: 100,
            first_wait_seconds: 30,
            longest_wait_seconds: 900,
            forget_seconds: 300,
        }
    }
}

/// Nobody is locked out for longer than a day at a time.
const DAY_SECONDS: u32 = 86_400;

impl Lockout {
    /// Whether the numbers can be used.
    ///
    /// # Errors
    /// The one that cannot, and what would be right.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let seconds = |value| (1..=DAY_SECONDS).contains(&value);
        if !seconds(self.first_wait_seconds) {
            return Err(("first-wait-seconds", "from 1 to 86400 seconds"));
        }
        if !seconds(self.longest_wait_seconds) || self.longest_wait_seconds < self.first_wait_seconds {
            return Err(("longest-wait-seconds", "from first-wait-seconds to 86400 seconds"));
        }
        if !seconds(self.forget_seconds) {
            return Err(("forget-seconds", "from 1 to 86400 seconds"));
        }
        Ok(())
    }

    fn failures(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Subject => self.subject_failures,
            Scope::Station => self.station_failures,
            Scope::Sensor => self.sensor_failures,
        }
    }

    /// What the last of so many failures costs.
    fn costs(&self, scope: Scope, failures: u32) -> Duration {
        let limit = self.failures(scope);
        let Some(over) = failures.checked_sub(limit).filter(|_| limit > 0) else { return Duration::ZERO };
        let first = Duration::from_secs(self.first_wait_seconds.into());
        let longest = Duration::from_secs(self.longest_wait_seconds.into());
        first.saturating_mul(2_u32.saturating_pow(over.min(31))).min(longest)
    }
}

/// Failures of somebody, and what there is still to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tally {
    failures: u32,
    left_ms: u64,
    /// Towards the next failure that is forgotten.
    #[serde(default)]
    aged_ms: u64,
}

impl Tally {
    /// Failures that count.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What there is still to wait, if anything.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        (self.left_ms > 0).then(|| Duration::from_millis(self.left_ms))
    }

    /// The stricter of two of the same one.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self {
            failures: self.failures.max(other.failures),
            left_ms: self.left_ms.max(other.left_ms),
            aged_ms: self.aged_ms.min(other.aged_ms),
        }
    }

    /// Nothing is counted, and nothing waited for.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.failures == 0 && self.left_ms == 0
    }

    /// So much time has passed, while the box ran.
    pub fn pass(&mut self, time: Duration, rules: &Lockout, scope: Scope) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.left_ms = self.left_ms.saturating_sub(time);
        let forget = u64::from(rules.forget_seconds) * 1000;
        if scope == Scope::Subject || forget == 0 {
            return;
        }
        let aged = self.aged_ms.saturating_add(time);
        let forgotten = u32::try_from(aged / forget).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_sub(forgotten);
        self.aged_ms = if self.failures == 0 { 0 } else { aged % forget };
    }

    /// One more failure.
    pub fn fail(&mut self, rules: &Lockout, scope: Scope) {
        self.failures = self.failures.saturating_add(1);
        let costs = u64::try_from(rules.costs(scope, self.failures).as_millis()).unwrap_or(u64::MAX);
        self.left_ms = self.left_ms.max(costs);
    }

    /// A success. A subject has proved himself; of a station or a reader it says nothing: whoever guesses there could
    /// have a right finger of his own.
    pub fn succeed(&mut self, scope: Scope) {
        if scope == Scope::Subject {
            *self = Self::default();
        }
    }
}

/// What somebody has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whose failures it comes of.
    pub of: Scope,
    /// How long it is.
    pub left: Duration,
}

impl Wait {
    /// Whole seconds, never too few.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        u32::try_from(self.left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
    }

    /// What the audit says of it.
    #[must_use]
    pub fn why(&self) -> &'static str {
        match self.of {
            Scope::Subject => "locked out: the subject",
            Scope::Station => "locked out: the station",
            Scope::Sensor => "locked out: the reader",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn five_failures_lock_a_subject_and_each_more_twice_as_long_up_to_the_bound() {
        let (rules, mut tally) = (Lockout::default(), Tally::default());
        for _ in 0..4 {
            tally.fail(&rules, Scope::Subject);
            assert_eq!(tally.wait(), None);
        }
        for wait in [30, 60, 120, 240, 480, 900, 900] {
            tally.fail(&rules, Scope::Subject);
            assert_eq!(tally.wait(), Some(SECOND * wait));
            tally.pass(SECOND * (wait - 1), &rules, Scope::Subject);
            assert_eq!(tally.wait(), Some(SECOND));
            tally.pass(SECOND, &rules, Scope::Subject);
            assert_eq!(tally.wait(), None);
        }
        tally.succeed(Scope::Subject);
        assert!(tally.is_clear());
    }

    #[test]
    fn a_right_finger_of_his_own_buys_nobody_guesses_at_a_station() {
        let (rules, mut tally) = (Lockout::default(), Tally::default());
        for _ in 0..rules.station_failures {
            assert_eq!(tally.wait(), None);
            tally.fail(&rules, Scope::Station);
            tally.succeed(Scope::Station);
        }
        assert_eq!(tally.wait(), Some(SECOND * 30));
    }

    #[test]
    fn a_station_forgets_a_failure_at_a_time_and_a_subject_none() {
        let (rules, mut station, mut subject) = (Lockout::default(), Tally::default(), Tally::default());
        for _ in 0..3 {
            station.fail(&rules, Scope::Station);
            subject.fail(&rules, Scope::Subject);
        }
        for _ in 0..599 {
            station.pass(SECOND, &rules, Scope::Station);
        }
        assert_eq!(station.failures(), 2);
        station.pass(SECOND, &rules, Scope::Station);
        assert_eq!(station.failures(), 1);
        subject.pass(SECOND * 1_000_000, &rules, Scope::Subject);
        assert_eq!(subject.failures(), 3);
    }

    #[test]
    fn no_lockout_is_a_choice() {
        let rules = Lockout { subject_failures: 0, ..Lockout::default() };
        let mut tally = Tally::default();
        for _ in 0..1000 {
            tally.fail(&rules, Scope::Subject);
        }
        assert_eq!(tally.wait(), None);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Fail,
        Succeed,
        Pass(u64),
        /// What is there now is kept.
        Keep,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => Just(Step::Fail),
            1 => Just(Step::Succeed),
            4 => (0_u64..2_000_000).prop_map(Step::Pass),
            1 => Just(Step::Keep),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn a_restart_at_any_moment_never_makes_a_wait_shorter(
            steps in steps(), scope in prop_oneof![Just(Scope::Subject), Just(Scope::Station)],
        ) {
            let rules = Lockout { station_failures: 7, ..Lockout::default() };
            let (mut live, mut kept) = (Tally::default(), Tally::default());
            for step in steps {
                match step {
                    Step::Fail => {
                        live.fail(&rules, scope);
                        kept = live;
                    }
                    Step::Succeed => {
                        live.succeed(scope);
                        kept = live;
                    }
                    Step::Pass(milliseconds) => live.pass(Duration::from_millis(milliseconds), &rules, scope),
                    Step::Keep => kept = live,
                }
                let text = serde_json::to_string(&kept).unwrap();
                let read: Tally = serde_json::from_str(&text).unwrap();
                prop_assert!(read.wait() >= live.wait());
                prop_assert!(read.failures() >= live.failures());
            }
        }

        #[test]
        fn a_wait_ends_when_so_much_has_passed_in_whatever_pieces(pieces in prop::collection::vec(1_u64..40_000, 1..60)) {
            let (rules, mut tally) = (Lockout::default(), Tally::default());
            for _ in 0..6 {
                tally.fail(&rules, Scope::Subject);
            }
            let mut passed = 0;
            for piece in pieces {
                tally.pass(Duration::from_millis(piece), &rules, Scope::Subject);
                passed += piece;
                let left = 60_000_u64.saturating_sub(passed);
                prop_assert_eq!(tally.wait(), (left > 0).then(|| Duration::from_millis(left)));
            }
        }
    }
}
