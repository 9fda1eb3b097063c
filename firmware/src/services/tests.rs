//! The services on real extractions: synthetic prints from the fixtures, through the whole way.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use authenteon_hal::Dpi;

use super::*;
use crate::{
    audit,
    clock::SystemClock,
    enrol::{EnrolError, Enrolment},
    identify::IdentifyRequest,
    policy::{Decision, RefuseReason},
    request::{ClientId, Nonce, RequestId, Role},
    sample::Sample,
    store::{DiskStore, MemoryStore},
    subject::{FingerPosition, FingerSummary, NewSubject, SubjectName},
    verify::VerifyRequest,
};

const ACCEPTED: fn(SubjectId) -> Decision = |subject| Decision::Accept { subject };
const NOT_MATCHED: Decision = Decision::Refuse { reason: RefuseReason::NotMatched };

fn caller() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Officer, "test".into())
}

fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: Dpi::STANDARD }
}

fn services(store: Arc<dyn Store>) -> Services {
    Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap()
}

fn subject(services: &Services, name: &str) -> SubjectId {
    let name = SubjectName::try_from(name.to_owned()).unwrap();
    services.create_subject(&caller(), NewSubject { name, groups: BTreeSet::new() }).unwrap().id
}

fn enrol(services: &Services, subject: SubjectId, finger: u32) -> Result<FingerSummary, EnrolError> {
    let samples = (1..=3).map(|n| print(finger, n)).collect();
    services.enrol(&caller(), Enrolment { subject, position: FingerPosition::RightIndex, samples })
}

fn token() -> String {
    Uuid::new_v4().simple().to_string()
}

fn verify(services: &Services, subject: SubjectId, sample: Sample) -> Result<Decision, DecideError> {
    verify_as(services, &token(), &token(), subject, sample)
}

fn verify_as(
    services: &Services,
    id: &str,
    nonce: &str,
    subject: SubjectId,
    sample: Sample,
) -> Result<Decision, DecideError> {
    let request_id = RequestId::try_from(id.to_owned()).unwrap();
    let nonce = Nonce::try_from(nonce.to_owned()).unwrap();
    services.verify(
        &caller(),
        VerifyRequest { request_id, nonce, subject, proof: sample.into(), pin: None, sensor: None },
    )
}

fn identify(services: &Services, sample: Sample) -> Result<Decision, DecideError> {
    let request_id = RequestId::try_from(token()).unwrap();
    let nonce = Nonce::try_from(token()).unwrap();
    services.identify(
        &caller(),
        IdentifyRequest { request_id, nonce, sample, second: None, pin: None, sensor: None },
    )
}

#[test]
fn a_right_finger_is_accepted_a_wrong_one_refused_and_an_unannounced_one_named() {
    let services = services(Arc::new(MemoryStore::new()));
    let (ada, bob) = (subject(&services, "Ada"), subject(&services, "Bob"));
    assert_eq!(enrol(&services, ada, 125).unwrap().impressions, 3);
    enrol(&services, bob, 126).unwrap();
    assert_eq!(services.counts(), Counts { fingers: 2, impressions: 6 });
    assert_eq!(verify(&services, ada, print(125, 4)).unwrap(), ACCEPTED(ada));
    assert_eq!(verify(&services, ada, print(127, 1)).unwrap(), NOT_MATCHED);
    assert_eq!(identify(&services, print(126, 4)).unwrap(), ACCEPTED(bob));
    assert_eq!(identify(&services, print(128, 1)).unwrap(), NOT_MATCHED);
}

#[test]
fn templates_are_enrolled_and_verified_like_the_pictures_that_they_are_of() {
    use authenteon_matcher::interchange::{Format, Record, View, encode};
    let services = services(Arc::new(MemoryStore::new()));
    let ada = subject(&services, "Ada");
    let template = |impression| print(125, impression).examine().unwrap().extraction.template;
    let samples = (1..=3).map(|n| Sample::Template(template(n).to_bytes())).collect();
    let enrolment = Enrolment { subject: ada, position: FingerPosition::RightIndex, samples };
    assert_eq!(services.enrol(&caller(), enrolment).unwrap().impressions, 3);
    let (position, impression, extensions) = (2, 0, Vec::new());
    let view = View { position, impression, quality: Some(60), template: template(4), extensions };
    let record = encode(&Record { views: vec![view] }, Format::Iso2005).unwrap();
    assert_eq!(verify(&services, ada, Sample::Record(record.clone())).unwrap(), ACCEPTED(ada));
    let replay = Decision::Refuse { reason: RefuseReason::Replay };
    assert_eq!(verify(&services, ada, Sample::Record(record)).unwrap(), replay);
    let wrong = print(126, 1).examine().unwrap().extraction.template.to_bytes();
    assert_eq!(verify(&services, ada, Sample::Template(wrong)).unwrap(), NOT_MATCHED);
}

#[test]
fn an_unknown_subject_is_refused_like_a_wrong_finger_and_the_audit_knows_the_difference() {
    let store = Arc::new(MemoryStore::new());
    let services = services(store.clone());
    let nobody = SubjectId::random();
    assert_eq!(verify(&services, nobody, print(125, 1)).unwrap(), NOT_MATCHED);
    let mut reasons = Vec::new();
    audit::verify(store.as_ref(), |record| {
        if let Event::Verified { why, score, .. } = &record.what {
            reasons.push((why.clone(), score.is_some()));
        }
    })
    .unwrap();
    assert_eq!(reasons, [("not enrolled".to_owned(), true)], "a comparison was made all the same");
}

#[test]
fn impressions_of_two_fingers_are_not_enrolled_as_one() {
    let services = services(Arc::new(MemoryStore::new()));
    let ada = subject(&services, "Ada");
    let samples = vec![print(125, 1), print(125, 2), print(126, 1)];
    let enrolment = Enrolment { subject: ada, position: FingerPosition::LeftThumb, samples };
    assert_eq!(services.enrol(&caller(), enrolment), Err(EnrolError::Inconsistent { index: 2 }));
    assert_eq!(services.counts().fingers, 0);
}

#[test]
fn the_same_picture_three_times_is_not_three_impressions() {
    let services = services(Arc::new(MemoryStore::new()));
    let ada = subject(&services, "Ada");
    let samples = vec![print(125, 1), print(125, 1), print(125, 1)];
    let enrolment = Enrolment { subject: ada, position: FingerPosition::LeftThumb, samples };
    assert_eq!(services.enrol(&caller(), enrolment), Err(EnrolError::Inconsistent { index: 1 }));
}

#[test]
fn too_few_impressions_are_refused_before_any_work() {
    let services = services(Arc::new(MemoryStore::new()));
    let ada = subject(&services, "Ada");
    let enrolment =
        Enrolment { subject: ada, position: FingerPosition::LeftThumb, samples: vec![print(125, 1)] };
    assert_eq!(
        services.enrol(&caller(), enrolment),
        Err(EnrolError::SampleCount { got: 1, least: 3, most: 10 })
    );
}

#[test]
fn a_finger_of_somebody_else_is_not_enrolled_again_and_an_enrolled_one_not_twice() {
    let services = services(Arc::new(MemoryStore::new()));
    let (ada, eve) = (subject(&services, "Ada"), subject(&services, "Eve"));
    enrol(&services, ada, 125).unwrap();
    let samples = vec![print(125, 2), print(125, 3), print(125, 4)];
    let enrolment = Enrolment { subject: eve, position: FingerPosition::RightThumb, samples };
    assert_eq!(services.enrol(&caller(), enrolment), Err(EnrolError::DuplicateFinger));
    assert_eq!(enrol(&services, ada, 125), Err(EnrolError::AlreadyEnrolled));
    assert_eq!(enrol(&services, SubjectId::random(), 126), Err(EnrolError::UnknownSubject));
}

#[test]
fn a_probe_presented_again_is_a_replay_also_when_it_was_seen_at_enrolment() {
    let services = services(Arc::new(MemoryStore::new()));
    let ada = subject(&services, "Ada");
    enrol(&services, ada, 125).unwrap();
    let replay = Decision::Refuse { reason: RefuseReason::Replay };
    assert_eq!(verify(&services, ada, print(125, 1)).unwrap(), replay);
    assert_eq!(verify(&services, ada, print(125, 4)).unwrap(), ACCEPTED(ada));
    assert_eq!(verify(&services, ada, print(125, 4)).unwrap(), replay);
    assert_eq!(identify(&services, print(125, 4)).unwrap(), replay);
}

#[test]
fn a_repeated_request_gets_its_answer_again_and_its_name_serves_no_other() {
    let store = Arc::new(MemoryStore::new());
    let services = services(store.clone());
    let ada = subject(&services, "Ada");
    enrol(&services, ada, 125).unwrap();
    let nonce = token();
    let first = verify_as(&services, "one", &nonce, ada, print(125, 4)).unwrap();
    let records = audit::verify(store.as_ref(), |_| ()).unwrap().number();
    assert_eq!(verify_as(&services, "one", &nonce, ada, print(125, 4)).unwrap(), first);
    assert_eq!(audit::verify(store.as_ref(), |_| ()).unwrap().number(), records, "nothing was decided anew");
    let other = verify_as(&services, "one", &token(), ada, print(125, 4));
    assert_eq!(other, Err(DecideError::RequestIdReused));
}

#[test]
fn a_deleted_subject_or_finger_matches_no_more() {
    let services = services(Arc::new(MemoryStore::new()));
    let (ada, bob) = (subject(&services, "Ada"), subject(&services, "Bob"));
    enrol(&services, ada, 125).unwrap();
    enrol(&services, bob, 126).unwrap();
    services.delete_subject(&caller(), ada).unwrap();
    services.remove_finger(&caller(), bob, FingerPosition::RightIndex).unwrap();
    assert_eq!(services.counts(), Counts { fingers: 0, impressions: 0 });
    assert_eq!(verify(&services, ada, print(125, 4)).unwrap(), NOT_MATCHED);
    assert_eq!(services.subject(ada), Err(SubjectError::Unknown));
    assert_eq!(services.delete_subject(&caller(), ada), Err(SubjectError::Unknown));
    let again = services.remove_finger(&caller(), bob, FingerPosition::RightIndex);
    assert_eq!(again, Err(EnrolError::UnknownFinger));
}

#[test]
fn a_search_under_way_keeps_nobody_from_being_enrolled_or_removed() {
    let services = services(Arc::new(MemoryStore::new()));
    let ada = subject(&services, "Ada");
    // On this thread: were anything held by who searches, the enrolment would wait for ever.
    let searched = services.inner.gallery();
    enrol(&services, ada, 125).unwrap();
    assert_eq!((searched.fingers(), services.counts().fingers), (0, 1));
    let searched = services.inner.gallery();
    services.remove_finger(&caller(), ada, FingerPosition::RightIndex).unwrap();
    assert_eq!((searched.fingers(), services.counts().fingers), (1, 0));
}

#[test]
fn a_box_warms_itself_after_it_has_opened() {
    let store = Arc::new(MemoryStore::new());
    let before = services(store.clone());
    let ada = subject(&before, "Ada");
    enrol(&before, ada, 125).unwrap();
    drop(before);
    let after = services(store);
    assert!(after.inner.gallery().impressions() > 0);
    while after.inner.gallery().unsketched() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn on_a_full_disk_nobody_is_enrolled_those_enrolled_are_decided_on_and_subjects_can_be_removed() {
    let store = Arc::new(MemoryStore::new());
    let services = services(store.clone());
    let (ada, bob) = (subject(&services, "Ada"), subject(&services, "Bob"));
    enrol(&services, ada, 125).unwrap();
    store.set_room(Room::Decisions);
    let full = StoreError::Full;
    let name = SubjectName::try_from("Eve".to_owned()).unwrap();
    let created = services.create_subject(&caller(), NewSubject { name, groups: BTreeSet::new() });
    assert_eq!(created, Err(SubjectError::Store(full.clone())));
    assert_eq!(enrol(&services, bob, 126), Err(EnrolError::Store(full.clone())));
    assert_eq!(verify(&services, ada, print(125, 4)).unwrap(), ACCEPTED(ada));
    store.set_room(Room::Nothing);
    assert_eq!(verify(&services, ada, print(127, 1)), Err(DecideError::Store(full)));
    services.delete_subject(&caller(), bob).unwrap();
    store.set_room(Room::Everything);
    assert_eq!(verify(&services, ada, print(128, 1)).unwrap(), NOT_MATCHED);
}

#[test]
fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || services(Arc::new(DiskStore::open(folder.path()).unwrap()));
    let before = open();
    let ada = subject(&before, "Ada");
    enrol(&before, ada, 125).unwrap();
    let seen = before.subject(ada).unwrap();
    drop(before);
    let after = open();
    assert_eq!(after.subject(ada).unwrap(), seen);
    assert_eq!(after.subjects(None, 10).unwrap(), [seen]);
    assert_eq!(verify(&after, ada, print(125, 4)).unwrap(), ACCEPTED(ada));
}

#[test]
fn a_white_frame_asks_for_another_try_and_a_wrong_resolution_is_the_caller_s_error() {
    let services = services(Arc::new(MemoryStore::new()));
    let white = Sample::RawGrey { width: 300, height: 300, dpi: Dpi::STANDARD, pixels: vec![255; 90_000] };
    assert!(matches!(identify(&services, white).unwrap(), Decision::Retry { .. }));
    let Sample::Encoded { bytes, .. } = print(125, 1) else { panic!("prints are files") };
    let wrong = Sample::Encoded { bytes, dpi: Dpi::new(1100).unwrap() };
    assert!(matches!(identify(&services, wrong), Err(DecideError::Sample(_))));
}

#[test]
fn identification_among_too_many_is_refused_and_says_so() {
    let policy = Policy { identify: crate::policy::Fpir::new(1e-5).unwrap(), ..Policy::default() };
    let services = Services::open(Arc::new(MemoryStore::new()), policy, Arc::new(SystemClock)).unwrap();
    let ada = subject(&services, "Ada");
    enrol(&services, ada, 125).unwrap();
    let too_large = Decision::Refuse { reason: RefuseReason::GalleryTooLarge { fingers: Some(2) } };
    assert_eq!(identify(&services, print(125, 4)).unwrap(), too_large);
    // Nothing was looked at: the same finger is good for a verification.
    assert_eq!(verify(&services, ada, print(125, 4)).unwrap(), ACCEPTED(ada));
}
