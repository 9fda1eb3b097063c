//! Directories followed into a store: in memory, and on a disk over a start.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::{
    audit,
    clock::{Clock, SystemClock},
    directory::{
        Entry, Reading, Standing,
        plan::{Act, Rules},
    },
    enrol::Enrolment,
    identify::IdentifyRequest,
    policy::{Decision, Policy, RefuseReason},
    request::{Caller, ClientId, Nonce, RequestId, Role},
    sample::Sample,
    services::{ChangeError, SubjectChange},
    store::{Change, DiskStore, MemoryStore, Store},
    subject::{FingerPosition, GroupName, Login, NewSubject, SubjectName},
    verify::VerifyRequest,
};

/// A clock that stands where it is put.
#[derive(Default)]
struct Stopped(Mutex<u64>);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_900_000_000_000 + *self.0.lock().unwrap())
    }
}

impl Stopped {
    fn pass(&self, hours: u64) {
        *self.0.lock().unwrap() += hours * 3_600_000;
    }
}

fn corp() -> SourceName {
    SourceName::try_from("corp".to_owned()).unwrap()
}

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
}

fn object(number: u32) -> ObjectId {
    ObjectId::of_octets(Uuid::from_u128(number.into()).as_bytes()).unwrap()
}

fn entry(number: u32, standing: Standing) -> Entry {
    Entry {
        id: object(number),
        dn: String::new(),
        name: Some(format!("Person {number}")),
        login: Some(format!("p{number}")),
        upn: Some(format!("p{number}@corp.example")),
        sid: None,
        groups: BTreeSet::from([GroupName::try_from("staff".to_owned()).unwrap()]),
        standing,
        locked_out: false,
        privileged: number == 13,
    }
}

fn active(numbers: std::ops::Range<u32>) -> Vec<Entry> {
    numbers.map(|number| entry(number, Standing::Active)).collect()
}

fn reading(whole: bool, entries: Vec<Entry>, cursor: u32) -> Reading {
    Reading {
        whole,
        entries,
        gone: BTreeSet::new(),
        unusable: Vec::new(),
        shut: BTreeSet::new(),
        cursor: Cursor(json!(cursor)),
    }
}

fn open(store: Arc<dyn Store>, clock: &Arc<Stopped>) -> Services {
    let services = Services::open(store, Policy::default(), Arc::clone(clock) as Arc<dyn Clock>).unwrap();
    services.watch_directories([(corp(), Duration::from_secs(86_400))]);
    services
}

fn in_memory() -> (Services, Arc<Stopped>) {
    let clock = Arc::new(Stopped::default());
    (open(Arc::new(MemoryStore::new()), &clock), clock)
}

fn read(services: &Services, reading: Reading, swept: bool) -> Read {
    Read { since: services.directory_progress(&corp()).unwrap().cursor, reading, swept }
}

fn follow(services: &Services, reading: Reading) -> Outcome {
    let swept = reading.whole;
    services.follow_directory(&corp(), read(services, reading, swept), &Rules::default(), None).unwrap()
}

fn who(services: &Services, number: u32) -> SubjectId {
    let people = services.directory_people(&corp());
    people.into_iter().find(|(_, link)| link.object == object(number)).unwrap().0
}

fn events(services: &Services) -> Vec<Value> {
    let mut events = Vec::new();
    audit::verify(services.inner.store.as_ref(), |record| {
        let by = record.by.name.clone();
        if by.starts_with("directory ") || by == "boss" {
            events.push(serde_json::to_value(&record.what).unwrap());
        }
    })
    .unwrap();
    events
}

#[test]
fn who_is_read_is_a_subject_of_the_box_with_name_groups_and_account() {
    let (services, _) = in_memory();
    let local =
        NewSubject { name: SubjectName::try_from("Ada".to_owned()).unwrap(), groups: BTreeSet::new() };
    let local = services.create_subject(&boss(), local).unwrap();
    assert!(follow(&services, reading(true, active(0..4), 1)).done);
    let person = services.subject(who(&services, 1)).unwrap();
    let followed = person.followed.unwrap();
    assert_eq!((person.name.as_ref(), person.groups.len()), ("Person 1", 1));
    assert_eq!((followed.account.login.as_deref(), followed.link.state), (Some("p1"), State::Active));
    let gone = reading(true, vec![entry(0, Standing::Disabled), entry(3, Standing::Active)], 2);
    assert!(follow(&services, gone).done);
    assert_eq!(services.subject(local.id).unwrap(), local, "who was made here is as he was");
    let status = services.directories().remove(0);
    assert_eq!(status.people, BTreeMap::from([(State::Active, 1), (State::Disabled, 1), (State::Gone, 2)]));
    assert_eq!(status.last.unwrap().0, Counts { disabled: 1, gone: 2, ..Counts::default() });
    let kinds: Vec<_> =
        events(&services).iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    let expected = [
        "subject-created",
        "subject-followed",
        "subject-followed",
        "subject-followed",
        "subject-followed",
        "directory-followed",
        "followed-changed",
        "followed-changed",
        "followed-changed",
        "directory-followed",
    ];
    assert_eq!(kinds, expected);
    let text = serde_json::to_string(&events(&services)).unwrap();
    assert!(!text.contains("Person") && !text.contains("p1@"), "no names in the audit: {text}");
}

#[test]
fn what_the_directory_says_is_not_changed_here_and_says_so() {
    let (services, _) = in_memory();
    follow(&services, reading(true, active(0..1), 1));
    let name = SubjectName::try_from("Other".to_owned()).ok();
    let refused = services.change_subject(&boss(), who(&services, 0), SubjectChange { name, groups: None });
    assert_eq!(refused, Err(ChangeError::Followed(corp())));
    assert!(refused.unwrap_err().to_string().contains("corp"));
}

#[test]
fn a_plan_that_is_held_changes_nothing_until_just_that_is_confirmed() {
    let (services, _) = in_memory();
    follow(&services, reading(true, active(0..30), 1));
    let poisoned = || reading(true, active(0..10), 2);
    let before = services.inner.roll().unwrap();
    for _ in 0..2 {
        assert!(!follow(&services, poisoned()).done);
    }
    assert_eq!(services.inner.roll().unwrap(), before);
    assert_eq!(
        services.directory_progress(&corp()).unwrap().cursor,
        Some(Cursor(json!(1))),
        "it is read again"
    );
    let held = services.directories().remove(0).held.unwrap();
    assert_eq!((held.harm.gone, held.harm.of), (20, 30));
    let told = events(&services).iter().filter(|event| event["event"] == "directory-held").count();
    assert_eq!(told, 1, "it is told once");
    let confirm = |reading, plan: &Confirmation| {
        let confirmed = Confirmed { by: boss(), plan: plan.clone() };
        services.follow_directory(
            &corp(),
            read(&services, reading, true),
            &Rules::default(),
            Some(&confirmed),
        )
    };
    let other = confirm(reading(true, active(0..11), 2), &held.confirmation);
    assert_eq!(other, Err(FollowError::NotWaiting), "it is another plan");
    assert_eq!(services.inner.roll().unwrap(), before);
    assert!(confirm(poisoned(), &held.confirmation).unwrap().done);
    let status = services.directories().remove(0);
    assert_eq!((status.people[&State::Gone], status.held), (20, None));
    let last = events(&services);
    let confirmed = last.iter().find(|event| event["event"] == "directory-confirmed").unwrap();
    assert_eq!(confirmed["harm"]["gone"], 20);
}

#[test]
fn a_reading_is_done_once_whatever_was_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Stopped::default());
    let disk = || -> Arc<dyn Store> { Arc::new(DiskStore::open(folder.path()).unwrap()) };
    {
        let services = open(disk(), &clock);
        let plan =
            services.plan_directory(&corp(), &reading(true, active(0..600), 1), &Rules::default()).unwrap();
        // The power goes when some of them are there, and how far it was is not.
        services.inner.apply(&corp(), &plan.acts[..300], clock.now()).unwrap();
    }
    let services = open(disk(), &clock);
    assert_eq!(services.directory_progress(&corp()).unwrap(), Progress::default());
    let some = who(&services, 7);
    let outcome = follow(&services, reading(true, active(0..600), 1));
    assert_eq!(Counts::of(&outcome.plan.acts), Counts { created: 300, ..Counts::default() });
    assert_eq!(who(&services, 7), some);
    drop(services);
    let services = open(disk(), &clock);
    let progress = services.directory_progress(&corp()).unwrap();
    assert_eq!((progress.cursor, progress.read), (Some(Cursor(json!(1))), Some(clock.now())));
    assert_eq!(services.directory_people(&corp()).len(), 600);
    assert_eq!(follow(&services, reading(true, active(0..600), 2)).plan.acts, []);
}

#[test]
fn who_was_deleted_here_since_a_plan_was_made_is_not_made_half_again() {
    let (services, clock) = in_memory();
    follow(&services, reading(true, active(0..2), 1));
    let (zero, one) = (who(&services, 0), who(&services, 1));
    let mut renamed = active(0..2);
    renamed[0].name = Some("Other".to_owned());
    renamed[1].name = Some("Another".to_owned());
    let plan = services.plan_directory(&corp(), &reading(false, renamed, 2), &Rules::default()).unwrap();
    services.delete_subject(&boss(), zero).unwrap();
    services.inner.apply(&corp(), &plan.acts, clock.now()).unwrap();
    assert!(services.subject(zero).is_err());
    assert_eq!(services.subject(one).unwrap().name.as_ref(), "Another");
    assert_eq!(services.directory_people(&corp()).len(), 1);
}

#[test]
fn who_is_gone_is_erased_after_the_grace_with_a_proof_of_it() {
    let (services, clock) = in_memory();
    follow(&services, reading(true, active(0..2), 1));
    let one = who(&services, 1);
    follow(&services, Reading { gone: BTreeSet::from([object(1)]), ..reading(false, vec![], 2) });
    clock.pass(29 * 24);
    assert_eq!(follow(&services, reading(false, vec![], 2)).plan.acts, []);
    clock.pass(24);
    let outcome = follow(&services, reading(false, vec![], 2));
    assert!(matches!(outcome.plan.acts[..], [Act::Erase { .. }]), "{:?}", outcome.plan.acts);
    assert!(services.subject(one).is_err());
    assert_eq!(services.directory_people(&corp()).len(), 1);
    let last = events(&services);
    assert!(last.iter().any(|event| *event == json!({"event": "subject-deleted", "subject": one})));
}

/// What is presented: a finger of the fixtures.
fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: authenteon_hal::Dpi::STANDARD }
}

#[test]
fn whose_account_is_disabled_is_refused_with_the_right_finger_until_it_is_enabled_with_the_same_fingers() {
    let (services, _) = in_memory();
    follow(&services, reading(true, active(0..8), 1));
    let (ada, bob, kim) = (who(&services, 0), who(&services, 1), who(&services, 2));
    for (subject, finger) in [(ada, 125), (bob, 126), (kim, 127)] {
        let samples = (1..=3).map(|n| print(finger, n)).collect();
        services
            .enrol(&boss(), Enrolment { subject, position: FingerPosition::RightIndex, samples })
            .unwrap();
    }
    let token = || Uuid::new_v4().simple().to_string();
    let verified = |subject, sample: Sample| {
        let (request_id, nonce) = (RequestId::try_from(token()).unwrap(), Nonce::try_from(token()).unwrap());
        let request =
            VerifyRequest { request_id, nonce, subject, proof: sample.into(), pin: None, sensor: None };
        services.verify(&boss(), request).unwrap()
    };
    let identified = |sample| {
        let (request_id, nonce) = (RequestId::try_from(token()).unwrap(), Nonce::try_from(token()).unwrap());
        let request = IdentifyRequest { request_id, nonce, sample, second: None, pin: None, sensor: None };
        services.identify(&boss(), request).unwrap()
    };
    let refused = |reason| Decision::Refuse { reason };
    let shut = vec![entry(0, Standing::Disabled), entry(1, Standing::Expired), entry(2, Standing::Disabled)];
    follow(&services, reading(false, shut, 2));
    assert_eq!(verified(ada, print(125, 4)), refused(RefuseReason::AccountDisabled));
    assert_eq!(
        verified(ada, print(128, 1)),
        refused(RefuseReason::NotMatched),
        "a wrong finger learns nothing"
    );
    assert_eq!(identified(print(126, 4)), refused(RefuseReason::AccountDisabled));
    follow(&services, Reading { gone: BTreeSet::from([object(0)]), ..reading(false, vec![], 3) });
    assert_eq!(services.subject(ada).unwrap().fingers.len(), 1, "they are kept for the grace");
    follow(&services, reading(false, active(0..3), 4));
    assert_eq!(verified(kim, print(127, 4)), Decision::Accept { subject: kim });
    assert_eq!(services.subject(ada).unwrap().followed.unwrap().link.state, State::Active);
    let decided = |events: Vec<Value>, why: &str| events.iter().filter(|event| event["why"] == why).count();
    assert_eq!(decided(events(&services), "disabled in the directory"), 1);
    assert_eq!(decided(events(&services), "the account in the directory is over"), 1);
}

#[test]
fn nobody_is_certified_by_a_directory_that_is_stale_or_says_no() {
    let (services, clock) = in_memory();
    let local =
        NewSubject { name: SubjectName::try_from("Ada".to_owned()).unwrap(), groups: BTreeSet::new() };
    let local = services.create_subject(&boss(), local).unwrap().id;
    assert!(services.directories()[0].stale, "it was never read");
    follow(&services, reading(true, active(10..15), 1));
    let twin = Entry { upn: Some("P11@corp.example".to_owned()), ..entry(20, Standing::Active) };
    follow(&services, reading(false, vec![entry(10, Standing::Disabled), twin], 1));
    let asked = |number| services.may_certify(who(&services, number));
    assert_eq!(asked(11).unwrap().upn.as_deref(), Some("p11@corp.example"));
    assert_eq!(asked(10), Err(NotCertified::State(State::Disabled)));
    assert_eq!(asked(13), Err(NotCertified::Privileged));
    assert_eq!(asked(20), Err(NotCertified::NoPrincipal), "somebody else holds it");
    assert_eq!(services.may_certify(local), Err(NotCertified::NotFollowed));
    clock.pass(23);
    assert!(asked(11).is_ok() && !services.directories()[0].stale);
    clock.pass(1);
    assert_eq!(asked(11), Err(NotCertified::Stale(corp())));
    assert!(services.directories()[0].stale);
    follow(&services, reading(false, vec![], 2));
    assert!(asked(11).is_ok());
}

#[test]
fn a_directory_that_is_not_read_says_why_and_since_when() {
    let (services, clock) = in_memory();
    let began = clock.now();
    assert!(!services.directory_failed(&corp(), "no server answers"));
    clock.pass(1);
    assert!(services.directory_failed(&corp(), "no server answers"), "it is known");
    assert_eq!(services.directories()[0].error, Some(("no server answers".to_owned(), began)));
    follow(&services, reading(true, vec![], 1));
    assert_eq!(services.directories()[0].error, None);
}

#[test]
fn people_of_a_directory_that_is_not_configured_any_more_are_listed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = Arc::new(Stopped::default());
    follow(&open(Arc::clone(&store), &clock), reading(true, active(0..3), 1));
    let services = Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap();
    let left = services.directories().remove(0);
    assert_eq!((left.name, left.configured, left.people[&State::Active]), (corp(), false, 3));
    assert_eq!(services.may_certify(who(&services, 1)), Err(NotCertified::NotFollowed));
}

#[test]
fn a_password_is_kept_over_a_start_and_is_in_no_record_and_no_plain_file() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Stopped::default());
    let secret = Zeroizing::new("hunter2-and-more".to_owned());
    {
        let services = open(Arc::new(DiskStore::open(folder.path()).unwrap()), &clock);
        assert_eq!(services.directory_password(&corp()).unwrap(), None);
        for bad in ["", "two\nlines", &"x".repeat(1025)] {
            let bad = Zeroizing::new(bad.to_owned());
            assert_eq!(services.set_directory_password(&boss(), &corp(), &bad), Err(NoSuchPassword::Not));
        }
        services.set_directory_password(&boss(), &corp(), &secret).unwrap();
        assert_eq!(events(&services), [json!({"event": "directory-password-set", "source": "corp"})]);
    }
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{path:?}");
            }
        }
    }
    let services = open(Arc::new(DiskStore::open(folder.path()).unwrap()), &clock);
    assert_eq!(services.directory_password(&corp()).unwrap(), Some(secret));
    assert!(!crate::backup::KEPT.contains(&Table::About), "no backup has it");
}

#[test]
fn ten_thousand_people_are_made_in_a_few_commits_of_many_each() {
    let folder = tempfile::tempdir().unwrap();
    let services = open(Arc::new(DiskStore::open(folder.path()).unwrap()), &Arc::new(Stopped::default()));
    let began = SystemClock.running();
    assert!(follow(&services, reading(true, active(0..10_000), 1)).done);
    let took = SystemClock.running() - began;
    eprintln!("10,000 people in {took:?}");
    assert_eq!(services.directory_people(&corp()).len(), 10_000);
    assert!(took < Duration::from_secs(60), "{took:?}");
    let created = |event: &&Value| event["event"] == "subject-followed";
    assert_eq!(events(&services).iter().filter(created).count(), 10_000);
    let began = SystemClock.running();
    let again = follow(&services, reading(true, active(0..10_000), 2));
    eprintln!("the same again in {:?}", SystemClock.running() - began);
    assert_eq!(again.plan.acts, []);
    let begun = SystemClock.running();
    follow(&services, reading(false, vec![entry(1, Standing::Disabled)], 3));
    eprintln!("one of them in {:?}", SystemClock.running() - begun);
}

#[test]
fn whoever_is_called_by_a_name_is_found_by_it_and_a_name_of_nobody_leads_to_nobody() {
    let (services, _) = in_memory();
    let login = |text: &str| Login::try_from(text.to_owned()).unwrap();
    let nobody = services.claimed(&login("p1")).unwrap();
    assert!(follow(&services, reading(true, active(0..10), 1)).done);
    let one = who(&services, 1);
    assert_ne!(nobody, one);
    for name in ["p1", " P1 "] {
        assert_eq!(services.called(&login(name)).unwrap(), Some(one), "{name}");
        assert_eq!(services.claimed(&login(name)).unwrap(), one);
    }
    let stranger = services.claimed(&login("mallory")).unwrap();
    assert_eq!(services.claimed(&login("Mallory")).unwrap(), stranger, "always the same");
    assert!(services.subject(stranger).is_err());
    // Another name, and the old one for somebody else.
    let renamed = Entry {
        login: Some("ada".into()),
        upn: Some("ada@corp.example".into()),
        ..entry(1, Standing::Active)
    };
    let heir = Entry { login: Some("p1".into()), ..entry(2, Standing::Active) };
    assert!(follow(&services, reading(false, vec![renamed, heir], 2)).done);
    assert_eq!(services.called(&login("ADA@corp.example")).unwrap(), Some(one));
    assert_eq!(services.called(&login("p1")).unwrap(), Some(who(&services, 2)));
    assert_eq!(services.called(&login("p2")).unwrap(), None);
    // The login of one is the principal name of another: it is nobody's.
    let same = Entry { login: Some("ada@corp.example".into()), ..entry(3, Standing::Active) };
    assert!(follow(&services, reading(false, vec![same], 3)).done);
    assert_eq!(services.called(&login("ada@corp.example")).unwrap(), None);
    services.delete_subject(&boss(), one).unwrap();
    assert_eq!(services.called(&login("ada")).unwrap(), None);
    assert_eq!(services.called(&login("ada@corp.example")).unwrap(), Some(who(&services, 3)));
}

#[test]
fn a_record_that_is_damaged_keeps_nobody_else_from_his_name_nor_the_directory_from_shutting_others_out() {
    let (services, _) = in_memory();
    assert!(follow(&services, reading(true, active(0..3), 1)).done);
    let one = who(&services, 1);
    let change = Change::Put { table: Table::Subjects, key: one.as_bytes().to_vec(), value: b"{".to_vec() };
    services.inner.store.commit(&[change]).unwrap();
    let called = |name: &str| services.called(&Login::try_from(name.to_owned()).unwrap()).unwrap();
    assert_eq!((called("p1"), called("p2")), (None, Some(who(&services, 2))));
    assert!(follow(&services, reading(false, vec![entry(2, Standing::Disabled)], 2)).done);
    assert_eq!(services.inner.directory_state(who(&services, 2)), State::Disabled);
}
