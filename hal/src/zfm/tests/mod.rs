//! The driver against an emulated module, and every fault that a line or a module can have.

mod wire;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::wire::{End, Fault, Wire};
use super::emulator::Emulator;
use super::{Config, Model, TouchLine, Zfm};
use crate::clock::Clock;
use crate::frame::{Dpi, Frame};
use crate::sensor::{FingerprintSensor, Health, SensorError, Signal};
use crate::wait::{CancelToken, Wait};

/// Whether an error is the one that a fault must lead to.
type Expected = fn(&SensorError) -> bool;

/// A frame in the sixteen shades that these modules know, and no black row.
fn print_of(width: u32, height: u32) -> Frame {
    let pixels = (0..width * height).map(|at| ((at * 7 + at / width) % 15 + 1) as u8 * 17).collect();
    Frame::new(width, height, Dpi::STANDARD, pixels).unwrap()
}

fn optical() -> Frame {
    print_of(256, 288)
}

fn wait() -> Wait {
    Wait::up_to(Duration::from_secs(60))
}

fn open_with(wire: &Wire, config: Config) -> Result<Zfm<End>, SensorError> {
    Zfm::open(End::of(wire), config, wire.clock(), &wait())
}

/// A module with a finger on it, and its driver.
fn touched() -> (Wire, Zfm<End>) {
    let wire = Wire::to(Emulator::new());
    let mut sensor = open_with(&wire, Config::default()).unwrap();
    wire.state().module.place(&optical());
    sensor.wait_for_finger(&wait()).unwrap();
    (wire, sensor)
}

#[test]
fn a_finger_is_waited_for_captured_and_lifted() {
    let wire = Wire::to(Emulator::new());
    let mut sensor = open_with(&wire, Config::default()).unwrap();
    let second = Wait::up_to(Duration::from_secs(1));
    assert_eq!(sensor.wait_for_finger(&second), Err(SensorError::TimedOut("a finger")));
    wire.state().module.place(&optical());
    assert_eq!(sensor.wait_for_finger(&second), Ok(()));
    assert_eq!(sensor.capture(&wait()), Ok(optical()));
    assert_eq!(sensor.wait_for_lift(&second), Err(SensorError::StuckFinger));
    wire.state().module.lift();
    assert_eq!(sensor.wait_for_lift(&second), Ok(()));
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::Protocol(_))));
}

#[test]
fn a_finger_already_there_at_the_start_is_captured() {
    let wire = Wire::to(Emulator::new());
    wire.state().module.place(&optical());
    let mut sensor = open_with(&wire, Config::default()).unwrap();
    assert_eq!(sensor.capture(&wait()), Ok(optical()));
}

#[test]
fn each_capture_is_a_new_image() {
    let (wire, mut sensor) = touched();
    assert_eq!(sensor.capture(&wait()), Ok(optical()));
    let other = Frame::new(256, 288, Dpi::STANDARD, vec![0x77; 256 * 288]).unwrap();
    wire.state().module.place(&other);
    assert_eq!(sensor.capture(&wait()), Ok(other));
}

#[test]
fn a_round_reader_gives_smaller_frames_and_lights_its_ring() {
    let wire = Wire::to(Emulator::new());
    wire.state().module.place(&print_of(192, 192));
    let config = Config { model: Model::R503, dpi: Dpi::new(508).unwrap(), ..Config::default() };
    let mut sensor = open_with(&wire, config).unwrap();
    let frame = sensor.capture(&wait()).unwrap();
    assert_eq!((frame.width(), frame.height(), frame.dpi().get()), (192, 192, 508));
    assert!(sensor.describe().capabilities.light);
    sensor.indicate(Signal::Refused).unwrap();
    assert_eq!(wire.state().module.ring(), [3, 0, 1, 0]);
    sensor.indicate(Signal::Off).unwrap();
    assert_eq!(wire.state().module.ring()[0], 4);
}

#[test]
fn every_packet_size_gives_the_same_frame() {
    for code in 0..=3 {
        let wire = Wire::to(Emulator::new().with_packet_code(code));
        wire.state().module.place(&optical());
        let mut sensor = open_with(&wire, Config::default()).unwrap();
        assert_eq!(sensor.parameters().packet_size, 32 << code);
        assert_eq!(sensor.capture(&wait()), Ok(optical()));
    }
}

#[test]
fn the_speed_goes_up_to_the_fastest_and_the_upload_takes_what_the_wire_takes() {
    let mut seconds = Vec::new();
    for fastest in [9_600, 57_600, 115_200] {
        let wire = Wire::to(Emulator::new().with_speed(1));
        wire.state().module.place(&optical());
        let mut sensor = open_with(&wire, Config { baud: 9_600, fastest, ..Config::default() }).unwrap();
        assert_eq!((sensor.parameters().baud, wire.state().module.baud()), (fastest, fastest));
        sensor.wait_for_finger(&wait()).unwrap();
        let before = wire.clock().now();
        sensor.capture(&wait()).unwrap();
        seconds.push((wire.clock().now() - before).as_secs_f64());
    }
    // The figures of the wire: 36,864 bytes in packets of 128 with 11 around each.
    for (measured, expected) in seconds.iter().zip([41.7, 6.95, 3.48]) {
        assert!((measured - expected).abs() < 0.05, "{measured} instead of {expected}");
    }
}

#[test]
fn a_module_at_another_speed_is_found() {
    for units in 1..=12 {
        let wire = Wire::to(Emulator::new().with_speed(units));
        wire.state().noisy = true;
        let fastest = u32::from(units) * 9_600;
        let sensor = open_with(&wire, Config { fastest, ..Config::default() }).unwrap();
        assert_eq!(sensor.parameters().baud, fastest);
    }
}

#[test]
fn a_line_with_noise_only_says_so_and_a_silent_one_says_so() {
    let wire = Wire::to(Emulator::new().with_speed(13));
    let silent = open_with(&wire, Config::default()).err().unwrap();
    wire.state().noisy = true;
    let noisy = open_with(&wire, Config::default()).err().unwrap();
    assert!(
        matches!(&silent, SensorError::NotPresent(text) if text.contains("no module answers")),
        "{silent}"
    );
    assert!(matches!(&noisy, SensorError::NotPresent(text) if text.contains("bytes arrive")), "{noisy}");
}

#[test]
fn opening_ends_at_its_limit_on_a_dead_line() {
    let wire = Wire::to(Emulator::new().with_speed(13));
    let limit = Wait::up_to(Duration::from_secs(1));
    let error = Zfm::open(End::of(&wire), Config::default(), wire.clock(), &limit).err();
    assert!(matches!(error, Some(SensorError::TimedOut(_))), "{error:?}");
    assert!(wire.clock().now() <= Duration::from_millis(1100));
}

#[test]
fn a_password_is_given_and_a_wrong_one_is_told_apart() {
    let wire = Wire::to(Emulator::new().with_password(0x1234_5678));
    let wrong = open_with(&wire, Config::default()).err();
    assert_eq!(wrong, Some(SensorError::WrongPassword));
    let sensor = open_with(&wire, Config { password: 0x1234_5678, ..Config::default() });
    assert!(sensor.is_ok());
}

#[test]
fn a_module_that_lost_power_gets_its_password_again() {
    let wire = Wire::to(Emulator::new().with_password(7));
    let mut sensor = open_with(&wire, Config { password: 7, ..Config::default() }).unwrap();
    wire.state().module.power_cut();
    wire.state().module.place(&optical());
    assert_eq!(sensor.capture(&wait()), Ok(optical()));
}

#[test]
fn one_spoiled_answer_is_asked_for_again() {
    for fault in [
        Fault::Truncated(5),
        Fault::Flipped,
        Fault::OtherAddress,
        Fault::Garbage,
        Fault::Lost,
        Fault::Twice,
        Fault::OtherCommand,
    ] {
        let (wire, mut sensor) = touched();
        wire.spoil(0..1, fault);
        assert_eq!(sensor.capture(&wait()), Ok(optical()), "{fault:?}");
    }
}

#[test]
fn answers_that_stay_spoiled_have_each_their_own_error() {
    let cases: [(Fault, Expected); 5] = [
        (Fault::Truncated(5), |error| matches!(error, SensorError::TimedOut(_))),
        (Fault::Flipped, |error| matches!(error, SensorError::Checksum(_))),
        (
            Fault::OtherAddress,
            |error| matches!(error, SensorError::Protocol(text) if text.contains("module")),
        ),
        (Fault::Lost, |error| matches!(error, SensorError::TimedOut(_))),
        (
            Fault::OtherCommand,
            |error| matches!(error, SensorError::Protocol(text) if text.contains("GenImg")),
        ),
    ];
    for (fault, expected) in cases {
        let wire = Wire::to(Emulator::new());
        let mut sensor = open_with(&wire, Config::default()).unwrap();
        wire.spoil(0..1000, fault);
        let error = sensor.wait_for_finger(&wait()).unwrap_err();
        assert!(expected(&error), "{fault:?}: {error}");
        wire.heal();
        wire.state().module.place(&optical());
        assert_eq!(sensor.wait_for_finger(&wait()), Ok(()), "it recovers");
    }
}

#[test]
fn a_spoiled_data_packet_costs_one_more_upload_and_no_pixel() {
    // The first, one in the middle, and the last of 288 packets; packet 0 is the answer.
    for number in [1, 100, 288] {
        for fault in [
            Fault::Truncated(60),
            Fault::Flipped,
            Fault::OtherAddress,
            Fault::Garbage,
            Fault::Lost,
            Fault::Twice,
            Fault::OtherCommand,
        ] {
            let (wire, mut sensor) = touched();
            wire.spoil(number..number + 1, fault);
            assert_eq!(sensor.capture(&wait()), Ok(optical()), "{fault:?} at {number}");
        }
    }
}

#[test]
fn data_that_stays_spoiled_has_each_its_own_error() {
    let cases: [(Fault, Expected); 5] = [
        (Fault::Lost, |error| {
            matches!(error, SensorError::PartialFrame { received: ..36_864, expected: 36_864 })
        }),
        (Fault::Flipped, |error| matches!(error, SensorError::Checksum("image data"))),
        (Fault::Twice, |error| matches!(error, SensorError::BadFrame(_))),
        (Fault::OtherCommand, |error| matches!(error, SensorError::Protocol(_))),
        (Fault::OtherAddress, |error| matches!(error, SensorError::Protocol(_))),
    ];
    for (fault, expected) in cases {
        let (wire, mut sensor) = touched();
        // Some of the 288 packets of every upload.
        wire.spoil((100..100_000).step_by(97), fault);
        let error = sensor.capture(&wait()).unwrap_err();
        assert!(expected(&error), "{fault:?}: {error}");
        wire.heal();
        assert_eq!(sensor.capture(&wait()), Ok(optical()), "it recovers");
    }
}

#[test]
fn a_frame_that_stays_half_black_is_no_frame() {
    let (wire, mut sensor) = touched();
    wire.spoil(144..289, Fault::Zeroed);
    // The next image, taken anew, is whole.
    assert_eq!(sensor.capture(&wait()), Ok(optical()));
    wire.spoil(1..10_000, Fault::Zeroed);
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::BadFrame(_))));
}

#[test]
fn an_upload_that_stops_is_partial_and_says_how_far_it_came() {
    let (wire, mut sensor) = touched();
    wire.spoil(201..100_000, Fault::Lost);
    let error = sensor.capture(&wait()).unwrap_err();
    assert!(matches!(error, SensorError::PartialFrame { .. } | SensorError::TimedOut(_)), "{error}");
    assert!(wire.clock().now() < Duration::from_secs(40));
}

#[test]
fn unplugging_at_any_step_is_a_removal_and_never_a_hang() {
    let session = |wire: &Wire| -> Result<Frame, SensorError> {
        let mut sensor = open_with(wire, Config::default())?;
        sensor.wait_for_finger(&wait())?;
        let frame = sensor.capture(&wait())?;
        wire.state().module.lift();
        sensor.wait_for_lift(&wait())?;
        Ok(frame)
    };
    let mut steps = 0;
    loop {
        let wire = Wire::to(Emulator::new());
        wire.state().module.place(&optical());
        wire.unplug_after(Some(steps));
        match session(&wire) {
            Err(error) => assert_eq!(error, SensorError::Removed, "after {steps} steps"),
            Ok(frame) => {
                assert_eq!(frame, optical());
                break;
            }
        }
        // Plugged in again, it works again.
        wire.unplug_after(None);
        wire.state().module.place(&optical());
        assert_eq!(session(&wire), Ok(optical()), "after {steps} steps");
        steps += 1;
    }
    assert!(steps > 300, "a session has {steps} steps");
}

#[test]
fn a_wait_is_cancelled_in_the_middle_of_an_upload() {
    /// Cancels when the clock has passed a moment.
    struct Alarm(Arc<dyn Clock>, CancelToken);
    impl Clock for Alarm {
        fn now(&self) -> Duration {
            self.0.now()
        }
        fn sleep(&self, time: Duration) {
            self.0.sleep(time);
            self.1.cancel();
        }
    }
    let token = CancelToken::new();
    let wire = Wire::to(Emulator::new());
    let clock = Arc::new(Alarm(wire.clock(), token.clone()));
    let mut sensor = Zfm::open(End::of(&wire), Config::default(), clock, &wait()).unwrap();
    let waited = sensor.wait_for_finger(&wait().or_until(&token));
    assert_eq!(waited, Err(SensorError::Cancelled));
    wire.state().module.place(&optical());
    assert_eq!(sensor.capture(&wait().or_until(&token)), Err(SensorError::Cancelled));
    assert_eq!(sensor.capture(&wait()), Ok(optical()), "and the sensor can be used again");
}

#[test]
fn a_capture_ends_at_its_limit_and_the_next_one_is_whole() {
    let (_wire, mut sensor) = touched();
    // 3.48 s at 115200.
    let short = sensor.capture(&Wait::up_to(Duration::from_secs(1)));
    assert!(matches!(short, Err(SensorError::TimedOut(_))), "{short:?}");
    assert_eq!(sensor.capture(&wait()), Ok(optical()));
}

#[test]
fn a_touch_line_spares_the_module_the_questions() {
    struct Touch(Arc<Mutex<bool>>);
    impl TouchLine for Touch {
        fn touched(&mut self) -> Result<bool, SensorError> {
            Ok(*self.0.lock().unwrap())
        }
    }
    let touch = Arc::new(Mutex::new(false));
    let wire = Wire::to(Emulator::new());
    let sensor = open_with(&wire, Config::default()).unwrap();
    let mut sensor = sensor.with_touch_line(Box::new(Touch(touch.clone())));
    // The module would say yes; the line says no.
    wire.state().module.place(&optical());
    let second = Wait::up_to(Duration::from_secs(1));
    assert_eq!(sensor.wait_for_finger(&second), Err(SensorError::TimedOut("a finger")));
    *touch.lock().unwrap() = true;
    assert_eq!(sensor.wait_for_finger(&second), Ok(()));
    assert_eq!(sensor.capture(&wait()), Ok(optical()));
    assert_eq!(sensor.wait_for_lift(&second), Err(SensorError::StuckFinger));
    *touch.lock().unwrap() = false;
    assert_eq!(sensor.wait_for_lift(&second), Ok(()));
}

#[test]
fn health_tells_a_dead_line_from_a_good_module() {
    let (wire, mut sensor) = touched();
    assert_eq!(sensor.health(), Health::Good);
    wire.spoil(0..100, Fault::Lost);
    assert!(matches!(sensor.health(), Health::Failed(SensorError::TimedOut(_))));
    wire.unplug_after(Some(0));
    assert_eq!(sensor.health(), Health::Failed(SensorError::Removed));
}
