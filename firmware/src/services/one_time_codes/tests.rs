//! One-time codes, through the services.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use authenteon_hal::Dpi;

use super::*;
use crate::{
    clock::{Clock, Timestamp},
    enrol::Enrolment,
    policy::{Policy, RefuseReason, ReplayRule},
    request::{ClientId, Role},
    sample::Sample,
    services::Wanted,
    store::{MemoryStore, Store},
    subject::{FingerPosition, NewSubject, SubjectName},
    verify::VerifyRequest,
};

const NOT_MATCHED: Decision = Decision::Refuse { reason: RefuseReason::NotMatched };

/// A clock that the test sets, in seconds.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    fn running(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

struct Desk {
    services: Services,
    clock: Arc<Hands>,
}

fn station(number: u8) -> Caller {
    Caller::new(ClientId::of_certificate(&[number; 32]), Role::Station, format!("desk-{number}"))
}

fn vpn() -> Caller {
    Caller::new(ClientId::of_radius("vpn"), Role::Station, "radius.vpn".into())
}

fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: Dpi::STANDARD }
}

fn accept(subject: SubjectId) -> Decision {
    Decision::Accept { subject }
}

impl Desk {
    fn new() -> (Self, SubjectId) {
        let (clock, store) = (Arc::new(Hands::default()), Arc::new(MemoryStore::new()));
        clock.0.store(1000, Ordering::SeqCst);
        // The same print may be presented again: what is tested comes after it.
        let policy = Policy { impressions: 2, replay: ReplayRule::Off, ..Policy::default() };
        let services = Services::open(store as Arc<dyn Store>, policy, Arc::<Hands>::clone(&clock)).unwrap();
        let name = SubjectName::try_from("Ada".to_owned()).unwrap();
        let officer = Caller::new(ClientId::of_certificate(&[9; 32]), Role::Officer, "officer".into());
        let ada =
            services.create_subject(&officer, NewSubject { name, groups: Default::default() }).unwrap().id;
        let samples = (1..=2).map(|n| print(125, n)).collect();
        let finger = Enrolment { subject: ada, position: FingerPosition::RightIndex, samples };
        services.enrol(&officer, finger).unwrap();
        (Self { services, clock }, ada)
    }

    /// An accept at the first station: the name of its request.
    fn accepted(&self, subject: SubjectId) -> RequestId {
        let request_id = RequestId::random();
        let request = VerifyRequest {
            request_id: request_id.clone(),
            nonce: Nonce::random(),
            subject,
            proof: print(125, 3).into(),
            pin: None,
            sensor: None,
        };
        assert_eq!(self.services.verify(&station(1), request), Ok(accept(subject)));
        request_id
    }

    fn code(&self, subject: SubjectId) -> OneTimeCode {
        let request = self.accepted(subject);
        self.services.give_code(&station(1), &request).unwrap()
    }

    fn tried(&self, subject: SubjectId, code: &OneTimeCode) -> Decision {
        self.services.verify_code(&vpn(), RequestId::random(), subject, code.clone()).unwrap()
    }

    fn later(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A code that is not this one.
fn other(code: &OneTimeCode) -> OneTimeCode {
    let digits = code.text();
    let first = if digits.starts_with('9') { "0" } else { "9" };
    OneTimeCode::try_from(format!("{first}{}", &digits[1..]).as_str()).unwrap()
}

#[test]
fn a_code_lets_its_person_in_once_within_a_minute_and_nobody_else() {
    let (desk, ada) = Desk::new();
    let first = desk.code(ada);
    let code = desk.code(ada);
    assert_eq!(desk.tried(ada, &first), NOT_MATCHED, "another one was given in its place");
    assert_eq!(desk.tried(SubjectId::random(), &code), NOT_MATCHED);
    desk.later(59);
    assert_eq!(desk.tried(ada, &code), accept(ada));
    assert_eq!(desk.tried(ada, &code), NOT_MATCHED, "it is used up");
    let code = desk.code(ada);
    desk.later(60);
    assert_eq!(desk.tried(ada, &code), NOT_MATCHED, "it is over");
}

#[test]
fn an_accept_gives_one_code_to_whom_it_was_given_and_not_later_than_a_minute() {
    let (desk, ada) = Desk::new();
    let request = desk.accepted(ada);
    let give = |desk: &Desk, by: &Caller| desk.services.give_code(by, &request).map(|_| ());
    assert_eq!(give(&desk, &station(2)), Err(CodeError::Accept(NotAccepted::Unknown)));
    assert_eq!(give(&desk, &station(1)), Ok(()));
    assert_eq!(give(&desk, &station(1)), Err(CodeError::Accept(NotAccepted::Used)));
    let request = desk.accepted(ada);
    desk.later(61);
    let late = desk.services.give_code(&station(1), &request).map(|_| ());
    assert_eq!(late, Err(CodeError::Accept(NotAccepted::Unknown)));
    // What a code accepted gives no further code.
    let code = desk.code(ada);
    let again = RequestId::random();
    assert_eq!(desk.services.verify_code(&vpn(), again.clone(), ada, code), Ok(accept(ada)));
    let given = desk.services.give_code(&vpn(), &again).map(|_| ());
    assert_eq!(given, Err(CodeError::Accept(NotAccepted::Unknown)));
}

#[test]
fn wrong_codes_lock_the_person_out_and_not_the_client_and_are_in_the_audit_without_the_code() {
    let (desk, ada) = Desk::new();
    let code = desk.code(ada);
    for _ in 0..5 {
        assert_eq!(desk.tried(ada, &other(&code)), NOT_MATCHED);
    }
    let locked = desk.tried(ada, &code);
    assert!(matches!(locked, Decision::Refuse { reason: RefuseReason::LockedOut { .. } }), "{locked:?}");
    // It was not used up by who may not be let in.
    desk.later(31);
    assert_eq!(desk.tried(ada, &code), accept(ada));
    for _ in 0..150 {
        desk.tried(SubjectId::random(), &code);
    }
    let code = desk.code(ada);
    assert_eq!(desk.tried(ada, &code), accept(ada), "nobody locks the VPN for the others");
    let page = desk.services.audit(&Wanted { after: 1, limit: 1000, ..Wanted::default() }).unwrap();
    let text = serde_json::to_string(&page.records).unwrap();
    assert!(text.contains("wrong one-time code") && text.contains("one-time-code-given"));
    assert!(!text.contains(&code.text()));
}

#[test]
fn a_code_goes_with_its_person_and_with_the_last_finger() {
    let (desk, ada) = Desk::new();
    let officer = Caller::new(ClientId::of_certificate(&[9; 32]), Role::Officer, "officer".into());
    let code = desk.code(ada);
    desk.services.remove_finger(&officer, ada, FingerPosition::RightIndex).unwrap();
    assert_eq!(desk.tried(ada, &code), NOT_MATCHED);
    let (desk, ada) = Desk::new();
    let (code, request) = (desk.code(ada), desk.accepted(ada));
    desk.services.delete_subject(&officer, ada).unwrap();
    assert_eq!(desk.tried(ada, &code), NOT_MATCHED);
    assert_eq!(desk.services.give_code(&station(1), &request).map(|_| ()), Err(CodeError::Gone));
}

#[test]
fn of_two_who_bring_a_code_at_the_same_moment_one_is_let_in() {
    let (desk, ada) = Desk::new();
    let code = desk.code(ada);
    let accepts = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..4).map(|_| scope.spawn(|| desk.tried(ada, &code))).collect();
        tries.into_iter().map(|tried| tried.join().unwrap()).filter(|d| *d == accept(ada)).count()
    });
    assert_eq!(accepts, 1);
}
