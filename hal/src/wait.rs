//! How long a caller is willing to wait for a reader, and how it changes its mind.
//!
//! Invariant: a wait ends at its limit or within one [`Deadline::SLICE`] of being cancelled,
//! whichever comes first; a wedged reader never holds its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::sensor::SensorError;

/// Tells a wait in another thread to end. Clones belong together; once cancelled, always cancelled.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every wait that was given this token.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether [`CancelToken::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A limit in time, and optionally a way to cancel.
#[derive(Clone, Debug)]
pub struct Wait {
    limit: Duration,
    cancel: CancelToken,
}

impl Wait {
    /// Waits at most this long.
    #[must_use]
    pub fn up_to(limit: Duration) -> Self {
        Self { limit, cancel: CancelToken::new() }
    }

    /// Ends early when the token is cancelled.
    #[must_use]
    pub fn or_until(mut self, token: &CancelToken) -> Self {
        self.cancel = token.clone();
        self
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Starts the wait on a clock.
    pub fn start<'a>(&'a self, clock: &'a dyn Clock) -> Deadline<'a> {
        Deadline { end: clock.now().saturating_add(self.limit), cancel: &self.cancel, clock }
    }
}

/// A wait that has begun.
#[derive(Clone, Copy)]
pub struct Deadline<'a> {
    end: Duration,
    cancel: &'a CancelToken,
    clock: &'a dyn Clock,
}

impl<'a> Deadline<'a> {
    /// A part of this wait that must be over earlier.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Deadline<'a> {
        let end = self.end.min(self.clock.now().saturating_add(limit));
        Deadline { end, cancel: self.cancel, clock: self.clock }
    }

    /// The longest time between two looks at the cancel token.
    pub const SLICE: Duration = Duration::from_millis(50);

    /// Time left.
    ///
    /// # Errors
    /// [`SensorError::TimedOut`] when there is none, [`SensorError::Cancelled`] when cancelled.
    pub fn remaining(&self, waiting_for: &'static str) -> Result<Duration, SensorError> {
        if self.cancel.is_cancelled() {
            return Err(SensorError::Cancelled);
        }
        match self.end.saturating_sub(self.clock.now()) {
            Duration::ZERO => Err(SensorError::TimedOut(waiting_for)),
            left => Ok(left),
        }
    }

    /// Time left, but no more than [`Deadline::SLICE`]: what one blocking call may take.
    ///
    /// # Errors
    /// As [`Deadline::remaining`].
    pub fn slice(&self, waiting_for: &'static str) -> Result<Duration, SensorError> {
        self.remaining(waiting_for).map(|left| left.min(Self::SLICE))
    }

    /// Calls `ready` again and again, with a pause between, until it says yes.
    ///
    /// # Errors
    /// What `ready` ran into; a time-out of this wait itself is one of waiting for `what`.
    pub fn poll(
        &self,
        pause: Duration,
        what: &'static str,
        mut ready: impl FnMut() -> Result<bool, SensorError>,
    ) -> Result<(), SensorError> {
        loop {
            let outcome = match ready() {
                Ok(true) => return Ok(()),
                Ok(false) => self.sleep(pause, what),
                Err(error) => Err(error),
            };
            match outcome {
                // It was this wait that was too short for the last question, not the answer too late.
                Err(SensorError::TimedOut(_)) if self.remaining(what).is_err() => {
                    return Err(SensorError::TimedOut(what));
                }
                other => other?,
            }
        }
    }

    /// Sleeps for `time`, or until the deadline or a cancel ends it.
    ///
    /// # Errors
    /// As [`Deadline::remaining`].
    pub fn sleep(&self, time: Duration, waiting_for: &'static str) -> Result<(), SensorError> {
        let wake = self.clock.now().saturating_add(time);
        loop {
            let left = wake.saturating_sub(self.clock.now());
            if left.is_zero() {
                return Ok(());
            }
            self.clock.sleep(left.min(self.slice(waiting_for)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;

    #[test]
    fn a_wait_ends_at_its_limit_and_not_before() {
        let clock = VirtualClock::new();
        let wait = Wait::up_to(Duration::from_secs(1));
        let deadline = wait.start(&clock);
        assert_eq!(deadline.sleep(Duration::from_millis(900), "x"), Ok(()));
        assert_eq!(deadline.remaining("x"), Ok(Duration::from_millis(100)));
        assert_eq!(deadline.sleep(Duration::from_millis(200), "x"), Err(SensorError::TimedOut("x")));
        assert_eq!(clock.now(), Duration::from_secs(1));
    }

    #[test]
    fn a_cancelled_wait_ends_at_once() {
        let clock = VirtualClock::new();
        let token = CancelToken::new();
        let wait = Wait::up_to(Duration::from_secs(1)).or_until(&token);
        token.cancel();
        assert_eq!(wait.start(&clock).sleep(Duration::from_secs(1), "x"), Err(SensorError::Cancelled));
        assert_eq!(clock.now(), Duration::ZERO);
    }

    #[test]
    fn polling_ends_when_ready_or_at_its_limit_under_its_own_name() {
        let clock = VirtualClock::new();
        let wait = Wait::up_to(Duration::from_secs(1));
        let pause = Duration::from_millis(300);
        let mut asked = 0;
        let third = wait.start(&clock).poll(pause, "x", || {
            asked += 1;
            Ok(asked == 3)
        });
        assert_eq!((third, clock.now()), (Ok(()), pause * 2));
        let deadline = wait.start(&clock);
        let slow = deadline.poll(pause, "x", || deadline.sleep(pause, "an answer").map(|()| false));
        assert_eq!(slow, Err(SensorError::TimedOut("x")));
        let broken = wait.start(&clock).poll(pause, "x", || Err(SensorError::TimedOut("an answer")));
        assert_eq!(broken, Err(SensorError::TimedOut("an answer")));
    }

    #[test]
    fn a_part_of_a_wait_ends_no_later_than_the_whole() {
        let clock = VirtualClock::new();
        let wait = Wait::up_to(Duration::from_secs(2));
        let deadline = wait.start(&clock);
        let second = Duration::from_secs(1);
        assert_eq!(deadline.within(second).remaining("x"), Ok(second));
        assert_eq!(deadline.within(second * 9).remaining("x"), Ok(second * 2));
    }

    #[test]
    fn an_endless_limit_does_not_overflow() {
        let clock = VirtualClock::new();
        clock.sleep(Duration::from_secs(5));
        let wait = Wait::up_to(Duration::MAX);
        assert!(wait.start(&clock).remaining("x").is_ok());
    }
}
