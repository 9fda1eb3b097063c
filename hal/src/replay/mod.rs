//! Recorded frames as a sensor: stands in for a reader on a host without hardware; and recorded
//! traffic of real readers ([`traffic`]).
//!
//! Invariant: frames come in the order they were given, and a frame that was told to misbehave
//! fails in the way it was told, with the same typed error that a real reader's driver gives.

mod set;
mod stand;
pub mod traffic;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use set::{Finger, Impression, PrintSet, SetError};
pub use stand::Stand;

use crate::clock::{Clock, SystemClock};
use crate::frame::{Dpi, Frame};
use crate::sensor::{Capabilities, FingerprintSensor, Health, SensorError, SensorInfo, Signal};
use crate::wait::Wait;

/// How long the recorded finger takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Everything happens at once; a wait for what never comes ends at once too.
    #[default]
    Immediate,
    /// Like a person in front of a reader.
    Fixed {
        /// From the start of a wait until the finger lies on the reader.
        approach: Duration,
        /// From the start of a capture until the frame is there.
        transfer: Duration,
        /// From the start of a wait until the finger is lifted.
        lift: Duration,
    },
}

/// What a reader does wrong with one touch of a finger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The frame takes this much longer; the capture's limit may end it.
    Late(Duration),
    /// The first capture delivers this many bytes only; the next one delivers the frame.
    Partial(usize),
    /// The same frame comes once more as the next touch, bit for bit.
    Repeated,
    /// The finger is never lifted, until [`ReplaySensor::lift`] is called.
    Stuck,
    /// The reader is unplugged at this step, until [`ReplaySensor::plug_in`] is called.
    Unplugged(Step),
}

/// A step of taking a print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waiting for the finger.
    Finger,
    /// Taking the frame.
    Capture,
    /// Waiting for the lift.
    Lift,
}

#[derive(Clone)]
struct Touch {
    frame: Frame,
    fault: Option<Fault>,
}

/// A reader that presents recorded frames, one for each touch, in order.
pub struct ReplaySensor {
    info: SensorInfo,
    queue: VecDeque<Touch>,
    /// The finger that lies on the reader now.
    touching: Option<Touch>,
    pace: Pace,
    plugged_in: bool,
    signals: Vec<Signal>,
    clock: Arc<dyn Clock>,
}

impl ReplaySensor {
    /// Presents these frames as fast as possible.
    #[must_use]
    pub fn new(frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut sensor = Self {
            info: SensorInfo {
                model: "Authenteon replay".to_owned(),
                serial: None,
                geometry: None,
                dpi: Dpi::STANDARD,
                capabilities: Capabilities { finger_detect: true, ..Capabilities::default() },
            },
            queue: VecDeque::new(),
            touching: None,
            pace: Pace::Immediate,
            plugged_in: true,
            signals: Vec::new(),
            clock: Arc::new(SystemClock::new()),
        };
        for frame in frames {
            sensor.present(frame);
        }
        sensor
    }

    /// Presents every impression of a folder of prints, finger by finger.
    ///
    /// # Errors
    /// [`SetError`] for the first file that is no frame.
    pub fn from_set(set: &PrintSet) -> Result<Self, SetError> {
        let impressions = set.fingers().iter().flat_map(Finger::impressions);
        Ok(Self::new(impressions.map(Impression::load).collect::<Result<Vec<_>, _>>()?))
    }

    /// With delays.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// With another clock than the machine's.
    #[must_use]
    pub fn on_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Appends a touch.
    pub fn present(&mut self, frame: Frame) {
        self.push(Touch { frame, fault: None });
    }

    /// Appends a touch that goes wrong.
    pub fn present_with(&mut self, frame: Frame, fault: Fault) {
        self.push(Touch { frame, fault: Some(fault) });
    }

    /// The finger is lifted now, stuck or not.
    pub fn lift(&mut self) {
        self.touching = None;
    }

    /// The reader is plugged in again; the touch during which it was unplugged is over.
    pub fn plug_in(&mut self) {
        self.plugged_in = true;
        self.touching = None;
    }

    /// Touches that are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.queue.len()
    }

    /// What was shown to the person, in order.
    #[must_use]
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    fn push(&mut self, touch: Touch) {
        let size = (touch.frame.width(), touch.frame.height());
        if self.queue.is_empty() && self.touching.is_none() {
            self.info.geometry = Some(size);
            self.info.dpi = touch.frame.dpi();
        } else if self.info.geometry != Some(size) {
            self.info.geometry = None;
        }
        if touch.fault == Some(Fault::Repeated) {
            self.queue.push_back(touch.clone());
        }
        self.queue.push_back(touch);
    }

    /// Sleeps as the pace says.
    fn pass(&self, time: Duration, wait: &Wait, what: &'static str) -> Result<(), SensorError> {
        wait.start(&*self.clock).sleep(time, what)
    }

    /// Ends in `Removed` when the reader is not there, or is taken away at this step.
    fn still_there(&mut self, step: Step) -> Result<(), SensorError> {
        let current = self.touching.as_ref().or_else(|| self.queue.front());
        if self.plugged_in && current.is_some_and(|touch| touch.fault == Some(Fault::Unplugged(step))) {
            self.plugged_in = false;
            if step == Step::Finger {
                self.queue.pop_front();
            }
        }
        if self.plugged_in { Ok(()) } else { Err(SensorError::Removed) }
    }

    fn delays(&self) -> (Duration, Duration, Duration) {
        match self.pace {
            Pace::Immediate => (Duration::ZERO, Duration::ZERO, Duration::ZERO),
            Pace::Fixed { approach, transfer, lift } => (approach, transfer, lift),
        }
    }

    /// Nothing will happen any more: waits it out, unless everything is immediate.
    fn wait_in_vain(&self, wait: &Wait, what: &'static str) -> SensorError {
        match self.pace {
            Pace::Immediate => SensorError::TimedOut(what),
            Pace::Fixed { .. } => {
                self.pass(Duration::MAX, wait, what).err().unwrap_or(SensorError::TimedOut(what))
            }
        }
    }
}

impl FingerprintSensor for ReplaySensor {
    fn describe(&self) -> SensorInfo {
        self.info.clone()
    }

    fn wait_for_finger(&mut self, wait: &Wait) -> Result<(), SensorError> {
        const WHAT: &str = "a finger";
        if self.touching.is_some() {
            return self.still_there(Step::Capture);
        }
        self.still_there(Step::Finger)?;
        if self.queue.is_empty() {
            return Err(self.wait_in_vain(wait, WHAT));
        }
        self.pass(self.delays().0, wait, WHAT)?;
        self.touching = self.queue.pop_front();
        Ok(())
    }

    fn capture(&mut self, wait: &Wait) -> Result<Frame, SensorError> {
        const WHAT: &str = "a frame";
        self.still_there(Step::Capture)?;
        let transfer = self.delays().1;
        let late = match &self.touching {
            Some(Touch { fault: Some(Fault::Late(late)), .. }) => *late,
            Some(_) => Duration::ZERO,
            None => return Err(SensorError::Protocol("no finger lies on the reader".to_owned())),
        };
        self.pass(transfer.saturating_add(late), wait, WHAT)?;
        let Some(touch) = &mut self.touching else {
            return Err(SensorError::Removed);
        };
        if let Some(Fault::Partial(received)) = touch.fault {
            touch.fault = None;
            let expected = touch.frame.pixels().len();
            return Err(SensorError::PartialFrame { received: received.min(expected), expected });
        }
        Ok(touch.frame.clone())
    }

    fn wait_for_lift(&mut self, wait: &Wait) -> Result<(), SensorError> {
        self.still_there(Step::Lift)?;
        if self.touching.as_ref().is_some_and(|touch| touch.fault == Some(Fault::Stuck)) {
            return Err(match self.wait_in_vain(wait, "the lift") {
                SensorError::TimedOut(_) => SensorError::StuckFinger,
                other => other,
            });
        }
        match self.pass(self.delays().2, wait, "the lift") {
            Err(SensorError::TimedOut(_)) => return Err(SensorError::StuckFinger),
            other => other?,
        }
        self.touching = None;
        Ok(())
    }

    fn indicate(&mut self, signal: Signal) -> Result<(), SensorError> {
        if !self.plugged_in {
            return Err(SensorError::Removed);
        }
        self.signals.push(signal);
        Ok(())
    }

    fn health(&mut self) -> Health {
        if self.plugged_in { Health::Good } else { Health::Failed(SensorError::Removed) }
    }
}

#[cfg(test)]
mod tests;
