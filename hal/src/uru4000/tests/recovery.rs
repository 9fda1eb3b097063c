//! Starting, failing and recovering: what the recordings of healthy readers do not show.

use std::time::Duration;

use super::reader::{DEATH, OFF, ON, POWER, Reader, plain_image};
use crate::clock::Clock;
use crate::frame::Dpi;
use crate::sensor::{FingerprintSensor, Health, SensorError};
use crate::uru4000::{Config, Model, Uru4000};
use crate::wait::{CancelToken, Wait};

fn wait() -> Wait {
    Wait::up_to(Duration::from_secs(10))
}

fn open_as(reader: &Reader, (vendor, product): (u16, u16)) -> Result<Uru4000<Reader>, SensorError> {
    let model = Model::find(vendor, product).unwrap();
    let config = Config { model, dpi: Dpi::STANDARD, seeds: Box::new(|| 0) };
    Uru4000::open(reader.clone(), config, reader.clock.clone(), &wait())
}

fn open(reader: &Reader) -> Result<Uru4000<Reader>, SensorError> {
    open_as(reader, (0x05BA, 0x000A))
}

#[test]
fn a_finger_is_waited_for_captured_and_lifted() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    assert_eq!(sensor.wait_for_finger(&wait()), Err(SensorError::TimedOut("a finger")));
    reader.state().finger = true;
    reader.state().interrupts.push_back(ON);
    assert_eq!(sensor.wait_for_finger(&wait()), Ok(()));
    assert_eq!(sensor.capture(&wait()).unwrap().height(), 289);
    assert_eq!(sensor.wait_for_lift(&wait()), Err(SensorError::StuckFinger));
    reader.state().finger = false;
    reader.state().interrupts.push_back(OFF);
    assert_eq!(sensor.wait_for_lift(&wait()), Ok(()));
    drop(sensor);
    assert_eq!(reader.state().mode, 0x70, "its light is out");
}

#[test]
fn a_lost_scan_power_interrupt_starts_the_reader_anew() {
    for (swallows, starts) in [(0, 1), (1, 2), (2, 3)] {
        let reader = Reader::new(plain_image());
        reader.state().swallows = swallows;
        assert!(open(&reader).is_ok());
        assert_eq!(reader.state().starts, starts);
    }
    let dead = Reader::new(plain_image());
    dead.state().swallows = 100;
    assert!(matches!(open(&dead).err(), Some(SensorError::TimedOut(_))));
    assert_eq!(dead.state().starts, 3);
    assert!(dead.clock.now() < Duration::from_secs(2));
}

#[test]
fn a_reader_in_trouble_is_rebooted() {
    let reader = Reader::new(plain_image());
    reader.state().status = 0x85;
    reader.state().boots_in = 5;
    assert!(open(&reader).is_ok());
    let never = Reader::new(plain_image());
    never.state().status = 0x85;
    never.state().boots_in = 100_000;
    assert!(matches!(open(&never).err(), Some(SensorError::TimedOut(_))));
    assert!(never.clock.now() <= Duration::from_secs(10));
}

#[test]
fn a_model_that_wants_it_is_answered_its_challenge_and_others_are_not() {
    let challenge = 0x4dae_5a0b_1247_a86c_9fbf_29fd_cc17_8a74_u128.to_be_bytes();
    let response = 0x3293_5137_1e4a_dfb1_f35f_09f3_29c6_ab46_u128.to_be_bytes();
    let reader = Reader::new(plain_image());
    reader.state().challenge = Some(challenge);
    assert!(open_as(&reader, (0x045E, 0x00CA)).is_ok());
    assert_eq!(reader.state().response, Some(response));
    let other = Reader::new(plain_image());
    other.state().challenge = Some(challenge);
    assert!(open(&other).is_err());
    assert_eq!(other.state().response, None);
}

#[test]
fn a_reader_whose_image_is_empty_after_its_death_is_started_anew() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    reader.state().finger = true;
    reader.state().interrupts.extend([DEATH, ON]);
    reader.state().images = [Vec::new(), plain_image()].into();
    sensor.wait_for_finger(&wait()).unwrap();
    assert!(sensor.capture(&wait()).is_ok());
    assert_eq!(reader.state().starts, 2);
    assert_eq!(sensor.health(), Health::Good);
}

#[test]
fn a_reader_that_announces_its_death_and_lives_on_is_left_alone() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    reader.state().finger = true;
    reader.state().interrupts.extend([DEATH, ON]);
    sensor.wait_for_finger(&wait()).unwrap();
    assert!(sensor.capture(&wait()).is_ok());
    assert_eq!(sensor.health(), Health::Good);
    assert_eq!(reader.state().starts, 1);
}

#[test]
fn a_death_while_waiting_does_not_end_the_wait() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    reader.state().interrupts.push_back(DEATH);
    // It is silent; after the new start it is told again to wait, and sees the finger.
    assert_eq!(
        sensor.wait_for_finger(&Wait::up_to(Duration::from_millis(500))),
        Err(SensorError::TimedOut("a finger"))
    );
    reader.state().finger = true;
    assert_eq!(sensor.wait_for_finger(&wait()), Ok(()));
    assert_eq!(reader.state().starts, 2);
}

#[test]
fn empty_short_and_senseless_images_are_taken_again_three_times() {
    let spoiled = [Vec::new(), plain_image()[..5000].to_vec(), vec![0xFF; 111_040]];
    for image in spoiled {
        let reader = Reader::new(image.clone());
        let mut sensor = open(&reader).unwrap();
        let error = sensor.capture(&wait()).unwrap_err();
        assert!(matches!(error, SensorError::PartialFrame { .. } | SensorError::BadFrame(_)), "{error}");
        reader.state().images = [image.clone(), image, plain_image()].into();
        assert!(sensor.capture(&wait()).is_ok(), "the third is good");
    }
}

#[test]
fn an_image_that_never_comes_is_partial_and_in_time() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    reader.state().mute = true;
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::PartialFrame { received: 0, .. })));
    assert!(reader.clock.now() < Duration::from_secs(8));
    reader.state().mute = false;
    assert!(sensor.capture(&wait()).is_ok());
}

#[test]
fn a_stall_is_a_protocol_error_and_does_not_last() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    reader.state().stalls = Some(0x4E);
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::Protocol(_))));
    reader.state().stalls = None;
    assert!(sensor.capture(&wait()).is_ok());
}

#[test]
fn interrupts_without_meaning_are_passed_over() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    reader.state().interrupts.extend([POWER, OFF, [0x77, 0x77], ON]);
    assert_eq!(sensor.wait_for_finger(&wait()), Ok(()));
}

#[test]
fn a_wait_is_cancelled() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    let token = CancelToken::new();
    token.cancel();
    assert_eq!(sensor.wait_for_finger(&wait().or_until(&token)), Err(SensorError::Cancelled));
    assert_eq!(sensor.capture(&wait().or_until(&token)), Err(SensorError::Cancelled));
    assert!(sensor.capture(&wait()).is_ok());
}

#[test]
fn an_unplugged_reader_is_removed_from_every_call() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    reader.state().unplugged = true;
    assert_eq!(sensor.wait_for_finger(&wait()), Err(SensorError::Removed));
    assert_eq!(sensor.capture(&wait()), Err(SensorError::Removed));
    assert_eq!(sensor.wait_for_lift(&wait()), Err(SensorError::Removed));
    assert_eq!(sensor.health(), Health::Failed(SensorError::Removed));
    assert_eq!(open(&reader).err(), Some(SensorError::Removed));
}

#[test]
fn trouble_that_the_reader_reports_degrades_its_health() {
    let reader = Reader::new(plain_image());
    let mut sensor = open(&reader).unwrap();
    assert_eq!(sensor.health(), Health::Good);
    reader.state().status = 0x05;
    assert!(matches!(sensor.health(), Health::Degraded(_)));
}
