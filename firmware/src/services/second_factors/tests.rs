//! PINs, codes and fingers for duress, through the services.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use authenteon_hal::Dpi;
use uuid::Uuid;

use super::*;
use crate::{
    audit,
    clock::{Clock, SystemClock},
    enrol::Enrolment,
    identify::IdentifyRequest,
    policy::{Decision, Policy, RefuseReason, ReplayRule},
    request::{ClientId, Nonce, RequestId, Role},
    sample::Sample,
    store::{DiskStore, MemoryStore, Store, Table},
    subject::{NewSubject, SubjectName},
    verify::{Proof, VerifyRequest},
};

const NOT_MATCHED: Decision = Decision::Refuse { reason: RefuseReason::NotMatched };

/// A clock that the test sets.
#[derive(Default)]
struct Wall(AtomicU64);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn caller() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Officer, "test".into())
}

fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Services {
    let policy = Policy { impressions: 2, ..Policy::default() };
    Services::open(store, policy, clock).unwrap()
}

fn subject(services: &Services) -> SubjectId {
    let name = SubjectName::try_from("Ada".to_owned()).unwrap();
    services.create_subject(&caller(), NewSubject { name, groups: Default::default() }).unwrap().id
}

fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: Dpi::STANDARD }
}

fn enrol(services: &Services, subject: SubjectId, position: FingerPosition, finger: u32) {
    let samples = (1..=2).map(|n| print(finger, n)).collect();
    services.enrol(&caller(), Enrolment { subject, position, samples }).unwrap();
}

fn token() -> String {
    Uuid::new_v4().simple().to_string()
}

fn verify(services: &Services, subject: SubjectId, proof: impl Into<Proof>, pin: Option<&str>) -> Decision {
    let request_id = RequestId::try_from(token()).unwrap();
    let nonce = Nonce::try_from(token()).unwrap();
    let pin = pin.map(|pin| Pin::try_from(pin.to_owned()).unwrap());
    let request = VerifyRequest { request_id, nonce, subject, proof: proof.into(), pin, sensor: None };
    services.verify(&caller(), request).unwrap()
}

fn accept(subject: SubjectId) -> Decision {
    Decision::Accept { subject }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_recovery_code_is_good_once_and_in_its_time_and_for_nobody_else() {
    let clock = Arc::new(Wall::default());
    clock.0.store(1_800_000_000_000, Ordering::SeqCst);
    let services = open(Arc::new(MemoryStore::new()), Arc::<Wall>::clone(&clock));
    let (ada, bob) = (subject(&services), subject(&services));
    let give = || services.issue_recovery_code(&caller(), ada, HOUR).unwrap();
    let (first, _) = give();
    let (code, expires) = give();
    assert_eq!(expires.millis(), 1_800_003_600_000);
    let tried =
        |subject, code: &RecoveryCode| verify(&services, subject, Proof::Recovery(code.clone()), None);
    assert_eq!(tried(ada, &first), NOT_MATCHED, "another one was given in its place");
    assert_eq!(tried(bob, &code), NOT_MATCHED);
    assert_eq!(tried(SubjectId::random(), &code), NOT_MATCHED);
    assert_eq!(tried(ada, &code), accept(ada));
    assert_eq!(tried(ada, &code), NOT_MATCHED, "it is used up");
    assert_eq!(services.subject(ada).unwrap().recovery_code, None);

    let (code, _) = give();
    clock.0.fetch_sub(1, Ordering::SeqCst);
    assert_eq!(tried(ada, &code), NOT_MATCHED, "the clock was set back to before it was given");
    clock.0.fetch_add(3_600_001, Ordering::SeqCst);
    assert_eq!(tried(ada, &code), NOT_MATCHED, "it has expired");
    let (code, _) = give();
    services.revoke_recovery_code(&caller(), ada).unwrap();
    assert_eq!(tried(ada, &code), NOT_MATCHED);
}

#[test]
fn a_code_that_two_bring_at_the_same_moment_lets_one_in_and_guesses_lock_out() {
    let services = open(Arc::new(MemoryStore::new()), Arc::new(SystemClock));
    let ada = subject(&services);
    let (code, _) = services.issue_recovery_code(&caller(), ada, HOUR).unwrap();
    let all = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| verify(&services, ada, Proof::Recovery(code.clone()), None)))
            .collect();
        tries.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(all.iter().filter(|decision| **decision == accept(ada)).count(), 1);
    for _ in 0..5 {
        verify(&services, ada, Proof::Recovery(RecoveryCode::random().unwrap()), None);
    }
    let (code, _) = services.issue_recovery_code(&caller(), ada, HOUR).unwrap();
    let locked = verify(&services, ada, Proof::Recovery(code.clone()), None);
    assert!(matches!(locked, Decision::Refuse { reason: RefuseReason::LockedOut { .. } }), "{locked:?}");
    services.clear_lockout(&caller(), &crate::services::lockout::About::Subject(ada)).unwrap();
    assert_eq!(verify(&services, ada, Proof::Recovery(code), None), accept(ada), "a lockout used nothing up");
}

/// A clock that runs when the test says so.
#[derive(Default)]
struct Running(AtomicU64);

impl Clock for Running {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn running(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn within_the_grace_period_the_same_station_needs_no_finger_and_a_refusal_ends_it() {
    let clock = Arc::new(Running::default());
    let policy = Policy { impressions: 2, grace_seconds: 60, ..Policy::default() };
    let services =
        Services::open(Arc::new(MemoryStore::new()), policy, Arc::<Running>::clone(&clock)).unwrap();
    let ada = subject(&services);
    enrol(&services, ada, FingerPosition::RightIndex, 125);
    let none = Decision::Refuse { reason: RefuseReason::FingerRequired };
    let graced = |subject| verify(&services, subject, Proof::Grace, None);
    assert_eq!((graced(ada), graced(SubjectId::random())), (none.clone(), none.clone()));
    assert_eq!(verify(&services, ada, print(125, 3), None), accept(ada));
    clock.0.store(59, Ordering::SeqCst);
    assert_eq!(graced(ada), accept(ada));
    let other = Caller { name: "other".into(), ..caller() };
    let request = VerifyRequest {
        request_id: RequestId::try_from(token()).unwrap(),
        nonce: Nonce::try_from(token()).unwrap(),
        subject: ada,
        proof: Proof::Grace,
        pin: None,
        sensor: None,
    };
    assert_eq!(services.verify(&other, request).unwrap(), none, "no other station");
    clock.0.store(60, Ordering::SeqCst);
    assert_eq!(graced(ada), none, "using it has not prolonged it");

    assert_eq!(verify(&services, ada, print(125, 4), None), accept(ada));
    assert_eq!(verify(&services, ada, print(126, 1), None), NOT_MATCHED);
    assert_eq!(graced(ada), none);
    let strict = crate::policy::Restriction { grace_seconds: Some(0), ..Default::default() };
    assert_eq!(Policy { grace_seconds: 60, ..Policy::default() }.restricted(&strict).grace_seconds, 0);
}

#[test]
fn a_grace_ends_with_a_wrong_pin_or_code_and_with_the_person_and_the_last_finger() {
    let policy = Policy { impressions: 2, grace_seconds: 60, ..Policy::default() };
    let policy = Policy { replay: crate::policy::ReplayRule::Off, ..policy };
    let services = Services::open(Arc::new(MemoryStore::new()), policy, Arc::new(SystemClock)).unwrap();
    let ada = subject(&services);
    enrol(&services, ada, FingerPosition::RightIndex, 125);
    services.set_pin(&caller(), ada, &Pin::try_from("2580".to_owned()).unwrap()).unwrap();
    let none = Decision::Refuse { reason: RefuseReason::FingerRequired };
    let begin = || assert_eq!(verify(&services, ada, print(125, 3), None), accept(ada));
    let graced = |pin| verify(&services, ada, Proof::Grace, pin);
    begin();
    assert_eq!(graced(Some("2580")), accept(ada));
    assert_eq!(graced(Some("2581")), NOT_MATCHED);
    assert_eq!(graced(Some("2580")), none, "a guess ends it");
    begin();
    let wrong = Proof::Recovery(RecoveryCode::random().unwrap());
    assert_eq!(verify(&services, ada, wrong, None), NOT_MATCHED);
    assert_eq!(graced(None), none);
    begin();
    services.remove_finger(&caller(), ada, FingerPosition::RightIndex).unwrap();
    assert_eq!(graced(None), none);
    enrol(&services, ada, FingerPosition::RightIndex, 125);
    assert_eq!(graced(None), none, "nor does it come back with a finger");
    begin();
    services.delete_subject(&caller(), ada).unwrap();
    assert_eq!(graced(None), none);
}

#[test]
fn a_code_is_not_waited_for_while_people_are_put_back() {
    let services = open(Arc::new(MemoryStore::new()), Arc::new(SystemClock));
    let ada = subject(&services);
    let (code, _) = services.issue_recovery_code(&caller(), ada, HOUR).unwrap();
    // As a restore holds it: on this thread, so that who waited for it would wait for ever.
    let _people = services.inner.people();
    let _restoring = crate::services::restore::Rebuilding::begin(&services.inner).unwrap();
    let request = VerifyRequest {
        request_id: RequestId::try_from(token()).unwrap(),
        nonce: Nonce::try_from(token()).unwrap(),
        subject: ada,
        proof: Proof::Recovery(code),
        pin: None,
        sensor: None,
    };
    let refused = services.verify(&caller(), request);
    assert!(matches!(refused, Err(crate::services::DecideError::Store(StoreError::Degraded { .. }))));
}

#[test]
fn pins_that_are_guessed_by_identification_lock_their_person_out_and_are_in_the_audit() {
    let store = Arc::new(MemoryStore::new());
    let policy = Policy { impressions: 2, pin: true, ..Policy::default() };
    let policy = Policy { replay: crate::policy::ReplayRule::Off, ..policy };
    let services = Services::open(store.clone(), policy, Arc::new(SystemClock)).unwrap();
    let ada = subject(&services);
    enrol(&services, ada, FingerPosition::RightIndex, 125);
    services.set_pin(&caller(), ada, &Pin::try_from("2580".to_owned()).unwrap()).unwrap();
    let identify = |station: u32, finger, pin: &str| {
        let request = IdentifyRequest {
            request_id: RequestId::try_from(token()).unwrap(),
            nonce: Nonce::try_from(token()).unwrap(),
            sample: print(finger, 3),
            second: None,
            pin: Some(Pin::try_from(pin.to_owned()).unwrap()),
            sensor: None,
        };
        services.identify(&Caller { name: format!("station-{station}"), ..caller() }, request).unwrap()
    };
    for guess in 0..5 {
        assert_eq!(identify(guess, 125, "2581"), NOT_MATCHED);
    }
    let is_locked =
        |decision: &Decision| matches!(decision, Decision::Refuse { reason: RefuseReason::LockedOut { .. } });
    let (right, wrong) = (identify(6, 125, "2580"), identify(6, 125, "2581"));
    assert!(is_locked(&right) && is_locked(&wrong), "{right:?}, {wrong:?}");
    assert!(is_locked(&verify(&services, ada, print(125, 4), Some("2580"))), "wherever");
    assert_eq!(identify(6, 126, "2580"), NOT_MATCHED, "another finger learns nothing");
    let mut named = Vec::new();
    audit::verify(store.as_ref(), |record| {
        if let Event::Identified { subject, why, .. } = &record.what {
            named.push((*subject, why.clone()));
        }
    })
    .unwrap();
    let of_ada = |why: &str| (Some(ada), why.to_owned());
    assert_eq!(named[..5], vec![of_ada("wrong PIN"); 5]);
    assert_eq!(named[5..7], vec![of_ada("locked out: the subject"); 2]);
    assert_eq!(named[7], (None, "nobody matches".to_owned()));
}

#[test]
fn store_keeps_that_a_code_was_used_and_a_pin_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || open(Arc::new(DiskStore::open(folder.path()).unwrap()), Arc::new(SystemClock));
    let (ada, code) = {
        let services = disk();
        let ada = subject(&services);
        let (code, _) = services.issue_recovery_code(&caller(), ada, HOUR).unwrap();
        services.set_pin(&caller(), ada, &Pin::try_from("2580".to_owned()).unwrap()).unwrap();
        assert_eq!(verify(&services, ada, Proof::Recovery(code.clone()), Some("2581")), NOT_MATCHED);
        (ada, code)
    };
    let services = disk();
    assert!(services.subject(ada).unwrap().pin);
    assert_eq!(verify(&services, ada, Proof::Recovery(code.clone()), Some("2580")), accept(ada));
    drop(services);
    assert_eq!(verify(&disk(), ada, Proof::Recovery(code), Some("2580")), NOT_MATCHED);
}

#[test]
fn a_wrong_pin_is_refused_as_a_wrong_finger_and_so_is_one_where_none_is_kept() {
    let services = open(Arc::new(MemoryStore::new()), Arc::new(SystemClock));
    let ada = subject(&services);
    enrol(&services, ada, FingerPosition::RightIndex, 125);
    assert_eq!(verify(&services, SubjectId::random(), print(126, 1), Some("2580")), NOT_MATCHED);
    let row = Pin::try_from("1234".to_owned()).unwrap();
    assert_eq!(services.set_pin(&caller(), ada, &row), Err(PinError::Not(NotAPin::Row)));
    services.set_pin(&caller(), ada, &Pin::try_from("2580".to_owned()).unwrap()).unwrap();
    assert_eq!(verify(&services, ada, print(126, 2), Some("2580")), NOT_MATCHED);
    assert_eq!(verify(&services, ada, print(125, 4), Some("2580")), accept(ada));
}

#[test]
fn two_fingers_have_to_be_two_and_both_right() {
    let services = open(Arc::new(MemoryStore::new()), Arc::new(SystemClock));
    let ada = subject(&services);
    for (position, finger) in [
        (FingerPosition::RightIndex, 125),
        (FingerPosition::RightThumb, 126),
        (FingerPosition::LeftThumb, 127),
    ] {
        enrol(&services, ada, position, finger);
    }
    let both = |a, b| verify(&services, ada, Proof::Fingers(vec![a, b]), None);
    assert_eq!(both(print(125, 3), print(125, 4)), NOT_MATCHED, "the same finger twice");
    assert_eq!(both(print(126, 3), print(128, 1)), NOT_MATCHED, "one of them is somebody else's");
    assert_eq!(both(print(126, 4), print(127, 4)), accept(ada));
}

#[test]
fn an_accept_under_duress_is_told_by_its_audit_record_alone() {
    let store = Arc::new(MemoryStore::new());
    let services = open(store.clone(), Arc::new(SystemClock));
    let ada = subject(&services);
    enrol(&services, ada, FingerPosition::RightIndex, 125);
    enrol(&services, ada, FingerPosition::LeftIndex, 126);
    let marked = services.mark_duress(&caller(), ada, FingerPosition::LeftThumb, true);
    assert_eq!(marked, Err(EnrolError::UnknownFinger));
    services.mark_duress(&caller(), ada, FingerPosition::LeftIndex, true).unwrap();

    // Accepted probes are kept in one value from the first accept on.
    assert_eq!(verify(&services, ada, print(125, 3), None), accept(ada));
    let sizes = || Table::ALL.map(|table| store.scan(table, None, 1000).unwrap().len());
    let mut grown = Vec::new();
    for finger in [125, 126] {
        let before = sizes();
        assert_eq!(verify(&services, ada, print(finger, 4), None), accept(ada));
        let after = sizes();
        grown.push(std::array::from_fn::<_, 20, _>(|n| after[n] - before[n]));
    }
    assert_eq!(grown[0], grown[1], "the same was written for both");
    let mut alarms = Vec::new();
    audit::verify(store.as_ref(), |record| {
        if let Event::Verified { duress, why, .. } = &record.what {
            alarms.push((*duress, why.clone()));
        }
    })
    .unwrap();
    let accept = |duress| (duress, "matched".to_owned());
    assert_eq!(alarms, [accept(false), accept(false), accept(true)]);

    // The mark goes with the finger.
    services.remove_finger(&caller(), ada, FingerPosition::LeftIndex).unwrap();
    enrol(&services, ada, FingerPosition::LeftIndex, 128);
    assert!(services.subject(ada).unwrap().fingers.iter().all(|finger| !finger.duress));
}

/// The same probe of the same finger, marked and not in turn: whatever else slows the machine slows both.
#[test]
fn an_accept_under_duress_takes_as_long_as_any_accept() {
    let policy = Policy { impressions: 2, replay: ReplayRule::Off, ..Policy::default() };
    let services = Services::open(Arc::new(MemoryStore::new()), policy, Arc::new(SystemClock)).unwrap();
    let ada = subject(&services);
    enrol(&services, ada, FingerPosition::RightIndex, 125);
    enrol(&services, ada, FingerPosition::LeftIndex, 126);
    let (mut marked, mut plain) = (Vec::new(), Vec::new());
    for round in 0..2 * 41 {
        let duress = round % 2 == 0;
        services.mark_duress(&caller(), ada, FingerPosition::LeftIndex, duress).unwrap();
        let began = std::time::Instant::now();
        assert_eq!(verify(&services, ada, print(126, 4), None), accept(ada));
        let times = if duress { &mut marked } else { &mut plain };
        times.push(began.elapsed());
    }
    let [marked, plain] = [marked, plain].map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    println!("median of 41: under duress {:.3} ms, otherwise {:.3} ms", marked * 1e3, plain * 1e3);
    assert!((0.8..1.25).contains(&(marked / plain)), "{marked} s and {plain} s");
}

#[test]
fn who_is_identified_by_a_finger_for_duress_raises_the_alarm_too() {
    let store = Arc::new(MemoryStore::new());
    let services = open(store.clone(), Arc::new(SystemClock));
    let ada = subject(&services);
    enrol(&services, ada, FingerPosition::LeftIndex, 126);
    services.mark_duress(&caller(), ada, FingerPosition::LeftIndex, true).unwrap();
    let request = IdentifyRequest {
        request_id: RequestId::try_from(token()).unwrap(),
        nonce: Nonce::try_from(token()).unwrap(),
        sample: print(126, 4),
        second: None,
        pin: None,
        sensor: None,
    };
    assert_eq!(services.identify(&caller(), request).unwrap(), accept(ada));
    let mut alarm = false;
    audit::verify(store.as_ref(), |record| {
        alarm |= matches!(record.what, Event::Identified { duress: true, .. });
    })
    .unwrap();
    assert!(alarm);
}
