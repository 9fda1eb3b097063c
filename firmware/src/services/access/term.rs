//! How long something is good that was given out, whatever happens to the clock of the box.
//!
//! Invariant: a clock that is set back makes nothing last longer while the box runs, and nothing last longer after a
//! restart than was left of it at the last record of the audit; a clock that is set forward ends it early.

use std::time::Duration;

use crate::clock::Timestamp;

/// A moment, by a clock that can be set and by one that cannot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// What the box takes the time to be.
    pub(super) wall: Timestamp,
    /// Since the start.
    pub(super) uptime: Duration,
}

/// When something ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    ends: Timestamp,
    deadline: Duration,
}

impl Term {
    /// Until `ends`, seen from now.
    pub(super) fn until(ends: Timestamp, now: Now) -> Self {
        Self { ends, deadline: now.uptime.saturating_add(ends.since(now.wall)) }
    }

    /// Whether it is over.
    pub(super) fn over(self, now: Now) -> bool {
        now.wall >= self.ends || now.uptime >= self.deadline
    }
}

/// So long after a moment.
pub(super) fn after(moment: Timestamp, time: Duration) -> Timestamp {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(moment.millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(wall: u32, uptime: u32) -> Now {
        Now { wall: after(Timestamp::from_millis(0), HOUR * wall), uptime: HOUR * uptime }
    }

    #[test]
    fn a_term_ends_by_whichever_clock_comes_first() {
        let term = Term::until(at(110, 0).wall, at(100, 5));
        assert!(!term.over(at(109, 14)));
        assert!(term.over(at(110, 6)), "set forward");
        assert!(term.over(at(50, 15)), "set back, and the time is up all the same");
        assert!(!term.over(at(50, 14)));
        assert!(Term::until(at(110, 0).wall, at(111, 0)).over(at(111, 0)), "over before it was read");
    }
}
