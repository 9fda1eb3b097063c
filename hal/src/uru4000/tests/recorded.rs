//! The driver against the recorded traffic of a real reader, and against that recording with
//! something gone wrong in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, VirtualClock};
use crate::decode::decode;
use crate::frame::{Dpi, Frame};
use crate::sensor::{FingerprintSensor, SensorError};
use crate::transport::recording::{self, Event, Phase, Script, Transfer};
use crate::uru4000::{Config, Model, Uru4000};
use crate::wait::Wait;

const MODEL_4500: (u16, u16) = (0x05BA, 0x000A);
/// The seed that the recording's host had drawn.
const RECORDED_SEED: u32 = 0x51EA_2124;

/// The recordings are not ours to copy: they lie beside the repository, or the test is skipped.
fn recorded(reader: &str) -> Option<(Vec<Event>, Frame)> {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sensors").join(reader);
    let Ok(capture) = std::fs::read(folder.join("capture.pcapng")) else {
        println!("skipped: {} is not there", folder.display());
        return None;
    };
    let picture = std::fs::read(folder.join("capture.png")).unwrap();
    Some((recording::parse(&capture).unwrap(), decode(&picture, Dpi::STANDARD).unwrap()))
}

fn wait() -> Wait {
    Wait::up_to(Duration::from_secs(30))
}

fn open(
    events: &[Event],
    change: impl Fn(Script) -> Script,
) -> (Arc<VirtualClock>, Result<Uru4000<Script>, SensorError>) {
    let clock = Arc::new(VirtualClock::new());
    let script = change(Script::new(events, clock.clone()));
    let model = Model::find(MODEL_4500.0, MODEL_4500.1).unwrap();
    let config = Config { model, dpi: Dpi::STANDARD, seeds: Box::new(|| RECORDED_SEED) };
    let sensor = Uru4000::open(script, config, clock.clone(), &wait());
    (clock, sensor)
}

/// Finger on, frame, finger off.
fn session(events: &[Event]) -> Result<Frame, SensorError> {
    let mut sensor = open(events, |script| script).1?;
    sensor.wait_for_finger(&wait())?;
    let frame = sensor.capture(&wait())?;
    sensor.wait_for_lift(&wait())?;
    Ok(frame)
}

/// The first event that fits.
fn find(events: &[Event], fits: impl Fn(&Event) -> bool) -> usize {
    events.iter().position(fits).unwrap()
}

fn is_interrupt(event: &Event, start: [u8; 2]) -> bool {
    event.phase == Phase::Complete && event.transfer == Transfer::Interrupt && event.data.starts_with(&start)
}

fn is_image(event: &Event) -> bool {
    event.phase == Phase::Complete && event.transfer == Transfer::Bulk
}

#[test]
fn recorded_uru4500_traffic_gives_exactly_the_expected_picture() {
    let Some((events, picture)) = recorded("uru4000-4500") else { return };
    let frame = session(&events).unwrap();
    assert_eq!((frame.width(), frame.height()), (384, 290));
    assert!(frame == picture, "the frame differs from capture.png");
}

#[test]
fn a_recording_is_not_played_with_another_seed() {
    let Some((events, _)) = recorded("uru4000-4500") else { return };
    let mut changed = events;
    let seed = find(&changed, |event| event.setup.is_some_and(|setup| setup[2] == 0x33));
    changed[seed].data[2] ^= 1;
    assert!(
        matches!(session(&changed), Err(SensorError::Line(text)) if text.contains("the recording goes on"))
    );
}

#[test]
fn a_lost_scan_power_interrupt_starts_the_reader_anew_and_gives_up_in_time() {
    let Some((mut events, _)) = recorded("uru4000-4500") else { return };
    events.retain(|event| !is_interrupt(event, [0x56, 0xAA]));
    let (clock, sensor) = open(&events, |script| script);
    // The recorded host did not start anew, so the recording cannot follow: it says where.
    assert!(
        matches!(sensor.err(), Some(SensorError::Line(text)) if text.contains("0x07") || text.contains("07, 00"))
    );
    assert!(clock.now() >= Duration::from_millis(300));
    assert!(clock.now() < Duration::from_secs(2));
}

#[test]
fn repeated_interrupts_are_passed_over() {
    let Some((mut events, picture)) = recorded("uru4000-4500") else { return };
    let power = find(&events, |event| is_interrupt(event, [0x56, 0xAA]));
    let finger = find(&events, |event| is_interrupt(event, [0x01, 0x01]));
    let (power, on) = (events[power].clone(), events[finger].clone());
    for again in [power.clone(), power, on.clone(), on] {
        events.insert(finger + 1, again);
    }
    assert_eq!(session(&events), Ok(picture));
}

#[test]
fn a_finger_that_never_comes_ends_the_wait_at_its_limit() {
    let Some((mut events, _)) = recorded("uru4000-4500") else { return };
    events.retain(|event| !is_interrupt(event, [0x01, 0x01]));
    let (clock, sensor) = open(&events, |script| script);
    let mut sensor = sensor.unwrap();
    let limit = Wait::up_to(Duration::from_secs(3));
    assert_eq!(sensor.wait_for_finger(&limit), Err(SensorError::TimedOut("a finger")));
    assert!(clock.now() < Duration::from_secs(4));
}

#[test]
fn a_finger_that_is_never_lifted_is_stuck() {
    let Some((mut events, _)) = recorded("uru4000-4500") else { return };
    events.retain(|event| !is_interrupt(event, [0x02, 0x00]));
    let mut sensor = open(&events, |script| script).1.unwrap();
    sensor.wait_for_finger(&wait()).unwrap();
    sensor.capture(&wait()).unwrap();
    assert_eq!(sensor.wait_for_lift(&Wait::up_to(Duration::from_secs(3))), Err(SensorError::StuckFinger));
}

#[test]
fn a_short_or_empty_image_is_taken_again_and_then_partial() {
    let Some((events, _)) = recorded("uru4000-4500") else { return };
    for length in [0, 64, 5000, 111_039] {
        let mut events = events.clone();
        let image = find(&events, is_image);
        events[image].data.truncate(length);
        let mut sensor = open(&events, |script| script).1.unwrap();
        sensor.wait_for_finger(&wait()).unwrap();
        // The recording has one image: the second attempt shows as its end.
        let error = sensor.capture(&wait()).unwrap_err();
        assert!(matches!(&error, SensorError::Line(text) if text.contains("setup")), "{length}: {error}");
    }
}

#[test]
fn an_image_taken_again_after_an_empty_one_is_the_picture() {
    let Some((events, picture)) = recorded("uru4000-4500") else { return };
    // The transfer with its mode, twice; the first time without data.
    let start = find(&events, |event| event.phase == Phase::Submit && event.transfer == Transfer::Bulk);
    let end = find(&events, is_image);
    let mut repeated = events[start..=end].to_vec();
    for event in &mut repeated {
        event.id ^= 1 << 63;
        if is_image(event) {
            event.data.clear();
        }
    }
    let events = [&events[..start], &repeated, &events[start..]].concat();
    assert_eq!(session(&events), Ok(picture));
}

#[test]
fn a_header_that_makes_no_sense_is_never_a_frame() {
    let Some((events, _)) = recorded("uru4000-4500") else { return };
    let image = find(&events, is_image);
    for (at, value) in [(4, 0), (5, 2), (17, 250), (16, 1)] {
        let mut events = events.clone();
        events[image].data[at] = value;
        assert!(session(&events).is_err(), "byte {at}");
    }
}

#[test]
fn a_stall_is_a_protocol_error_and_a_lost_device_a_removal() {
    let Some((events, _)) = recorded("uru4000-4500") else { return };
    let image = find(&events, is_image);
    let control = find(&events, |event| {
        event.phase == Phase::Complete && event.transfer == Transfer::Control && event.length == 1
    });
    for (at, status, expected) in [
        (image, -32, SensorError::Protocol("the USB device stalled".to_owned())),
        (control, -32, SensorError::Protocol("the USB device stalled".to_owned())),
        (image, -19, SensorError::Removed),
        (control, -108, SensorError::Removed),
    ] {
        let mut events = events.clone();
        events[at].status = status;
        assert_eq!(session(&events), Err(expected), "{at}");
    }
}

#[test]
fn unplugging_at_any_step_is_a_removal_and_never_a_hang() {
    let Some((events, picture)) = recorded("uru4000-4500") else { return };
    let mut steps = 0;
    loop {
        let (clock, sensor) = open(&events, |script| script.unplugged_after(steps));
        let result = sensor.and_then(|mut sensor| {
            sensor.wait_for_finger(&wait())?;
            let frame = sensor.capture(&wait())?;
            sensor.wait_for_lift(&wait())?;
            Ok(frame)
        });
        assert!(clock.now() < Duration::from_secs(5), "after {steps} steps");
        match result {
            Ok(frame) => {
                assert_eq!(frame, picture);
                break;
            }
            Err(error) => assert_eq!(error, SensorError::Removed, "after {steps} steps"),
        }
        steps += 1;
    }
    assert!(steps > 15, "a session has {steps} steps");
}

#[test]
fn models_are_told_apart_by_their_ids() {
    assert!(Model::find(0x05BA, 0x000A).unwrap().turned);
    assert!(Model::find(0x045E, 0x00CA).unwrap().authenticates);
    assert!(!Model::find(0x05BA, 0x0008).unwrap().authenticates);
    assert_eq!(Model::find(0x05BA, 0x0009), None);
}
