//! Replays, through the services and over restarts, with synthetic prints.

use std::{path::Path, sync::Arc};

use authenteon_hal::{Dpi, decode::decode};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    audit::{self, Event},
    clock::SystemClock,
    enrol::Enrolment,
    identify::IdentifyRequest,
    policy::{Policy, RefuseReason},
    request::{Caller, ClientId, Nonce, RequestId, Role},
    sample::Sample,
    store::{DiskStore, MemoryStore, Store},
    subject::{NewSubject, SubjectName},
    verify::VerifyRequest,
};

const REPLAY: Decision = Decision::Refuse { reason: RefuseReason::Replay };
const NOT_MATCHED: Decision = Decision::Refuse { reason: RefuseReason::NotMatched };

fn caller() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Officer, "test".into())
}

fn open(store: Arc<dyn Store>, replay: ReplayRule) -> Services {
    let policy = Policy { impressions: 2, replay, ..Policy::default() };
    Services::open(store, policy, Arc::new(SystemClock)).unwrap()
}

fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: Dpi::STANDARD }
}

/// The same picture moved by so many pixels, and a little brighter.
fn copied(print: Sample, right: i64, down: i64) -> Sample {
    let Sample::Encoded { bytes, dpi } = print else { panic!("prints are files") };
    let frame = decode(&bytes, dpi).unwrap();
    let (width, height) = (i64::from(frame.width()), i64::from(frame.height()));
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x - right, y - down)));
    let inside = |(x, y): (i64, i64)| (0..width).contains(&x) && (0..height).contains(&y);
    let grey = |(x, y)| if inside((x, y)) { frame.pixels()[(y * width + x) as usize] } else { 255 };
    let pixels = places.map(|place| grey(place).saturating_add(5)).collect();
    Sample::RawGrey { width: frame.width(), height: frame.height(), dpi, pixels }
}

fn enrolled(services: &Services, finger: u32) -> SubjectId {
    let name = SubjectName::try_from(format!("Somebody {finger}")).unwrap();
    let new = NewSubject { name, groups: Default::default() };
    let subject = services.create_subject(&caller(), new).unwrap().id;
    let samples = vec![print(finger, 1), print(finger, 2)];
    let enrolment = Enrolment { subject, position: FingerPosition::RightIndex, samples };
    services.enrol(&caller(), enrolment).unwrap();
    subject
}

fn token<T: TryFrom<String>>() -> T {
    T::try_from(Uuid::new_v4().simple().to_string()).ok().unwrap()
}

fn verify(services: &Services, subject: SubjectId, sample: Sample) -> Decision {
    let (request_id, nonce): (RequestId, Nonce) = (token(), token());
    let request = VerifyRequest { request_id, nonce, subject, proof: sample.into(), pin: None, sensor: None };
    services.verify(&caller(), request).unwrap()
}

fn accept(subject: SubjectId) -> Decision {
    Decision::Accept { subject }
}

/// Why each verification and identification ended as it did.
fn reasons(services: &Services) -> Vec<String> {
    let mut reasons = Vec::new();
    audit::verify(services.inner.store.as_ref(), |record| {
        if let Event::Verified { why, .. } | Event::Identified { why, .. } = &record.what {
            reasons.push(why.clone());
        }
    })
    .unwrap();
    reasons
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_probe_is_refused_after_a_restart_too_as_it_was_and_copied_and_another_impression_is_not(
        finger in 125_u32..131, first in 3_u32..5, right in -9_i64..9, down in -9_i64..9,
    ) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let before = open(Arc::clone(&store), ReplayRule::On);
        let subject = enrolled(&before, finger);
        prop_assume!(verify(&before, subject, print(finger, first)) == accept(subject));
        drop(before);
        let after = open(store, ReplayRule::On);
        prop_assert_eq!(verify(&after, subject, print(finger, first)), REPLAY);
        let copy = verify(&after, subject, copied(print(finger, first), right, down));
        prop_assert!(copy == REPLAY || copy == NOT_MATCHED, "{:?}", copy);
        let other = verify(&after, subject, print(finger, 7 - first));
        prop_assert!(other == accept(subject) || other == NOT_MATCHED, "{:?}", other);
    }
}

#[test]
fn the_audit_says_what_a_replay_is_a_copy_of() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(Arc::new(DiskStore::open(folder.path()).unwrap()), ReplayRule::On);
    let before = open();
    let subject = enrolled(&before, 125);
    assert_eq!(verify(&before, subject, print(125, 3)), accept(subject));
    drop(before);
    let after = open();
    for sample in [print(125, 3), copied(print(125, 3), 2, 1), copied(print(125, 1), 0, 3), print(125, 2)] {
        assert_eq!(verify(&after, subject, sample), REPLAY);
    }
    // Which takes the failures away: an identification counts for who is found.
    assert_eq!(verify(&after, subject, print(125, 4)), accept(subject));
    let request = IdentifyRequest {
        request_id: token(),
        nonce: token(),
        sample: copied(print(125, 3), 4, 4),
        second: None,
        pin: None,
        sensor: None,
    };
    assert_eq!(after.identify(&caller(), request).unwrap(), REPLAY);
    let copy = |of: &str| format!("replay: a copy of an {of}");
    let (probe, view) = (copy("accepted probe"), copy("enrolled impression"));
    let same = "replay: the same sample came before".to_owned();
    let matched = || "matched".to_owned();
    assert_eq!(reasons(&after), [matched(), same, probe.clone(), view.clone(), view, matched(), probe]);
}

#[test]
fn who_is_refused_leaves_nothing_behind_and_nor_does_who_was_erased() {
    let store = Arc::new(MemoryStore::new());
    let services = open(store.clone(), ReplayRule::On);
    let subject = enrolled(&services, 125);
    let kept = |of: SubjectId| store.get(Table::Probes, of.as_bytes()).unwrap().is_some();
    let nobody = SubjectId::random();
    for (of, sample) in [(subject, print(126, 1)), (nobody, print(126, 2))] {
        assert_eq!(verify(&services, of, sample), NOT_MATCHED);
        assert!(!kept(of));
    }
    assert_eq!(verify(&services, subject, print(125, 3)), accept(subject));
    assert!(kept(subject));
    services.remove_finger(&caller(), subject, FingerPosition::RightIndex).unwrap();
    assert!(!kept(subject), "they were of the only finger");
    let bob = enrolled(&services, 127);
    assert_eq!(verify(&services, bob, print(127, 3)), accept(bob));
    assert!(kept(bob));
    services.delete_subject(&caller(), bob).unwrap();
    assert!(!kept(bob));
    services.delete_subject(&caller(), subject).unwrap();
    assert!(!kept(subject));
}

#[test]
fn a_rule_for_the_same_lets_copies_pass_and_none_lets_everything_pass() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let exact = open(Arc::clone(&store), ReplayRule::Exact);
    let subject = enrolled(&exact, 125);
    assert_eq!(verify(&exact, subject, print(125, 3)), accept(subject));
    assert_eq!(verify(&exact, subject, copied(print(125, 3), 1, 0)), accept(subject));
    drop(exact);
    let exact = open(Arc::clone(&store), ReplayRule::Exact);
    assert_eq!(verify(&exact, subject, print(125, 3)), REPLAY);
    drop(exact);
    let off = open(store, ReplayRule::Off);
    for _ in 0..2 {
        assert_eq!(verify(&off, subject, print(125, 3)), accept(subject));
    }
}

#[test]
fn two_copies_at_the_same_time_are_not_both_accepted() {
    let services = open(Arc::new(MemoryStore::new()), ReplayRule::On);
    let subject = enrolled(&services, 125);
    let decisions: Vec<Decision> = std::thread::scope(|scope| {
        let both = [0, 2].map(|right| {
            let services = &services;
            scope.spawn(move || verify(services, subject, copied(print(125, 3), right, 0)))
        });
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(decisions.contains(&REPLAY) && decisions.contains(&accept(subject)), "{decisions:?}");
}

#[test]
fn while_the_index_is_made_a_right_finger_is_let_in_once_and_what_is_remembered_of_it_is_kept_later() {
    let store = Arc::new(MemoryStore::new());
    let before = open(store.clone(), ReplayRule::On);
    let subject = enrolled(&before, 125);
    assert_eq!(verify(&before, subject, print(125, 3)), accept(subject));
    drop(before);
    let kept = || store.get(Table::Probes, subject.as_bytes()).unwrap().unwrap();
    let of_before = kept();

    store.set_degraded(true);
    let services = open(store.clone(), ReplayRule::On);
    assert_eq!(verify(&services, subject, print(125, 3)), REPLAY, "a start reads what was kept");
    assert_eq!(verify(&services, subject, copied(print(125, 3), 2, 1)), REPLAY);
    assert_eq!(verify(&services, subject, print(125, 4)), accept(subject));
    assert_eq!(verify(&services, subject, copied(print(125, 4), 2, 1)), REPLAY);

    store.set_degraded(false);
    assert_eq!(kept(), of_before);
    assert_eq!(verify(&services, subject, copied(print(125, 4), 0, 3)), REPLAY);
    assert_eq!(kept(), of_before, "a refusal keeps nothing");
    // Whatever is accepted next; the fixtures have no more impressions of this finger.
    let later = services.inner.unkept().of(subject).unwrap();
    assert!(later.len() > of_before.len());
    let (joined, is_whole) = services.inner.history(subject).unwrap();
    assert_eq!((joined.encode(), is_whole), (later, true), "what was read at the start is not there twice");
    services.delete_subject(&caller(), subject).unwrap();
    assert!(services.inner.unkept().of(subject).is_none());
}

#[test]
fn the_first_accept_of_a_whole_store_takes_up_what_was_remembered_meanwhile() {
    let store = Arc::new(MemoryStore::new());
    let services = open(store.clone(), ReplayRule::On);
    let subject = enrolled(&services, 125);
    store.set_degraded(true);
    assert_eq!(verify(&services, subject, print(125, 3)), accept(subject));
    store.set_degraded(false);
    assert_eq!(verify(&services, subject, print(125, 4)), accept(subject));
    assert!(services.inner.unkept().of(subject).is_none());
    drop(services);
    let services = open(store, ReplayRule::On);
    for impression in [3, 4] {
        assert_eq!(verify(&services, subject, print(125, impression)), REPLAY);
    }
}

#[test]
fn an_accept_does_not_stand_when_its_finger_or_person_was_erased_meanwhile() {
    let services = open(Arc::new(MemoryStore::new()), ReplayRule::Off);
    let subject = enrolled(&services, 125);
    let upheld = |ground| {
        let decision = accept(subject);
        let verdict = Verdict { decision, why: "matched", score: None, needed: None };
        let mut judged = Judged { verdict, found: None, ground, event: (), also: Vec::new() };
        services.uphold(&mut judged, &[]).unwrap();
        (judged.verdict.decision, judged.verdict.why)
    };
    let finger = |position| Ground::Fingers(vec![position]);
    assert_eq!(upheld(finger(FingerPosition::RightIndex)), (accept(subject), "matched"));
    assert_eq!(upheld(finger(FingerPosition::LeftThumb)), (NOT_MATCHED, "erased meanwhile"));
    services.delete_subject(&caller(), subject).unwrap();
    for ground in [finger(FingerPosition::RightIndex), Ground::Enrolled] {
        assert_eq!(upheld(ground), (NOT_MATCHED, "erased meanwhile"));
    }
}

#[test]
fn a_sample_whose_decision_was_not_kept_may_be_presented_again() {
    let store = Arc::new(MemoryStore::new());
    let services = open(store.clone(), ReplayRule::On);
    let subject = enrolled(&services, 125);
    store.set_room(crate::store::Room::Nothing);
    let (request_id, nonce): (RequestId, Nonce) = (token(), token());
    let proof = print(125, 3).into();
    let request = VerifyRequest { request_id, nonce, subject, proof, pin: None, sensor: None };
    assert!(services.verify(&caller(), request).is_err());
    store.set_room(crate::store::Room::Everything);
    assert_eq!(verify(&services, subject, print(125, 3)), accept(subject));
    assert_eq!(verify(&services, subject, print(125, 3)), REPLAY);
}

#[test]
fn the_same_sample_twice_at_the_same_moment_is_looked_at_once() {
    let services = open(Arc::new(MemoryStore::new()), ReplayRule::On);
    let (mut one, mut other) = (services.inner.looking(), services.inner.looking());
    assert!(one.claim(&[1; 32]) && !other.claim(&[1; 32]));
    drop(other);
    assert!(!services.inner.looking().claim(&[1; 32]), "it is the first one's still");
    one.remember();
    assert!(!services.inner.looking().claim(&[1; 32]));
}
