//! Whether a reader does what a reader must: the steps that somebody at the reader goes through.
//!
//! Invariant: every step that was begun has a result and a time, each ends at its limit, and a step
//! that rests on a failed one is skipped and says so, instead of failing for another's fault.

use std::time::Duration;

use crate::clock::Clock;
use crate::frame::Frame;
use crate::sensor::{FingerprintSensor, Health, SensorError, Signal};
use crate::wait::{CancelToken, Wait};

/// Nothing has to be lifted from a reader that nobody uses; a dirty one sees a finger for ever.
const BARE: Duration = Duration::from_secs(3);
const CAPTURE: Duration = Duration::from_secs(60);
const LIFT: Duration = Duration::from_secs(15);

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It answers, and says that it is well.
    Answers,
    /// It shows what it is told to show.
    Lights,
    /// It sees no finger where none is.
    Bare,
    /// It notices a finger.
    Finger,
    /// It takes a frame of the finger.
    Frame,
    /// It notices that the finger is lifted.
    Lift,
}

impl Step {
    /// Every step, in order; the last three need a person.
    pub const ALL: [Self; 6] =
        [Self::Answers, Self::Lights, Self::Bare, Self::Finger, Self::Frame, Self::Lift];

    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Lights => "lights",
            Self::Bare => "bare",
            Self::Finger => "finger",
            Self::Frame => "frame",
            Self::Lift => "lift",
        }
    }

    /// What the person at the reader does meanwhile.
    #[must_use]
    pub fn prompt(self) -> &'static str {
        match self {
            Self::Answers => "the reader is asked how it is",
            Self::Lights => "look at its light",
            Self::Bare => "keep your fingers off the reader",
            Self::Finger => "place a finger",
            Self::Frame => "hold still",
            Self::Lift => "lift the finger",
        }
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should, and why.
    Failed(String),
    /// Not begun, and why.
    Skipped(String),
}

/// A step and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Which.
    pub step: Step,
    /// How.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// Whether nothing failed.
#[must_use]
pub fn passed(checked: &[Checked]) -> bool {
    checked.iter().all(|check| !matches!(check.verdict, Verdict::Failed(_)))
}

/// How far to go.
#[derive(Clone, Debug)]
pub struct Extent {
    /// How long to wait for a finger; without it no finger is asked for.
    pub finger: Option<Duration>,
    /// Ends the test early: what is left fails as cancelled.
    pub cancel: CancelToken,
}

/// Runs the test. `on_step` hears of each step twice: when it begins, and with its end.
///
/// # Errors
/// [`SensorError::Removed`] and [`SensorError::Cancelled`] end the test.
pub fn run(
    sensor: &mut dyn FingerprintSensor,
    clock: &dyn Clock,
    extent: &Extent,
    on_step: &mut dyn FnMut(Step, Option<&Checked>),
) -> Result<(Vec<Checked>, Option<Frame>), SensorError> {
    let mut test = Test { sensor, extent, frame: None };
    let mut checked: Vec<Checked> = Vec::new();
    for step in Step::ALL {
        on_step(step, None);
        let began = clock.now();
        let verdict = match test.reason_to_skip(step, &checked) {
            Some(why) => Verdict::Skipped(why.to_owned()),
            None => match test.take(step) {
                Ok(()) => Verdict::Passed,
                Err(error @ (SensorError::Removed | SensorError::Cancelled)) => return Err(error),
                Err(error) => Verdict::Failed(error.to_string()),
            },
        };
        let took = clock.now().saturating_sub(began);
        let check = Checked { step, verdict, took };
        on_step(step, Some(&check));
        checked.push(check);
    }
    // Whatever it showed last; that it can show things was a step.
    let _ = test.sensor.indicate(Signal::Off);
    Ok((checked, test.frame))
}

struct Test<'a> {
    sensor: &'a mut dyn FingerprintSensor,
    extent: &'a Extent,
    frame: Option<Frame>,
}

impl Test<'_> {
    fn reason_to_skip(&self, step: Step, checked: &[Checked]) -> Option<&'static str> {
        let passed =
            |step| checked.iter().any(|check| check.step == step && check.verdict == Verdict::Passed);
        match step {
            Step::Answers => None,
            _ if !passed(Step::Answers) => Some("the reader does not answer"),
            Step::Lights if !self.sensor.describe().capabilities.light => Some("it has no light"),
            Step::Lights | Step::Bare => None,
            Step::Finger if self.extent.finger.is_none() => Some("no finger was asked for"),
            Step::Finger if !passed(Step::Bare) => Some("it sees a finger where none is"),
            Step::Finger => None,
            Step::Frame | Step::Lift if !passed(Step::Finger) => Some("there was no finger"),
            Step::Frame | Step::Lift => None,
        }
    }

    fn wait(&self, limit: Duration) -> Wait {
        Wait::up_to(limit).or_until(&self.extent.cancel)
    }

    fn take(&mut self, step: Step) -> Result<(), SensorError> {
        match step {
            Step::Answers => match self.sensor.health() {
                Health::Good => Ok(()),
                Health::Degraded(why) => Err(SensorError::Protocol(why)),
                Health::Failed(error) => Err(error),
            },
            Step::Lights => {
                for signal in [Signal::Busy, Signal::Accepted, Signal::Refused, Signal::Retry, Signal::Off] {
                    self.sensor.indicate(signal)?;
                }
                Ok(())
            }
            Step::Bare => self.sensor.wait_for_lift(&self.wait(BARE)),
            Step::Finger => {
                self.sensor.indicate(Signal::Ready)?;
                let limit = self.extent.finger.unwrap_or_default();
                self.sensor.wait_for_finger(&self.wait(limit))
            }
            Step::Frame => {
                self.sensor.indicate(Signal::Busy)?;
                self.frame = Some(self.sensor.capture(&self.wait(CAPTURE))?);
                Ok(())
            }
            Step::Lift => {
                self.sensor.indicate(Signal::Retry)?;
                self.sensor.wait_for_lift(&self.wait(LIFT))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use crate::frame::Dpi;
    use crate::replay::{Fault, ReplaySensor, Step as At};

    fn frame() -> Frame {
        Frame::new(64, 64, Dpi::STANDARD, vec![7; 4096]).unwrap()
    }

    fn test(sensor: &mut ReplaySensor, finger: bool) -> Result<(Vec<String>, Option<Frame>), SensorError> {
        let extent = Extent { finger: finger.then_some(Duration::from_secs(1)), cancel: CancelToken::new() };
        let mut told = Vec::new();
        let mut on_step = |step, ended: Option<&Checked>| told.push((step, ended.is_some()));
        let (checked, frame) = run(sensor, &VirtualClock::new(), &extent, &mut on_step)?;
        let expected: Vec<_> = Step::ALL.into_iter().flat_map(|step| [(step, false), (step, true)]).collect();
        assert_eq!(told, expected);
        let word = |check: &Checked| match &check.verdict {
            Verdict::Passed => format!("{} passed", check.step.name()),
            Verdict::Failed(why) => format!("{} failed: {why}", check.step.name()),
            Verdict::Skipped(why) => format!("{} skipped: {why}", check.step.name()),
        };
        assert_eq!(passed(&checked), checked.iter().all(|c| !word(c).contains("failed")));
        Ok((checked.iter().map(word).collect(), frame))
    }

    #[test]
    fn a_good_reader_passes_with_a_finger_and_without() {
        let (steps, taken) = test(&mut ReplaySensor::new([frame()]), true).unwrap();
        let no_light = "lights skipped: it has no light";
        assert_eq!(
            steps,
            ["answers passed", no_light, "bare passed", "finger passed", "frame passed", "lift passed"]
        );
        assert_eq!(taken, Some(frame()));
        let (steps, taken) = test(&mut ReplaySensor::new([frame()]), false).unwrap();
        assert_eq!(steps[2..4], ["bare passed", "finger skipped: no finger was asked for"]);
        assert_eq!(taken, None);
    }

    #[test]
    fn what_rests_on_a_failed_step_is_skipped() {
        let (steps, _) = test(&mut ReplaySensor::new([]), true).unwrap();
        assert_eq!(
            steps[3..],
            [
                "finger failed: timed out waiting for a finger",
                "frame skipped: there was no finger",
                "lift skipped: there was no finger"
            ]
        );
    }

    #[test]
    fn a_frame_that_fails_and_a_finger_that_stays_are_named() {
        let mut sensor = ReplaySensor::new([]);
        sensor.present_with(frame(), Fault::Partial(10));
        let (steps, _) = test(&mut sensor, true).unwrap();
        assert_eq!(steps[4..], ["frame failed: partial frame: 10 of 4096 bytes", "lift passed"]);
        let mut sensor = ReplaySensor::new([]);
        sensor.present_with(frame(), Fault::Stuck);
        let (steps, _) = test(&mut sensor, true).unwrap();
        assert_eq!(steps[5], "lift failed: the finger was not lifted");
    }

    #[test]
    fn a_reader_that_is_taken_away_ends_the_test() {
        let mut sensor = ReplaySensor::new([]);
        sensor.present_with(frame(), Fault::Unplugged(At::Capture));
        assert_eq!(test(&mut sensor, true).err(), Some(SensorError::Removed));
    }
}
