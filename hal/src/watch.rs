//! A reader at work: what happens on it, as events, for as long as somebody wants to know.
//!
//! Invariant: a reader that is taken away is an event and not an end, it is opened anew when it
//! comes back, and only the caller ends the watch. Every finger-on is followed by a finger-off or
//! by the removal of the reader before the next finger-on.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::clock::Clock;
use crate::frame::Frame;
use crate::sensor::{FingerprintSensor, SensorError, SensorInfo};
use crate::wait::{CancelToken, Wait};

/// Something that happened on a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The reader is there and was started.
    Present(SensorInfo),
    /// A finger was laid on it.
    FingerOn,
    /// It took a frame.
    Frame(Frame),
    /// The finger was lifted.
    FingerOff,
    /// The reader was taken away.
    Removed,
    /// Something else went wrong; the watch goes on.
    Error(SensorError),
}

/// How long each step may take before the watch looks around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Starting a reader.
    pub open: Duration,
    /// One wait for a finger; without a finger the next begins.
    pub finger: Duration,
    /// Taking a frame.
    pub capture: Duration,
    /// One wait for the lift; a finger that stays is told once.
    pub lift: Duration,
    /// Between two attempts to open a reader, or to use one that failed.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(15),
            finger: Duration::from_secs(60),
            // A serial module at 9600 takes 42 s.
            capture: Duration::from_secs(60),
            lift: Duration::from_secs(30),
            pause: Duration::from_secs(1),
        }
    }
}

/// Opens the reader, as often as it has to be.
pub type Opener<'a> = dyn FnMut(&Wait) -> Result<Box<dyn FingerprintSensor>, SensorError> + 'a;

/// Watches one reader.
pub struct Watch<'a> {
    /// How long each step may take.
    pub limits: Limits,
    /// What time passes on.
    pub clock: &'a dyn Clock,
    /// Ends the watch from another thread.
    pub cancel: &'a CancelToken,
}

/// Why a reader is no longer watched.
enum Left {
    /// The caller has had enough.
    Ended,
    /// The reader is gone, or must be opened anew.
    Reader,
}

impl Watch<'_> {
    /// Watches until the token is cancelled or `on_event` says to stop.
    pub fn run(&self, open: &mut Opener<'_>, on_event: &mut dyn FnMut(Event) -> ControlFlow<()>) {
        let mut absent = false;
        loop {
            let opened = match open(&self.wait(self.limits.open)) {
                Ok(mut sensor) => {
                    absent = false;
                    self.attend(&mut *sensor, on_event)
                }
                Err(SensorError::Cancelled) => return,
                // Told once, however long it stays away.
                Err(SensorError::NotPresent(_) | SensorError::Removed) if absent => Left::Reader,
                Err(error) => {
                    absent = matches!(error, SensorError::NotPresent(_) | SensorError::Removed);
                    tell(on_event, Event::Error(error))
                }
            };
            if matches!(opened, Left::Ended) || self.pause().is_err() {
                return;
            }
        }
    }

    fn wait(&self, limit: Duration) -> Wait {
        Wait::up_to(limit).or_until(self.cancel)
    }

    fn pause(&self) -> Result<(), SensorError> {
        let wait = self.wait(Duration::MAX);
        wait.start(self.clock).sleep(self.limits.pause, "a pause")
    }

    /// Attends to an open reader until it is gone.
    fn attend(
        &self,
        sensor: &mut dyn FingerprintSensor,
        on_event: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Left {
        let mut said = on_event(Event::Present(sensor.describe()));
        while said.is_continue() {
            said = match self.touch(sensor, on_event) {
                Ok(said) => said,
                Err(SensorError::Cancelled) => return Left::Ended,
                Err(SensorError::Removed) => return tell(on_event, Event::Removed),
                // Whatever it was, starting the reader anew is the best answer there is.
                Err(error) => return tell(on_event, Event::Error(error)),
            };
        }
        Left::Ended
    }

    /// One finger, from on to off.
    fn touch(
        &self,
        sensor: &mut dyn FingerprintSensor,
        on_event: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SensorError> {
        match sensor.wait_for_finger(&self.wait(self.limits.finger)) {
            Err(SensorError::TimedOut(_)) if !self.cancel.is_cancelled() => {
                return Ok(ControlFlow::Continue(()));
            }
            other => other?,
        }
        if on_event(Event::FingerOn).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let captured = match sensor.capture(&self.wait(self.limits.capture)) {
            Ok(frame) => Event::Frame(frame),
            Err(gone @ (SensorError::Cancelled | SensorError::Removed)) => return Err(gone),
            Err(error) => Event::Error(error),
        };
        if on_event(captured).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut told = false;
        loop {
            match sensor.wait_for_lift(&self.wait(self.limits.lift)) {
                Ok(()) => return Ok(on_event(Event::FingerOff)),
                Err(SensorError::StuckFinger) => {
                    if !told && on_event(Event::Error(SensorError::StuckFinger)).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    told = true;
                }
                Err(other) => return Err(other),
            }
            self.pause()?;
        }
    }
}

fn tell(on_event: &mut dyn FnMut(Event) -> ControlFlow<()>, event: Event) -> Left {
    if on_event(event).is_break() { Left::Ended } else { Left::Reader }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use crate::frame::Dpi;
    use crate::replay::{Fault, ReplaySensor, Step};
    use crate::sensor::{Health, Signal};

    fn frame(shade: u8) -> Frame {
        Frame::new(64, 64, Dpi::STANDARD, vec![shade; 4096]).unwrap()
    }

    fn name(event: &Event) -> String {
        match event {
            Event::Present(_) => "present".to_owned(),
            Event::FingerOn => "on".to_owned(),
            Event::Frame(frame) => format!("frame {}", frame.pixels()[0]),
            Event::FingerOff => "off".to_owned(),
            Event::Removed => "removed".to_owned(),
            Event::Error(error) => format!("error: {error}"),
        }
    }

    /// Watches readers that are opened one after the other, until so many events have come.
    fn watch(mut readers: Vec<Result<ReplaySensor, SensorError>>, count: usize) -> (Vec<String>, Duration) {
        let (clock, cancel) = (VirtualClock::new(), CancelToken::new());
        let watch = Watch { limits: Limits::default(), clock: &clock, cancel: &cancel };
        let mut names = Vec::new();
        readers.reverse();
        let mut open = |_: &Wait| match readers.pop() {
            Some(reader) => reader.map(|reader| Box::new(reader) as Box<dyn FingerprintSensor>),
            None => Err(SensorError::NotPresent("gone for good".to_owned())),
        };
        watch.run(&mut open, &mut |event| {
            names.push(name(&event));
            if names.len() == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (names, clock.now())
    }

    #[test]
    fn fingers_come_and_go_as_events() {
        let (names, _) = watch(vec![Ok(ReplaySensor::new([frame(1), frame(2)]))], 7);
        assert_eq!(names, ["present", "on", "frame 1", "off", "on", "frame 2", "off"]);
    }

    #[test]
    fn a_reader_unplugged_at_any_step_is_removed_and_comes_back() {
        for (step, before) in [(Step::Finger, 0), (Step::Capture, 1), (Step::Lift, 2)] {
            let mut first = ReplaySensor::new([]);
            first.present_with(frame(1), Fault::Unplugged(step));
            let absent = SensorError::NotPresent("port".to_owned());
            let readers =
                vec![Ok(first), Err(absent.clone()), Err(absent), Ok(ReplaySensor::new([frame(2)]))];
            let (names, time) = watch(readers, before + 7);
            let expected =
                ["removed", "error: the reader is not present: port", "present", "on", "frame 2", "off"];
            assert_eq!(names[1 + before..], expected, "{step:?}");
            assert_eq!(time, Duration::from_secs(3), "it tried once a second");
        }
    }

    #[test]
    fn a_bad_frame_is_an_error_and_the_finger_still_goes() {
        let mut reader = ReplaySensor::new([]);
        reader.present_with(frame(1), Fault::Partial(100));
        reader.present(frame(2));
        let (names, _) = watch(vec![Ok(reader)], 6);
        assert_eq!(
            names,
            ["present", "on", "error: partial frame: 100 of 4096 bytes", "off", "on", "frame 2"]
        );
    }

    #[test]
    fn a_reader_that_fails_is_opened_anew() {
        /// A line that fails at every step.
        struct Broken(SensorInfo);
        impl FingerprintSensor for Broken {
            fn describe(&self) -> SensorInfo {
                self.0.clone()
            }
            fn wait_for_finger(&mut self, _: &Wait) -> Result<(), SensorError> {
                Err(SensorError::Line("noise".to_owned()))
            }
            fn capture(&mut self, _: &Wait) -> Result<Frame, SensorError> {
                Err(SensorError::Line("noise".to_owned()))
            }
            fn wait_for_lift(&mut self, _: &Wait) -> Result<(), SensorError> {
                Err(SensorError::Line("noise".to_owned()))
            }
            fn indicate(&mut self, _: Signal) -> Result<(), SensorError> {
                Ok(())
            }
            fn health(&mut self) -> Health {
                Health::Good
            }
        }
        let (clock, cancel) = (VirtualClock::new(), CancelToken::new());
        let watch = Watch { limits: Limits::default(), clock: &clock, cancel: &cancel };
        let mut names = Vec::new();
        let info = ReplaySensor::new([]).describe();
        watch.run(&mut |_| Ok(Box::new(Broken(info.clone()))), &mut |event| {
            names.push(name(&event));
            if names.len() == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let noise = "error: the line to the reader failed: noise";
        assert_eq!(names, ["present", noise, "present", noise]);
        assert_eq!(clock.now(), Duration::from_secs(1), "after a pause");
    }

    #[test]
    fn every_break_ends_the_watch_where_it_is_said() {
        for count in 1..=7 {
            let (names, _) = watch(vec![Ok(ReplaySensor::new([frame(1), frame(2)]))], count);
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn a_stuck_finger_is_told_once() {
        let mut reader = ReplaySensor::new([]);
        reader.present_with(frame(1), Fault::Stuck);
        let (clock, cancel) = (VirtualClock::new(), CancelToken::new());
        let watch = Watch { limits: Limits::default(), clock: &Cancelling(&clock, &cancel), cancel: &cancel };
        let mut names = Vec::new();
        let mut reader = Some(reader);
        let mut open = |_: &Wait| {
            let reader = reader.take().ok_or(SensorError::Removed)?;
            Ok(Box::new(reader) as Box<dyn FingerprintSensor>)
        };
        watch.run(&mut open, &mut |event| {
            names.push(name(&event));
            ControlFlow::Continue(())
        });
        assert_eq!(names, ["present", "on", "frame 1", "error: the finger was not lifted"]);
        assert!(clock.now() >= Duration::from_secs(60), "and it waited on");
    }

    /// Ends the watch after a minute.
    struct Cancelling<'a>(&'a VirtualClock, &'a CancelToken);

    impl Clock for Cancelling<'_> {
        fn now(&self) -> Duration {
            self.0.now()
        }

        fn sleep(&self, time: Duration) {
            self.0.sleep(time);
            if self.0.now() >= Duration::from_secs(60) {
                self.1.cancel();
            }
        }
    }
}
