//! A reader that looks for fingers only while somebody asks, as the watch sees it.
//!
//! The watch waits for a finger for ever; here that wait is for a job first. Meanwhile the reader is
//! asked how it is, so that its removal is noticed though nobody uses it. Invariant: a finger that lay
//! there before the job counts for nothing, and whatever is shown goes out again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authenteon_hal::{
    FingerprintSensor, Frame, SensorError, SensorInfo, Wait,
    clock::SystemClock,
    selftest::{self, Extent},
    sensor::{Health, Signal},
};
use tracing::debug;

use super::{
    Stage,
    slot::{Next, Slot, Taken},
};

/// How often an idle reader is asked how it is.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long the person sees what came of it, at least.
const SHOWN: Duration = Duration::from_millis(1500);
/// No decision takes so long.
const DECISION: Duration = Duration::from_secs(10);
/// A reader with nothing on it says so within this.
const BARE: Duration = Duration::from_secs(1);

pub(super) struct Session {
    reader: Box<dyn FingerprintSensor>,
    slot: Arc<Slot>,
    /// Something is shown until then.
    shown_until: Option<Instant>,
}

impl Session {
    pub(super) fn new(reader: Box<dyn FingerprintSensor>, slot: Arc<Slot>) -> Self {
        Self { reader, slot, shown_until: None }
    }

    /// A light that fails is no reason to refuse a finger; a reader that is gone is.
    fn show(&mut self, signal: Signal) -> Result<(), SensorError> {
        match self.reader.indicate(signal) {
            Err(SensorError::Removed) => Err(SensorError::Removed),
            Err(error) => {
                debug!(reader = %self.slot.id(), %error, ?signal, "not shown");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The watch ends by a cancel; nothing is shown after it.
    fn dark_at_the_end<T>(&mut self, ended: Result<T, SensorError>) -> Result<T, SensorError> {
        if matches!(ended, Err(SensorError::Cancelled)) {
            // It may be gone already.
            let _ = self.reader.indicate(Signal::Off);
        }
        ended
    }

    fn ask_how_it_is(&mut self) -> Result<(), SensorError> {
        match self.reader.health() {
            Health::Good => Ok(()),
            Health::Degraded(why) => {
                debug!(reader = %self.slot.id(), why, "degraded");
                Ok(())
            }
            // Whichever end of its cable was pulled.
            Health::Failed(SensorError::TimedOut(_)) => Err(SensorError::Removed),
            Health::Failed(error) => Err(error),
        }
    }

    /// Waits for the job's finger; false when there was none.
    fn finger(&mut self, job: &Taken) -> Result<bool, SensorError> {
        let wait = |limit: Duration| {
            let left = job.end.saturating_duration_since(Instant::now());
            Wait::up_to(left.min(limit)).or_until(&job.cancel)
        };
        // What lies there was not laid down for this.
        let mut bare = self.reader.wait_for_lift(&wait(BARE));
        if bare == Err(SensorError::StuckFinger) {
            self.show(Signal::Retry)?;
            self.slot.tell(Stage::Lift);
            bare = self.reader.wait_for_lift(&wait(Duration::MAX));
        }
        let came = match bare {
            Ok(()) => {
                self.show(Signal::Ready)?;
                self.slot.tell(Stage::Place);
                self.reader.wait_for_finger(&wait(Duration::MAX))
            }
            other => other,
        };
        match came {
            Ok(()) => Ok(true),
            Err(SensorError::TimedOut(_) | SensorError::StuckFinger | SensorError::Cancelled) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn test(&mut self, job: &Taken, finger: Option<Duration>) -> Result<(), SensorError> {
        let extent = Extent { finger, cancel: job.cancel.clone() };
        match selftest::run(&mut *self.reader, &SystemClock::new(), &extent, &mut |_, _| {}) {
            Ok((checked, frame)) => self.slot.tested(checked, u64::from(frame.is_some())),
            Err(SensorError::Cancelled) => self.slot.missed(),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl FingerprintSensor for Session {
    fn describe(&self) -> SensorInfo {
        self.reader.describe()
    }

    /// Ends with a finger that somebody asked for, or with an error; never at the limit of `_wait`,
    /// which is the watch's occasion to look around: the slot tells when to.
    fn wait_for_finger(&mut self, _wait: &Wait) -> Result<(), SensorError> {
        loop {
            let shown = self.shown_until.map(|until| until.saturating_duration_since(Instant::now()));
            match self.slot.next(shown.unwrap_or(HEARTBEAT).min(HEARTBEAT)) {
                Next::Close => return self.dark_at_the_end(Err(SensorError::Cancelled)),
                Next::Job(job) => {
                    self.shown_until = None;
                    match job.test {
                        Some(finger) => self.test(&job, finger)?,
                        None if self.finger(&job)? => {
                            self.slot.tell(Stage::Hold);
                            return self.show(Signal::Busy);
                        }
                        None => self.slot.missed(),
                    }
                    self.show(Signal::Off)?;
                }
                Next::Idle if self.shown_until.is_some_and(|until| until <= Instant::now()) => {
                    self.shown_until = None;
                    self.show(Signal::Off)?;
                }
                Next::Idle => self.ask_how_it_is()?,
            }
        }
    }

    fn capture(&mut self, wait: &Wait) -> Result<Frame, SensorError> {
        let captured = self.reader.capture(wait);
        self.dark_at_the_end(captured)
    }

    /// First what came of it, then the lift.
    fn wait_for_lift(&mut self, wait: &Wait) -> Result<(), SensorError> {
        let outcome = self.slot.outcome(DECISION);
        match outcome {
            Some(signal) => {
                self.show(signal)?;
                self.shown_until = Some(Instant::now() + SHOWN);
            }
            None if self.shown_until.is_none() => self.show(Signal::Off)?,
            None => {}
        }
        let lifted = self.reader.wait_for_lift(wait);
        self.dark_at_the_end(lifted)
    }

    fn indicate(&mut self, signal: Signal) -> Result<(), SensorError> {
        self.reader.indicate(signal)
    }

    fn health(&mut self) -> Health {
        self.reader.health()
    }
}
