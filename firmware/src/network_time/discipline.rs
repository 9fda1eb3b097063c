//! Whether the clock follows what time servers say. Pure: measurements go in, and what to do comes out.
//!
//! Invariants: the first answer of a start is believed between when the version that runs was built, or what
//! the box last knew for certain, and ten years after it was built; from then on the clock is never moved
//! further than a bad crystal could have taken it. A minority of liars is outvoted.

use std::{fmt, time::Duration};

use crate::clock::Timestamp;

/// A clock that is so near is left alone: nobody notices, and a step is never free.
const NEAR: u64 = 100;
/// Servers agree that differ by no more than this, besides what their ways explain.
const AGREE: u64 = 500;
/// An answer that took longer says too little.
const SLOWEST: Duration = Duration::from_millis(1500);
/// What was last known for certain may have been this much ahead.
const BACK: Duration = Duration::from_secs(3600);
/// A version is not run for longer.
const LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);
/// What may be put right at once, besides what has drifted.
const SLACK: u64 = 30_000;
/// Crystals of small boards are ten times better: 500 parts in a million.
const DRIFT: u32 = 2000;

/// How far another clock is ahead of ours, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(i64);

impl Offset {
    /// So many milliseconds.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// So many milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The moment that lies so far away.
    #[must_use]
    pub fn after(self, moment: Timestamp) -> Timestamp {
        Timestamp::from_millis(moment.millis().saturating_add_signed(self.0))
    }

    fn from(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }
}

/// As people say it: in seconds, or in days when it is many.
impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 as f64 / 1000.0;
        if seconds.abs() < 172_800.0 {
            write!(f, "{seconds:.1} s")
        } else {
            write!(f, "{:.1} days", seconds / 86_400.0)
        }
    }
}

/// What a server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// How far it is ahead of us.
    pub offset: Offset,
    /// How long the answer was under way.
    pub delay: Duration,
}

impl Measurement {
    /// Whether both can be right.
    fn agrees(&self, other: &Self) -> bool {
        let ways = u64::try_from((self.delay + other.delay).as_millis()).unwrap_or(u64::MAX) / 2;
        self.offset.from(other.offset) <= AGREE.saturating_add(ways)
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How far the servers are ahead.
    pub offset: Offset,
    /// How far the clock is moved: not at all when it is near.
    pub step: Option<Offset>,
    /// Place of the measurement that is followed.
    pub of: usize,
}

/// Why the clock stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// No server answered in time.
    #[error("no time server answers")]
    Nobody,
    /// No more than half of them can be right.
    #[error("the time servers do not agree: name more of them, or one that is right")]
    Disagree,
    /// They say what cannot be any more.
    #[error(
        "the time servers say {0}, which has passed: they are wrong, or this box remembers a wrong time; type 'clock' at its console to make it forget"
    )]
    Passed(Timestamp),
    /// They say what is too far away.
    #[error("the time servers say {0}, which is too far away to be believed")]
    Far(Timestamp),
    /// No clock goes so wrong.
    #[error(
        "the time servers are {0} away, more than a clock can go wrong: if they are right, start the box again"
    )]
    Jump(Offset),
}

/// What is known at the start.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// When the version that runs was built.
    pub built: Timestamp,
    /// The last moment that was known from servers, if ever.
    pub last: Option<Timestamp>,
}

/// The clock's discipline.
#[derive(Clone, Debug)]
pub struct Discipline {
    known: Known,
    /// Since the first answer that was followed: when that was by a clock that nobody sets, and how far the
    /// clock was moved since then.
    followed: Option<(Duration, Offset)>,
}

impl Discipline {
    /// Of this start.
    #[must_use]
    pub fn new(known: Known) -> Self {
        Self { known, followed: None }
    }

    /// What to do, when the clock shows `now` and the box has run for `uptime`.
    ///
    /// # Errors
    /// [`Doubt`]: nothing.
    pub fn judge(
        &self,
        measured: &[Measurement],
        now: Timestamp,
        uptime: Duration,
    ) -> Result<Verdict, Doubt> {
        let (of, offset) = agreed(measured)?;
        match self.followed {
            None => self.believable(offset.after(now))?,
            Some((since, moved)) => {
                let drifted =
                    u64::try_from((uptime.saturating_sub(since) / DRIFT).as_millis()).unwrap_or(u64::MAX);
                let moved = moved.0.saturating_add(offset.0).unsigned_abs();
                if moved > SLACK.saturating_add(drifted) {
                    return Err(Doubt::Jump(offset));
                }
            }
        }
        let far = offset.0.unsigned_abs() > NEAR;
        Ok(Verdict { offset, step: far.then_some(offset), of })
    }

    fn believable(&self, said: Timestamp) -> Result<(), Doubt> {
        let Known { built, last } = self.known;
        let earlier = |moment: Timestamp, by: Duration| {
            Timestamp::from_millis(
                moment.millis().saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
            )
        };
        if said < built || last.is_some_and(|last| said < earlier(last, BACK)) {
            return Err(Doubt::Passed(said));
        }
        if said.since(built) > LIFE { Err(Doubt::Far(said)) } else { Ok(()) }
    }

    /// The verdict was carried out.
    pub fn followed(&mut self, verdict: &Verdict, uptime: Duration) {
        self.followed = match self.followed {
            None => Some((uptime, Offset::default())),
            Some((since, moved)) => {
                let step = verdict.step.unwrap_or_default();
                Some((since, Offset(moved.0.saturating_add(step.0))))
            }
        };
    }
}

/// The nearest of those that most agree with: its place, and how far it is ahead.
fn agreed(measured: &[Measurement]) -> Result<(usize, Offset), Doubt> {
    let usable: Vec<(usize, &Measurement)> =
        measured.iter().enumerate().filter(|(_, one)| one.delay <= SLOWEST).collect();
    let friends = |one: &Measurement| usable.iter().filter(|(_, other)| one.agrees(other)).count();
    let best = usable
        .iter()
        .filter(|(_, one)| friends(one) * 2 > usable.len())
        .min_by_key(|(place, one)| (one.delay, *place));
    match best {
        Some((place, one)) => Ok((*place, one.offset)),
        None if usable.is_empty() => Err(Doubt::Nobody),
        None => Err(Doubt::Disagree),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUILT: u64 = 1_793_491_200_000;
    const DAY: i64 = 86_400_000;
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(BUILT.saturating_add_signed(millis))
    }

    fn says(offset: i64) -> Measurement {
        Measurement { offset: Offset(offset), delay: Duration::from_millis(20) }
    }

    fn fresh(last: Option<i64>) -> Discipline {
        Discipline::new(Known { built: at(0), last: last.map(at) })
    }

    /// A box that has followed servers since its first minute.
    fn running() -> Discipline {
        let mut discipline = fresh(None);
        let verdict = discipline.judge(&[says(200 * DAY)], at(0), MINUTE).unwrap();
        assert_eq!(verdict.step, Some(Offset(200 * DAY)));
        discipline.followed(&verdict, MINUTE);
        discipline
    }

    #[test]
    fn a_box_that_was_long_in_its_drawer_finds_the_time() {
        running();
    }

    #[test]
    fn a_clock_that_is_near_is_left_alone() {
        assert_eq!(fresh(None).judge(&[says(100)], at(0), MINUTE).unwrap().step, None);
        assert!(fresh(None).judge(&[says(101)], at(0), MINUTE).unwrap().step.is_some());
    }

    #[test]
    fn what_has_passed_or_is_ten_years_away_is_not_believed() {
        let first = |last, offset| fresh(last).judge(&[says(offset)], at(DAY), MINUTE).map(|v| v.offset.0);
        assert_eq!(first(None, -DAY), Ok(-DAY), "the moment of its build");
        assert_eq!(first(None, -DAY - 1), Err(Doubt::Passed(at(-1))));
        assert_eq!(first(Some(DAY), -3_600_000), Ok(-3_600_000));
        assert_eq!(first(Some(DAY), -3_600_001), Err(Doubt::Passed(at(DAY - 3_600_001))));
        assert_eq!(first(None, 3650 * DAY), Err(Doubt::Far(at(3651 * DAY))));
        assert!(first(None, i64::MAX).is_err() && first(None, i64::MIN).is_err());
    }

    #[test]
    fn a_running_clock_is_not_moved_further_than_it_can_have_gone_wrong() {
        let discipline = running();
        let judge = |offset, after| discipline.judge(&[says(offset)], at(200 * DAY), MINUTE + after);
        assert!(judge(30_000, Duration::ZERO).is_ok());
        assert_eq!(judge(30_001, Duration::ZERO), Err(Doubt::Jump(Offset(30_001))));
        assert_eq!(judge(-30_001, Duration::ZERO), Err(Doubt::Jump(Offset(-30_001))));
        assert!(judge(31_000, Duration::from_secs(2000)).is_ok(), "it may have drifted by a second");
    }

    #[test]
    fn without_an_answer_or_with_late_ones_nothing_is_done() {
        let late = Measurement { delay: Duration::from_secs(2), ..says(0) };
        for measured in [&[][..], &[late]] {
            assert_eq!(fresh(None).judge(measured, at(0), MINUTE), Err(Doubt::Nobody));
        }
    }

    #[test]
    fn two_that_disagree_are_both_not_believed_and_of_three_the_liar_is_outvoted() {
        assert_eq!(fresh(None).judge(&[says(0), says(DAY)], at(0), MINUTE), Err(Doubt::Disagree));
        let verdict = fresh(None).judge(&[says(DAY), says(5000), says(5100)], at(0), MINUTE).unwrap();
        assert_eq!((verdict.offset, verdict.of), (Offset(5000), 1));
    }

    proptest! {
        #[test]
        fn a_minority_of_liars_is_outvoted(
            truth in 0..1000 * DAY,
            honest in proptest::collection::vec((-40i64..40, 1u64..200), 2..5),
            lies in proptest::collection::vec((any::<i64>(), 0u64..1500), 0..4),
            turn in 0usize..8,
        ) {
            let mut measured: Vec<Measurement> = honest
                .iter()
                .map(|(error, delay)| Measurement { offset: Offset(truth + error), delay: Duration::from_millis(*delay) })
                .chain(lies.iter().take(honest.len() - 1).map(|(offset, delay)| {
                    Measurement { offset: Offset(*offset), delay: Duration::from_millis(*delay) }
                }))
                .collect();
            let places = measured.len();
            measured.rotate_left(turn % places);
            let verdict = fresh(None).judge(&measured, at(0), MINUTE).unwrap();
            // A lie that an honest clock agrees with is no great lie.
            prop_assert!(verdict.offset.from(Offset(truth)) <= 40 + AGREE + 850, "{verdict:?}");
        }

        #[test]
        fn whatever_servers_say_a_running_clock_stays_within_its_drift(
            said in proptest::collection::vec((any::<i64>(), 1u64..100_000), 1..60),
            small in proptest::collection::vec((-40_000i64..40_000, 1u64..100_000), 1..60),
        ) {
            let mut discipline = running();
            let (mut clock, mut uptime) = (at(200 * DAY), MINUTE);
            for (offset, pause) in said.into_iter().zip(small).flat_map(|(one, other)| [one, other]) {
                let pause = Duration::from_secs(pause);
                uptime += pause;
                clock = Timestamp::from_millis(clock.millis() + pause.as_millis() as u64);
                if let Ok(verdict) = discipline.judge(&[says(offset)], clock, uptime) {
                    discipline.followed(&verdict, uptime);
                    clock = verdict.step.unwrap_or_default().after(clock);
                }
                let ran = uptime - MINUTE;
                let steady = at(200 * DAY).millis() + ran.as_millis() as u64;
                prop_assert!(clock.millis().abs_diff(steady) <= SLACK + (ran / DRIFT).as_millis() as u64);
            }
        }
    }
}
