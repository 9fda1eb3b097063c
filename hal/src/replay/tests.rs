//! The replay sensor as its users see it, through the trait.

use std::sync::Arc;
use std::time::Duration;

use super::{Fault, Pace, ReplaySensor, Step};
use crate::clock::{Clock, VirtualClock};
use crate::frame::{Dpi, Frame};
use crate::sensor::{FingerprintSensor, Health, SensorError, Signal};
use crate::wait::{CancelToken, Wait};

const SECOND: Duration = Duration::from_secs(1);

fn frame(shade: u8) -> Frame {
    Frame::new(64, 65, Dpi::STANDARD, vec![shade; 64 * 65]).unwrap()
}

fn wait() -> Wait {
    Wait::up_to(SECOND)
}

fn touch(sensor: &mut ReplaySensor) -> Result<Frame, SensorError> {
    sensor.wait_for_finger(&wait())?;
    let frame = sensor.capture(&wait())?;
    sensor.wait_for_lift(&wait())?;
    Ok(frame)
}

#[test]
fn frames_come_in_the_order_they_were_given() {
    let mut sensor = ReplaySensor::new([frame(1), frame(2), frame(3)]);
    for shade in 1..=3 {
        assert_eq!(touch(&mut sensor), Ok(frame(shade)));
    }
    assert_eq!(touch(&mut sensor), Err(SensorError::TimedOut("a finger")));
}

#[test]
fn a_finger_that_stays_gives_the_same_frame() {
    let mut sensor = ReplaySensor::new([frame(1), frame(2)]);
    sensor.wait_for_finger(&wait()).unwrap();
    assert_eq!(sensor.capture(&wait()), sensor.capture(&wait()));
    sensor.wait_for_finger(&wait()).unwrap();
    assert_eq!(sensor.capture(&wait()), Ok(frame(1)));
}

#[test]
fn geometry_is_told_only_when_all_frames_share_it() {
    let mut sensor = ReplaySensor::new([frame(1), frame(2)]);
    assert_eq!(sensor.describe().geometry, Some((64, 65)));
    sensor.present(Frame::new(80, 80, Dpi::STANDARD, vec![0; 6400]).unwrap());
    assert_eq!(sensor.describe().geometry, None);
}

#[test]
fn a_capture_without_a_finger_is_an_error() {
    let mut sensor = ReplaySensor::new([frame(1)]);
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::Protocol(_))));
    assert_eq!(touch(&mut sensor), Ok(frame(1)));
}

#[test]
fn a_fixed_pace_takes_the_time_it_says() {
    let clock = Arc::new(VirtualClock::new());
    let pace = Pace::Fixed { approach: SECOND / 2, transfer: SECOND / 4, lift: SECOND / 8 };
    let mut sensor = ReplaySensor::new([frame(1)]).at_pace(pace).on_clock(clock.clone());
    touch(&mut sensor).unwrap();
    assert_eq!(clock.now(), SECOND / 2 + SECOND / 4 + SECOND / 8);
}

#[test]
fn a_paced_wait_for_a_finger_that_never_comes_ends_at_its_limit() {
    let clock = Arc::new(VirtualClock::new());
    let pace = Pace::Fixed { approach: SECOND, transfer: SECOND, lift: SECOND };
    let mut sensor = ReplaySensor::new([]).at_pace(pace).on_clock(clock.clone());
    assert_eq!(sensor.wait_for_finger(&Wait::up_to(SECOND * 7)), Err(SensorError::TimedOut("a finger")));
    assert_eq!(clock.now(), SECOND * 7);
}

#[test]
fn a_wait_can_be_cancelled_from_another_thread() {
    let pace = Pace::Fixed { approach: SECOND * 3600, transfer: SECOND, lift: SECOND };
    let mut sensor = ReplaySensor::new([frame(1)]).at_pace(pace);
    let token = CancelToken::new();
    let wait = Wait::up_to(SECOND * 3600).or_until(&token);
    let waiting = std::thread::spawn(move || sensor.wait_for_finger(&wait));
    token.cancel();
    assert_eq!(waiting.join().unwrap(), Err(SensorError::Cancelled));
}

#[test]
fn a_late_frame_times_out_or_comes_within_a_longer_limit() {
    let clock = Arc::new(VirtualClock::new());
    let mut sensor = ReplaySensor::new([]).on_clock(clock);
    sensor.present_with(frame(1), Fault::Late(SECOND * 3));
    sensor.wait_for_finger(&wait()).unwrap();
    assert_eq!(sensor.capture(&Wait::up_to(SECOND)), Err(SensorError::TimedOut("a frame")));
    assert_eq!(sensor.capture(&Wait::up_to(SECOND * 4)), Ok(frame(1)));
}

#[test]
fn a_partial_frame_is_reported_and_the_next_capture_recovers() {
    let mut sensor = ReplaySensor::new([]);
    sensor.present_with(frame(1), Fault::Partial(100));
    sensor.wait_for_finger(&wait()).unwrap();
    let partial = SensorError::PartialFrame { received: 100, expected: 64 * 65 };
    assert_eq!(sensor.capture(&wait()), Err(partial));
    assert_eq!(sensor.capture(&wait()), Ok(frame(1)));
}

#[test]
fn a_repeated_frame_comes_twice_bit_for_bit() {
    let mut sensor = ReplaySensor::new([]);
    sensor.present_with(frame(1), Fault::Repeated);
    sensor.present(frame(2));
    assert_eq!(touch(&mut sensor), Ok(frame(1)));
    assert_eq!(touch(&mut sensor), Ok(frame(1)));
    assert_eq!(touch(&mut sensor), Ok(frame(2)));
}

#[test]
fn a_stuck_finger_is_told_apart_from_a_time_out() {
    let mut sensor = ReplaySensor::new([]);
    sensor.present_with(frame(1), Fault::Stuck);
    sensor.present(frame(2));
    assert_eq!(touch(&mut sensor), Err(SensorError::StuckFinger));
    sensor.lift();
    assert_eq!(touch(&mut sensor), Ok(frame(2)));
}

#[test]
fn an_unplugged_reader_is_removed_at_that_step_and_comes_back() {
    for step in [Step::Finger, Step::Capture, Step::Lift] {
        let mut sensor = ReplaySensor::new([]);
        sensor.present_with(frame(1), Fault::Unplugged(step));
        sensor.present(frame(2));
        assert_eq!(touch(&mut sensor), Err(SensorError::Removed), "{step:?}");
        assert_eq!(touch(&mut sensor), Err(SensorError::Removed), "{step:?}");
        assert_eq!(sensor.health(), Health::Failed(SensorError::Removed));
        assert_eq!(sensor.indicate(Signal::Ready), Err(SensorError::Removed));
        sensor.plug_in();
        assert_eq!(sensor.health(), Health::Good);
        assert_eq!(touch(&mut sensor), Ok(frame(2)), "{step:?}");
    }
}

#[test]
fn signals_are_kept_for_whoever_looks() {
    let mut sensor = ReplaySensor::new([]);
    sensor.indicate(Signal::Ready).unwrap();
    sensor.indicate(Signal::Accepted).unwrap();
    assert_eq!(sensor.signals(), [Signal::Ready, Signal::Accepted]);
}
