//! The driver against the recorded traffic of a real reader, and against a reader in memory.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{CAPTURE, CHECK_FINGER, IN, Nb1010, OUT, PREPARE};
use crate::clock::{Clock, VirtualClock};
use crate::decode::decode;
use crate::frame::Dpi;
use crate::sensor::{FingerprintSensor, Health, SensorError};
use crate::transport::recording::{self, Script};
use crate::transport::usb::{Request, UsbError, UsbTransport};
use crate::wait::Wait;

fn wait() -> Wait {
    Wait::up_to(Duration::from_secs(20))
}

#[test]
fn recorded_nb1010_traffic_gives_exactly_the_expected_picture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sensors/nb1010");
    let Ok(capture) = std::fs::read(folder.join("capture.ioctl")) else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    let clock = Arc::new(VirtualClock::new());
    let script = Script::new(&recording::parse(&capture).unwrap(), clock.clone());
    let mut sensor = Nb1010::new(script, clock);
    sensor.wait_for_finger(&wait()).unwrap();
    let frame = sensor.capture(&wait()).unwrap();
    assert_eq!((frame.width(), frame.height(), frame.dpi().get()), (256, 180, 385));
    let picture = std::fs::read(folder.join("capture.png")).unwrap();
    let picture = decode(&picture, Dpi::new(385).unwrap()).unwrap();
    assert!(frame == picture, "the frame differs from capture.png");
}

/// What goes wrong with the answer to a capture and the pieces behind it.
type Spoil = fn(&mut Vec<Vec<u8>>);

/// A reader in memory.
struct Reader {
    clock: Arc<VirtualClock>,
    /// Checks for a finger, and what each finds; the last one again and again.
    covered: VecDeque<u8>,
    outbox: VecDeque<Vec<u8>>,
    pending: usize,
    spoil: Spoil,
    /// So many captures are spoiled.
    spoiled: usize,
    captures: usize,
    unplug_after: usize,
}

fn reader(spoiled: usize, spoil: Spoil) -> (Arc<VirtualClock>, Nb1010<Reader>) {
    let clock = Arc::new(VirtualClock::new());
    let reader = Reader {
        clock: clock.clone(),
        covered: [0xF7].into(),
        outbox: VecDeque::new(),
        pending: 0,
        spoil,
        spoiled,
        captures: 0,
        unplug_after: usize::MAX,
    };
    (clock.clone(), Nb1010::new(reader, clock))
}

fn pieces() -> Vec<Vec<u8>> {
    let piece = |line: u8| {
        let mut piece = vec![0; 540];
        (piece[0], piece[1], piece[16]) = (0x80, 0x21, line);
        piece[25..537].fill(line.max(1));
        piece
    };
    (0..90).map(|number| piece(number * 2 + 1)).collect()
}

impl Reader {
    fn step(&mut self) -> Result<(), UsbError> {
        self.unplug_after = self.unplug_after.checked_sub(1).ok_or(UsbError::Gone)?;
        Ok(())
    }
}

impl UsbTransport for Reader {
    fn control_in(&mut self, _: Request, _: &mut [u8], _: Duration) -> Result<usize, UsbError> {
        Err(UsbError::Stall)
    }

    fn control_out(&mut self, _: Request, _: &[u8], _: Duration) -> Result<(), UsbError> {
        Err(UsbError::Stall)
    }

    fn bulk_out(&mut self, endpoint: u8, data: &[u8], _: Duration) -> Result<(), UsbError> {
        self.step()?;
        assert_eq!(endpoint, OUT);
        let mut answer = vec![0; 16];
        (answer[0], answer[1], answer[2]) = (0x80, 0x20, data[2]);
        let mut answers = Vec::new();
        if data == CHECK_FINGER {
            answer[12] = self.covered[0];
            if self.covered.len() > 1 {
                self.covered.pop_front();
            }
        } else if data == CAPTURE {
            answers = pieces();
            self.captures += 1;
        } else {
            assert_eq!(data, PREPARE);
        }
        answers.insert(0, answer);
        if data == CAPTURE && self.captures <= self.spoiled {
            (self.spoil)(&mut answers);
        }
        self.outbox.extend(answers);
        Ok(())
    }

    fn submit(&mut self, endpoint: u8, _: usize) -> Result<(), UsbError> {
        self.step()?;
        assert_eq!(endpoint, IN);
        self.pending += 1;
        Ok(())
    }

    fn wait(&mut self, _: u8, data: &mut [u8], limit: Duration) -> Result<usize, UsbError> {
        self.step()?;
        assert_eq!(self.pending, 1, "one transfer at a time");
        let Some(next) = self.outbox.pop_front() else {
            self.clock.sleep(limit);
            return Err(UsbError::TimedOut);
        };
        self.pending = 0;
        let count = next.len().min(data.len());
        data[..count].copy_from_slice(&next[..count]);
        Ok(count)
    }

    fn cancel(&mut self, _: u8) {
        self.pending = 0;
    }
}

#[test]
fn a_finger_is_waited_for_captured_and_lifted() {
    let (clock, mut sensor) = reader(0, |_| ());
    sensor.usb.covered = [0, 0x30, 0x31].into();
    assert_eq!(sensor.wait_for_finger(&wait()), Ok(()));
    assert_eq!(clock.now(), Duration::from_millis(100), "it asked three times");
    let frame = sensor.capture(&wait()).unwrap();
    assert_eq!((frame.pixels()[0], frame.pixels()[256 * 179]), (1, 179));
    assert_eq!(sensor.wait_for_lift(&Wait::up_to(Duration::from_secs(1))), Err(SensorError::StuckFinger));
    sensor.usb.covered = [0].into();
    assert_eq!(sensor.wait_for_lift(&wait()), Ok(()));
}

#[test]
fn no_finger_ends_the_wait_at_its_limit() {
    let (clock, mut sensor) = reader(0, |_| ());
    sensor.usb.covered = [0].into();
    let limit = Wait::up_to(Duration::from_secs(1));
    assert_eq!(sensor.wait_for_finger(&limit), Err(SensorError::TimedOut("a finger")));
    assert_eq!(clock.now(), Duration::from_secs(1));
}

#[test]
fn a_frame_spoiled_once_is_taken_again() {
    let spoils: [Spoil; 6] = [
        |answers| drop(answers.remove(40)),
        |answers| answers[40].truncate(100),
        |answers| answers.truncate(40),
        |answers| answers.insert(40, answers[40].clone()),
        |answers| answers[0][2] = 9,
        |answers| answers[40..].iter_mut().for_each(|piece| piece[25..].fill(0)),
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let (_, mut sensor) = reader(1, spoil);
        assert!(sensor.capture(&wait()).is_ok(), "{number}");
        assert_eq!(sensor.usb.captures, 2, "{number}");
    }
}

#[test]
fn a_frame_spoiled_for_good_has_its_own_error() {
    let (_, mut sensor) = reader(9, |answers| answers.truncate(41));
    let partial = SensorError::PartialFrame { received: 40 * 512, expected: 256 * 180 };
    assert_eq!(sensor.capture(&wait()), Err(partial));
    let (_, mut sensor) = reader(9, |answers| drop(answers.remove(40)));
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::BadFrame(_))));
    let (_, mut sensor) = reader(9, |answers| answers[0][2] = 9);
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::Protocol(_))));
}

#[test]
fn unplugging_at_any_step_is_a_removal_and_never_a_hang() {
    for steps in 0.. {
        let (clock, mut sensor) = reader(0, |_| ());
        sensor.usb.unplug_after = steps;
        let result = sensor.wait_for_finger(&wait()).and_then(|()| sensor.capture(&wait()));
        assert!(clock.now() < Duration::from_secs(1));
        match result {
            Ok(_) => {
                assert!(steps > 180);
                break;
            }
            Err(error) => assert_eq!(error, SensorError::Removed, "after {steps} steps"),
        }
    }
}

#[test]
fn health_tells_a_dead_reader_from_a_good_one() {
    let (_, mut sensor) = reader(0, |_| ());
    assert_eq!(sensor.health(), Health::Good);
    sensor.usb.unplug_after = 0;
    assert_eq!(sensor.health(), Health::Failed(SensorError::Removed));
}
