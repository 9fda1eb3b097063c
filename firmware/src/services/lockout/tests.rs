//! Lockouts over restarts, clocks that jump, many at the same moment, and people who do not exist.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{tallies::STRAYS, *};
use crate::{
    audit,
    clock::{Clock, Timestamp},
    policy::{Lockout, Policy, RefuseReason},
    request::{ClientId, Role},
    store::{DiskStore, MemoryStore, Store},
    subject::FingerPosition,
};

/// A clock of which both hands are moved by the test.
#[derive(Default)]
struct Hands {
    wall: AtomicU64,
    running: AtomicU64,
}

impl Hands {
    fn wait(&self, seconds: u64) {
        self.running.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn running(&self) -> Duration {
        Duration::from_millis(self.running.load(Ordering::SeqCst))
    }
}

fn station(name: &str) -> Caller {
    Caller::new(ClientId::of_certificate(&[7; 32]), Role::Station, name.to_owned())
}

fn open(store: Arc<dyn Store>) -> (Services, Arc<Hands>) {
    let hands = Arc::new(Hands::default());
    (Services::open(store, Policy::default(), Arc::<Hands>::clone(&hands)).unwrap(), hands)
}

fn verdict(decision: Decision) -> Verdict {
    Verdict { decision, why: "test", score: None, needed: None }
}

fn attempt(services: &Services, by: &Caller, claimed: SubjectId, decision: Decision) -> Decision {
    let attempt = Attempt { by, claimed: Some(claimed), found: None, sensor: None };
    services
        .settle(&attempt, &services.inner.policy.lockout.into(), (verdict(decision), &[]), |_| {
            Event::StoreCompacted
        })
        .unwrap()
}

const WRONG: Decision = Decision::Refuse { reason: RefuseReason::NotMatched };

fn fails(services: &Services, claimed: SubjectId, times: u32) {
    for _ in 0..times {
        assert_eq!(attempt(services, &station("door"), claimed, WRONG), WRONG);
    }
}

fn right(services: &Services, claimed: SubjectId) -> Decision {
    attempt(services, &station("door"), claimed, Decision::Accept { subject: claimed })
}

fn locked(retry_after_s: u32) -> Decision {
    Decision::Refuse { reason: RefuseReason::LockedOut { retry_after_s } }
}

#[test]
fn who_failed_five_times_is_refused_with_the_right_finger_until_the_wait_is_over() {
    let (services, hands) = open(Arc::new(MemoryStore::new()));
    let ada = SubjectId::random();
    fails(&services, ada, 5);
    assert_eq!(right(&services, ada), locked(30));
    hands.wait(29);
    assert_eq!(right(&services, ada), locked(1));
    // Neither counts an attempt while it lasts, nor a try with a bad impression.
    assert_eq!(attempt(&services, &station("door"), ada, WRONG), locked(1));
    hands.wait(1);
    let hint = "press harder";
    assert_eq!(attempt(&services, &station("door"), ada, Decision::Retry { hint }), Decision::Retry { hint });
    assert_eq!(right(&services, ada), Decision::Accept { subject: ada });
    fails(&services, ada, 4);
    assert_eq!(right(&services, ada), Decision::Accept { subject: ada });
}

#[test]
fn store_keeps_a_lockout_over_a_restart_and_what_was_waited_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || Arc::new(DiskStore::open(folder.path()).unwrap());
    let ada = SubjectId::random();
    {
        let (services, _) = open(disk());
        fails(&services, ada, 5);
    }
    {
        let (services, hands) = open(disk());
        assert_eq!(right(&services, ada), locked(30), "nothing was waited that was kept");
        hands.wait(12);
        assert_eq!(services.inner.keep_waited(), Ok(true));
    }
    let (services, hands) = open(disk());
    assert_eq!(right(&services, ada), locked(18));
    hands.wait(18);
    assert_eq!(services.inner.keep_waited(), Ok(true), "that it is over is kept too");
    assert_eq!(services.inner.keep_waited(), Ok(false));
    // The next failure costs twice as much: the count has outlived it all.
    fails(&services, ada, 1);
    assert_eq!(right(&services, ada), locked(60));
}

#[test]
fn a_clock_that_is_set_forward_or_back_neither_ends_nor_prolongs_a_lockout() {
    let (services, hands) = open(Arc::new(MemoryStore::new()));
    hands.wall.store(1_800_000_000_000, Ordering::SeqCst);
    let ada = SubjectId::random();
    fails(&services, ada, 5);
    hands.wall.store(1_900_000_000_000, Ordering::SeqCst);
    assert_eq!(right(&services, ada), locked(30));
    hands.wall.store(0, Ordering::SeqCst);
    hands.wait(30);
    assert_eq!(right(&services, ada), Decision::Accept { subject: ada });
}

#[test]
fn many_attempts_at_the_same_moment_win_no_guess() {
    let (services, _) = open(Arc::new(MemoryStore::new()));
    let ada = SubjectId::random();
    let outcomes = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..40).map(|_| scope.spawn(|| attempt(&services, &station("door"), ada, WRONG))).collect();
        tries.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == WRONG).count(), 5);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == locked(30)).count(), 35);
}

#[test]
fn a_station_that_guesses_through_many_subjects_waits_and_another_does_not() {
    let (services, _) = open(Arc::new(MemoryStore::new()));
    for _ in 0..Lockout::default().station_failures {
        fails(&services, SubjectId::random(), 1);
    }
    let ada = SubjectId::random();
    assert_eq!(right(&services, ada), locked(30));
    let accept = Decision::Accept { subject: ada };
    assert_eq!(attempt(&services, &station("desk"), ada, accept.clone()), accept);
}

#[test]
fn a_reader_at_the_box_waits_for_its_own_failures_and_so_does_who_is_identified() {
    let policy =
        Policy { lockout: Lockout { sensor_failures: 3, ..Lockout::default() }, ..Policy::default() };
    let hands = Arc::new(Hands::default());
    let services = Services::open(Arc::new(MemoryStore::new()), policy, Arc::<Hands>::clone(&hands)).unwrap();
    let (one, two): (ReaderId, ReaderId) = ("usb-1".parse().unwrap(), "usb-2".parse().unwrap());
    let by = station("door");
    let identify = |sensor, decision| {
        let found = match decision {
            Decision::Accept { subject } => Some(subject),
            Decision::Refuse { .. } | Decision::Retry { .. } => None,
        };
        let attempt = Attempt { by: &by, claimed: None, found, sensor: Some(sensor) };
        services
            .settle(&attempt, &services.inner.policy.lockout.into(), (verdict(decision), &[]), |_| {
                Event::StoreCompacted
            })
            .unwrap()
    };
    for _ in 0..3 {
        assert_eq!(identify(&one, WRONG), WRONG);
    }
    let ada = SubjectId::random();
    let accept = Decision::Accept { subject: ada };
    assert_eq!(identify(&one, accept.clone()), locked(30));
    assert_eq!(identify(&two, accept.clone()), accept);
    hands.wait(30);
    fails(&services, ada, 5);
    assert_eq!(identify(&two, accept), locked(30), "no way round a subject's lockout");
}

#[test]
fn of_those_who_do_not_exist_a_bounded_number_is_counted_and_the_locked_ones_stay() {
    let store = Arc::new(MemoryStore::new());
    let policy =
        Policy { lockout: Lockout { station_failures: 0, ..Lockout::default() }, ..Policy::default() };
    let open = || Services::open(store.clone(), policy.clone(), Arc::new(Hands::default())).unwrap();
    let services = open();
    let nobody = SubjectId::random();
    fails(&services, nobody, 5);
    for _ in 0..STRAYS + 10 {
        fails(&services, SubjectId::random(), 1);
    }
    assert_eq!(right(&services, nobody), locked(30));
    let kept = || store.scan(Table::Counters, None, 10_000).unwrap().len();
    // And the station.
    assert_eq!(kept(), STRAYS + 1);
    drop(services);
    let services = open();
    fails(&services, SubjectId::random(), 1);
    assert_eq!(kept(), STRAYS + 1);
    assert_eq!(right(&services, nobody), locked(30));
}

#[test]
fn a_lockout_is_listed_and_taken_away_with_a_record_of_it() {
    let store = Arc::new(MemoryStore::new());
    let (services, _) = open(store.clone());
    let name = crate::subject::SubjectName::try_from("Ada".to_owned()).unwrap();
    let ada = services
        .create_subject(&station("desk"), crate::subject::NewSubject { name, groups: Default::default() })
        .unwrap()
        .id;
    fails(&services, ada, 5);
    let listed = services.lockouts();
    assert_eq!(
        (listed[0].scope, listed[0].id.clone(), listed[0].failures),
        (Scope::Subject, ada.to_string(), 5)
    );
    assert_eq!(listed[0].wait.unwrap().seconds(), 30);
    assert_eq!((listed[1].scope, listed[1].id.as_str(), listed[1].wait), (Scope::Station, "door", None));

    let nobody = About::Subject(SubjectId::random());
    assert_eq!(services.clear_lockout(&station("desk"), &nobody), Err(SubjectError::Unknown));
    services.clear_lockout(&station("desk"), &About::Subject(ada)).unwrap();
    assert_eq!(right(&services, ada), Decision::Accept { subject: ada });
    let mut cleared = Vec::new();
    audit::verify(store.as_ref(), |record| {
        if let Event::LockoutCleared { scope, id } = &record.what {
            cleared.push((*scope, id.clone()));
        }
    })
    .unwrap();
    assert_eq!(cleared, [(Scope::Subject, ada.to_string())]);
    fails(&services, ada, 2);
    services.delete_subject(&station("desk"), ada).unwrap();
    assert_eq!(services.lockouts().len(), 1, "only the station's");
    assert_eq!(store.scan(Table::Counters, None, 10).unwrap().len(), 1);
}

#[test]
fn a_damaged_tally_is_told_and_not_taken_for_none() {
    let store = Arc::new(MemoryStore::new());
    let key = About::Station("door".to_owned()).key();
    store.commit(&[Change::Put { table: Table::Counters, key, value: b"{}".to_vec() }]).unwrap();
    let opened = Services::open(store, Policy::default(), Arc::new(Hands::default()));
    assert!(opened.err().unwrap().to_string().contains("counters/lockout/station/door"));
}

#[test]
fn what_restricts_a_group_locks_its_members_and_not_the_station_for_all() {
    let (services, _) = open(Arc::new(MemoryStore::new()));
    let own = Lockout { subject_failures: 1, station_failures: 1, ..Lockout::default() };
    let numbers = Numbers { told: Lockout::default(), own: Some(own) };
    let (ada, by) = (SubjectId::random(), station("door"));
    let attempt = Attempt { by: &by, claimed: Some(ada), found: None, sensor: None };
    services.settle(&attempt, &numbers, (verdict(WRONG), &[]), |_| Event::StoreCompacted).unwrap();
    let bob = SubjectId::random();
    assert_eq!(right(&services, bob), Decision::Accept { subject: bob });
    assert_eq!(right(&services, ada), locked(30));
}

#[test]
fn a_failure_while_a_subject_is_deleted_is_counted_as_one_for_nobody() {
    use authenteon_matcher::search::Finger;
    let (services, _) = open(Arc::new(MemoryStore::new()));
    let ada = SubjectId::random();
    let inner = &services.inner;
    inner.gallery.change(|gallery| gallery.insert((ada, FingerPosition::LeftThumb), Finger::new(&[])));
    fails(&services, ada, 3);
    inner.commit_deleted(&station("desk"), ada, &[]).unwrap();
    assert_eq!(services.lockouts().len(), 1, "only the station's");
    fails(&services, ada, 1);
    inner.gallery.change(|gallery| {
        gallery.remove(&(ada, FingerPosition::LeftThumb));
    });
    inner.count_as_stray(ada);
    assert_eq!(services.lockouts().iter().map(|failed| failed.failures).collect::<Vec<_>>(), [4, 1]);
    assert_eq!(inner.lockouts().strays.len(), 1, "it can be forgotten");
}

#[test]
fn tallies_that_come_with_a_backup_take_nothing_from_those_that_were_counted_here() {
    let store = Arc::new(MemoryStore::new());
    let (services, _) = open(store.clone());
    let (ada, bob) = (SubjectId::random(), SubjectId::random());
    fails(&services, ada, 5);
    let put = |id, value: &[u8]| Change::Put {
        table: Table::Counters,
        key: About::Subject(id).key(),
        value: value.to_vec(),
    };
    let brought =
        [put(ada, br#"{"failures":1,"left-ms":0}"#), put(bob, br#"{"failures":5,"left-ms":60000}"#)];
    store.commit(&brought).unwrap();
    services.inner.read_lockouts(|_| true).unwrap();
    for services in [services, open(store).0] {
        assert_eq!((right(&services, ada), right(&services, bob)), (locked(30), locked(60)));
    }
}
