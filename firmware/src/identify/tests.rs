//! Two fingers through the services, on prints of the fixtures.

use std::{path::Path, sync::Arc};

use authenteon_hal::Dpi;
use uuid::Uuid;

use super::*;
use crate::{
    audit,
    clock::SystemClock,
    enrol::Enrolment,
    policy::{Fpir, Policy, RefuseReason},
    request::{ClientId, Role},
    store::MemoryStore,
    subject::{NewSubject, SubjectName},
};

const NOT_MATCHED: Decision = Decision::Refuse { reason: RefuseReason::NotMatched };
const ONE_FINGER: Decision = Decision::Refuse { reason: RefuseReason::FingersRequired { fingers: 2 } };

fn caller() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Officer, "test".into())
}

fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: Dpi::STANDARD }
}

/// A box, and two persons on it: Ada with the fingers 125 and 126, Bob with 127 and 128.
struct Bench {
    services: Services,
    store: Arc<MemoryStore>,
    ada: SubjectId,
    bob: SubjectId,
}

impl Bench {
    fn new(policy: Policy) -> Self {
        let store = Arc::new(MemoryStore::new());
        let policy = Policy { impressions: 2, ..policy };
        let services = Services::open(store.clone(), policy, Arc::new(SystemClock)).unwrap();
        let [ada, bob] = [("Ada", [125, 126]), ("Bob", [127, 128])].map(|(name, fingers)| {
            let name = SubjectName::try_from(name.to_owned()).unwrap();
            let new = NewSubject { name, groups: Default::default() };
            let subject = services.create_subject(&caller(), new).unwrap().id;
            for (finger, position) in fingers.into_iter().zip(FingerPosition::ALL) {
                let samples = (1..=2).map(|n| print(finger, n)).collect();
                services.enrol(&caller(), Enrolment { subject, position, samples }).unwrap();
            }
            subject
        });
        Self { services, store, ada, bob }
    }

    fn identify(&self, sample: Sample, second: Option<Sample>, pin: Option<&str>) -> Decision {
        let token = || Uuid::new_v4().simple().to_string();
        let (request_id, nonce) = (RequestId::try_from(token()).unwrap(), Nonce::try_from(token()).unwrap());
        let pin = pin.map(|pin| Pin::try_from(pin.to_owned()).unwrap());
        let request = IdentifyRequest { request_id, nonce, sample, second, pin, sensor: None };
        self.services.identify(&caller(), request).unwrap()
    }

    fn two(&self, one: (u32, u32), other: (u32, u32)) -> Decision {
        self.identify(print(one.0, one.1), Some(print(other.0, other.1)), None)
    }

    /// Of each identification: how many fingers, who was found, why, and whether it was under duress.
    fn audited(&self) -> Vec<(Option<usize>, Option<SubjectId>, String, bool)> {
        let mut found = Vec::new();
        audit::verify(self.store.as_ref(), |record| {
            if let Event::Identified { fingers, subject, why, duress, .. } = &record.what {
                found.push((*fingers, *subject, why.clone(), *duress));
            }
        })
        .unwrap();
        found
    }
}

fn accept(subject: SubjectId) -> Decision {
    Decision::Accept { subject }
}

#[test]
fn both_fingers_have_to_be_of_one_person_in_whatever_order_and_which_was_wrong_is_not_told() {
    let bench = Bench::new(Policy::default());
    assert_eq!(bench.two((125, 3), (126, 3)), accept(bench.ada));
    assert_eq!(bench.two((128, 3), (127, 3)), accept(bench.bob));
    let wrong = [bench.two((125, 4), (129, 1)), bench.two((129, 2), (126, 4)), bench.two((129, 3), (130, 1))];
    assert_eq!(wrong, [NOT_MATCHED; 3]);
    assert_eq!(bench.two((127, 4), (130, 2)), NOT_MATCHED);
    let audited = bench.audited();
    assert_eq!(audited[0], (Some(2), Some(bench.ada), "matched".to_owned(), false));
    assert!(audited[2..].iter().all(|(_, found, why, _)| found.is_none() && why == "nobody matches"));
}

#[test]
fn right_fingers_of_two_persons_are_nobody_s() {
    let bench = Bench::new(Policy::default());
    assert_eq!(bench.two((125, 3), (127, 3)), NOT_MATCHED);
}

#[test]
fn one_finger_twice_is_not_two_fingers_and_one_sample_twice_is_a_replay() {
    let bench = Bench::new(Policy::default());
    assert_eq!(bench.two((125, 3), (125, 4)), ONE_FINGER);
    assert_eq!(bench.two((129, 1), (129, 2)), ONE_FINGER, "whether it is somebody's or nobody's");
    let replay = Decision::Refuse { reason: RefuseReason::Replay };
    assert_eq!(bench.two((126, 3), (126, 3)), replay);
    // The same minutiae in another guise.
    let template = print(127, 3).examine().unwrap().extraction.template;
    let decision = bench.identify(print(127, 3), Some(Sample::Template(template.to_bytes())), None);
    assert_eq!(decision, ONE_FINGER);
    assert_eq!(bench.audited()[0].2, "one finger presented twice");
}

#[test]
fn two_fingers_are_told_apart_where_one_is_not_and_too_many_are_refused_before_anything_is_looked_at() {
    let bench = Bench::new(Policy { identify: Fpir::new(1e-5).unwrap(), ..Policy::default() });
    let too_large = |fingers| Decision::Refuse { reason: RefuseReason::GalleryTooLarge { fingers } };
    assert_eq!(bench.identify(print(125, 3), None, None), too_large(Some(2)));
    // It was not looked at, and is good once more.
    assert_eq!(bench.two((125, 3), (126, 3)), accept(bench.ada));
    let bench = Bench::new(Policy { identify: Fpir::new(1e-8).unwrap(), ..Policy::default() });
    assert_eq!(bench.identify(print(125, 3), None, None), too_large(None));
    assert_eq!(bench.two((125, 3), (126, 3)), too_large(None));
    let whys: Vec<String> = bench.audited().into_iter().map(|(_, _, why, _)| why).collect();
    assert_eq!(whys, ["gallery too large for one finger", "gallery too large for two fingers"]);
}

#[test]
fn a_policy_of_two_fingers_is_met_by_two_and_one_of_three_is_not() {
    let bench = Bench::new(Policy { fingers: 2, ..Policy::default() });
    assert_eq!(bench.identify(print(125, 3), None, None), ONE_FINGER);
    assert_eq!(bench.two((125, 3), (126, 3)), accept(bench.ada));
    let bench = Bench::new(Policy { fingers: 3, ..Policy::default() });
    let three = Decision::Refuse { reason: RefuseReason::FingersRequired { fingers: 3 } };
    assert_eq!(bench.two((125, 3), (126, 3)), three);
}

#[test]
fn either_of_both_may_be_the_finger_for_duress_and_a_wrong_pin_is_a_wrong_finger_that_is_counted() {
    let bench = Bench::new(Policy::default());
    let (thumb, index) = (FingerPosition::ALL[0], FingerPosition::ALL[1]);
    bench.services.mark_duress(&caller(), bench.ada, thumb, true).unwrap();
    bench.services.mark_duress(&caller(), bench.bob, index, true).unwrap();
    assert_eq!(bench.two((125, 3), (126, 3)), accept(bench.ada));
    assert_eq!(bench.two((127, 3), (128, 3)), accept(bench.bob));
    let pin = Pin::try_from("2580".to_owned()).unwrap();
    bench.services.set_pin(&caller(), bench.ada, &pin).unwrap();
    let with = |pin| bench.identify(print(125, 4), Some(print(126, 4)), Some(pin));
    assert_eq!(with("2581"), NOT_MATCHED);
    let alarms: Vec<_> = bench.audited().into_iter().map(|(_, found, _, duress)| (found, duress)).collect();
    assert_eq!(
        alarms,
        [(Some(bench.ada), true), (Some(bench.bob), true), (Some(bench.ada), false)],
        "whoever guesses a PIN guesses against who was found"
    );
    assert_eq!(bench.services.lockouts()[0].failures, 1);
}

#[test]
fn probes_of_two_fingers_are_remembered_and_are_replays_afterwards() {
    let bench = Bench::new(Policy::default());
    assert_eq!(bench.two((125, 3), (126, 3)), accept(bench.ada));
    let replay = Decision::Refuse { reason: RefuseReason::Replay };
    assert_eq!(bench.two((126, 3), (125, 4)), replay);
    let copy = print(126, 3).examine().unwrap().extraction.template.to_bytes();
    let decision = bench.identify(print(125, 4), Some(Sample::Template(copy)), None);
    assert_eq!(decision, replay, "one of them is a copy of what was accepted");
}
