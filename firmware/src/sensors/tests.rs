//! Readers on stands, used as the server uses them.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use authenteon_hal::{
    Dpi, Frame,
    discovery::{ReaderId, Source},
    replay::Stand,
    selftest,
    sensor::Signal,
};

use super::{CaptureError, Progress, Sensors, Stage, Steward};
use crate::reader::{Reader, Standing};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Sooner than this nothing has to happen.
const SOON: Duration = Duration::from_millis(200);

/// Every reader may be used.
struct Trusting;

impl Steward for Trusting {
    fn standing(&self, _: &Reader) -> Standing {
        Standing::Adopted
    }

    fn seen(&self, _: &[Reader]) {}
}

fn frame(shade: u8) -> Frame {
    Frame::new(64, 64, Dpi::STANDARD, vec![shade; 4096]).unwrap()
}

fn stands<const N: usize>(names: [&str; N]) -> (Sensors, [Stand; N]) {
    let stands = names.map(|name| Stand::new(name.parse().unwrap()));
    let sources = stands.iter().map(|stand| Box::new(stand.clone()) as Box<dyn Source>).collect();
    (Sensors::start(sources, Trusting).unwrap(), stands)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn present(sensors: &Sensors, id: &ReaderId) -> bool {
    sensors.list().iter().any(|reader| reader.id == *id && reader.info.is_some())
}

async fn plugged<const N: usize>(names: [&str; N]) -> (Sensors, [Stand; N]) {
    let (sensors, stands) = stands(names);
    for stand in &stands {
        stand.plug_in();
        until("the reader appears", || present(&sensors, stand.id())).await;
    }
    (sensors, stands)
}

/// Lays a finger down as soon as the reader waits for one.
async fn touch(stand: &Stand, shade: u8) {
    until("somebody waits for a finger", || stand.is_waiting()).await;
    stand.place(frame(shade));
}

async fn capture(sensors: &Sensors, stand: &Stand) -> Result<Frame, CaptureError> {
    sensors.claim(stand.id())?.capture(PATIENCE, Progress::none()).await
}

#[tokio::test]
async fn a_reader_that_is_plugged_in_later_appears_and_takes_a_frame() {
    let (sensors, [stand]) = stands(["late"]);
    assert_eq!(sensors.claim(stand.id()).err(), Some(CaptureError::Unknown));
    stand.plug_in();
    until("the reader appears", || present(&sensors, stand.id())).await;
    let (taken, ()) = tokio::join!(capture(&sensors, &stand), touch(&stand, 1));
    assert_eq!(taken, Ok(frame(1)));
    assert_eq!(sensors.list()[0].frames, 1);
    sensors.close();
}

#[tokio::test]
async fn a_reader_that_is_pulled_while_idle_is_absent_within_seconds_and_comes_back() {
    let (sensors, [stand]) = plugged(["idle"]).await;
    for _ in 0..2 {
        let began = Instant::now();
        stand.unplug();
        until("the removal is noticed", || !present(&sensors, stand.id())).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(sensors.claim(stand.id()).err(), Some(CaptureError::Absent));
        assert_eq!(sensors.list()[0].last_error.as_deref(), Some("the reader was removed"));
        stand.plug_in();
        until("it comes back", || present(&sensors, stand.id())).await;
    }
    assert_eq!(sensors.list().len(), 1, "it is the same reader");
    sensors.close();
}

#[tokio::test]
async fn a_reader_that_is_pulled_during_a_capture_is_removed_and_works_again_afterwards() {
    let (sensors, [stand]) = plugged(["pulled"]).await;
    // While it waits for the finger, and while it takes the frame.
    for transfer in [Duration::ZERO, PATIENCE] {
        stand.set_transfer(transfer);
        let pull = async {
            until("somebody waits for a finger", || stand.is_waiting()).await;
            if !transfer.is_zero() {
                stand.place(frame(2));
                until("the frame is taken", || stand.signals().last() == Some(&Signal::Busy)).await;
            }
            stand.unplug();
        };
        let (taken, ()) = tokio::join!(capture(&sensors, &stand), pull);
        assert_eq!(taken, Err(CaptureError::Removed));
        stand.lift();
        stand.set_transfer(Duration::ZERO);
        stand.plug_in();
        until("it comes back", || present(&sensors, stand.id())).await;
        let (taken, ()) = tokio::join!(capture(&sensors, &stand), touch(&stand, 3));
        assert_eq!(taken, Ok(frame(3)));
        stand.lift();
    }
    sensors.close();
}

#[tokio::test]
async fn two_readers_take_frames_at_once_and_do_not_mix_them_up() {
    let (sensors, [left, right]) = plugged(["left", "right"]).await;
    let lay = async {
        until("both wait", || left.is_waiting() && right.is_waiting()).await;
        right.place(frame(20));
        left.place(frame(10));
    };
    let (one, two, ()) = tokio::join!(capture(&sensors, &left), capture(&sensors, &right), lay);
    assert_eq!((one, two), (Ok(frame(10)), Ok(frame(20))));
    sensors.close();
}

#[tokio::test]
async fn a_reader_has_one_request_at_a_time_and_is_free_after_the_deadline() {
    let (sensors, [stand]) = plugged(["one"]).await;
    let claim = sensors.claim(stand.id()).unwrap();
    assert_eq!(sensors.claim(stand.id()).err(), Some(CaptureError::Busy));
    assert!(sensors.list()[0].busy);
    let began = Instant::now();
    assert_eq!(claim.capture(SOON, Progress::none()).await, Err(CaptureError::TimedOut));
    assert!(began.elapsed() < SOON * 5, "{:?}", began.elapsed());
    drop(claim);
    // Or the finger would be laid down for the wait before.
    until("the wait ends", || !stand.is_waiting()).await;
    let (taken, ()) = tokio::join!(capture(&sensors, &stand), touch(&stand, 4));
    assert_eq!(taken, Ok(frame(4)));
    sensors.close();
}

#[tokio::test]
async fn whoever_leaves_takes_the_wait_along_and_the_frame_goes_to_nobody_else() {
    let (sensors, [stand]) = plugged(["left"]).await;
    let claim = sensors.claim(stand.id()).unwrap();
    tokio::select! {
        _ = claim.capture(PATIENCE, Progress::none()) => unreachable!("nobody lays a finger down"),
        () = until("somebody waits for a finger", || stand.is_waiting()) => {}
    }
    drop(claim);
    until("the wait ends", || !stand.is_waiting()).await;
    // This finger was laid down for nobody: the next request must not have it.
    stand.place(frame(5));
    let next = async {
        until("the person is asked to lift", || stand.signals().last() == Some(&Signal::Retry)).await;
        stand.lift();
        touch(&stand, 6).await;
    };
    let (taken, ()) = tokio::join!(capture(&sensors, &stand), next);
    assert_eq!(taken, Ok(frame(6)));
    sensors.close();
}

#[tokio::test]
async fn closing_ends_a_wait_for_a_finger_at_once_and_the_threads_with_it() {
    let (sensors, [waited, stuck, idle]) = plugged(["waited", "stuck", "idle"]).await;
    // A finger that is never lifted holds nobody either.
    let (taken, ()) = tokio::join!(capture(&sensors, &stuck), touch(&stuck, 7));
    assert!(taken.is_ok());
    let began = Instant::now();
    let close = async {
        until("somebody waits for a finger", || waited.is_waiting()).await;
        sensors.close();
    };
    let (taken, ()) = tokio::join!(capture(&sensors, &waited), close);
    assert_eq!(taken, Err(CaptureError::Stopping));
    assert_eq!(sensors.claim(idle.id()).err(), Some(CaptureError::Stopping));
    assert!(sensors.ended(PATIENCE), "every thread has ended");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(waited.signals().last(), Some(&Signal::Off));
}

#[tokio::test]
async fn the_person_sees_ready_busy_the_decision_and_then_nothing() {
    let (sensors, [stand]) = plugged(["light"]).await;
    for (shade, decision) in [(8, Signal::Accepted), (9, Signal::Refused)] {
        let before = stand.signals().len();
        let claim = sensors.claim(stand.id()).unwrap();
        let (taken, ()) = tokio::join!(claim.capture(PATIENCE, Progress::none()), touch(&stand, shade));
        assert_eq!(taken, Ok(frame(shade)));
        claim.show(decision);
        drop(claim);
        until("the decision is shown", || stand.signals().last() == Some(&decision)).await;
        stand.lift();
        until("the light goes out", || stand.signals().last() == Some(&Signal::Off)).await;
        assert_eq!(stand.signals()[before..], [Signal::Ready, Signal::Busy, decision, Signal::Off]);
    }
    sensors.close();
}

#[tokio::test]
async fn whoever_listens_hears_what_the_person_is_to_do() {
    let (sensors, [stand]) = plugged(["told"]).await;
    let claim = sensors.claim(stand.id()).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let progress = Progress::to(move |stage| heard.lock().unwrap().push(stage));
    // A finger that lies there already is to be lifted first.
    stand.place(frame(1));
    let hand = async {
        until("the person is asked to lift", || stand.signals().last() == Some(&Signal::Retry)).await;
        stand.lift();
        touch(&stand, 2).await;
    };
    let (taken, ()) = tokio::join!(claim.capture(PATIENCE, progress), hand);
    assert_eq!(taken, Ok(frame(2)));
    assert_eq!(*told.lock().unwrap(), [Stage::Lift, Stage::Place, Stage::Hold, Stage::Lift]);
    sensors.close();
}

#[tokio::test]
async fn one_request_takes_several_impressions_with_a_lift_between() {
    let (sensors, [stand]) = plugged(["three"]).await;
    let claim = sensors.claim(stand.id()).unwrap();
    let lay = async {
        for shade in 1..=3 {
            touch(&stand, shade).await;
            let lift = || matches!(stand.signals().last(), Some(Signal::Retry | Signal::Accepted));
            until("the lift is asked for", lift).await;
            stand.lift();
        }
    };
    let take = async {
        for shade in 1..=3 {
            assert_eq!(claim.capture(PATIENCE, Progress::none()).await, Ok(frame(shade)));
        }
        claim.show(Signal::Accepted);
    };
    tokio::join!(take, lay);
    sensors.close();
}

#[tokio::test]
async fn a_self_test_runs_with_a_finger_and_is_ended_by_a_removal() {
    let (sensors, [stand]) = plugged(["tested"]).await;
    let claim = sensors.claim(stand.id()).unwrap();
    let hand = async {
        touch(&stand, 1).await;
        until("the lift is asked for", || stand.signals().last() == Some(&Signal::Retry)).await;
        stand.lift();
    };
    let (checked, ()) = tokio::join!(claim.test(Some(PATIENCE)), hand);
    let checked = checked.unwrap();
    assert!(selftest::passed(&checked) && checked.len() == selftest::Step::ALL.len(), "{checked:?}");
    let pull = async {
        until("somebody waits for a finger", || stand.is_waiting()).await;
        stand.unplug();
    };
    let (removed, ()) = tokio::join!(claim.test(Some(PATIENCE)), pull);
    assert_eq!(removed, Err(CaptureError::Removed));
    sensors.close();
}
