//! The loop with a directory that is a script.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use super::*;
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    directory::{Asked, Standing},
    policy::Policy,
    request::{Caller, ClientId, Role},
    store::MemoryStore,
};

/// What the directory does when it is asked.
#[derive(Clone)]
enum Scene {
    Gives(Reading),
    Fails(DirectoryError),
    Stalls,
}

/// A directory that follows its script, and then says that nothing has changed.
#[derive(Clone, Default)]
struct Script {
    scenes: Arc<Mutex<VecDeque<Scene>>>,
    /// Whoever a sweep finds; everybody is as he was read.
    there: Arc<Mutex<Vec<Entry>>>,
    /// What the next sweeps and questions about somebody fail with.
    fails: Arc<Mutex<VecDeque<DirectoryError>>>,
    asked: Arc<Mutex<Vec<Option<Cursor>>>>,
    made: Arc<AtomicUsize>,
    passwords: Arc<Mutex<Vec<Option<String>>>>,
}

impl Script {
    fn add(&self, scene: Scene) {
        self.scenes.lock().unwrap().push_back(scene);
    }

    fn asked(&self) -> Vec<Option<Cursor>> {
        self.asked.lock().unwrap().clone()
    }
}

impl Source for Script {
    fn read<'a>(&'a mut self, since: Option<&'a Cursor>) -> Asked<'a, Reading> {
        self.asked.lock().unwrap().push(since.cloned());
        let scene = self.scenes.lock().unwrap().pop_front();
        Box::pin(async move {
            match (scene, since) {
                (Some(Scene::Gives(reading)), _) => Ok(reading),
                (Some(Scene::Fails(why)), _) => Err(why),
                (Some(Scene::Stalls), _) => pending().await,
                (None, Some(cursor)) => {
                    Ok(Reading { cursor: cursor.clone(), ..reading(false, Vec::new(), 0) })
                }
                (None, None) => Ok(reading(true, self.there.lock().unwrap().clone(), 99)),
            }
        })
    }

    fn everybody(&mut self) -> Asked<'_, BTreeSet<ObjectId>> {
        let there = self.there.lock().unwrap().iter().map(|entry| entry.id).collect();
        let fails = self.fails.lock().unwrap().pop_front();
        Box::pin(async move { fails.map_or(Ok(there), Err) })
    }

    fn person(&mut self, id: ObjectId) -> Asked<'_, Option<Entry>> {
        let person = self.there.lock().unwrap().iter().find(|entry| entry.id == id).cloned();
        let fails = self.fails.lock().unwrap().pop_front();
        Box::pin(async move {
            if let Some(why) = fails {
                return Err(why);
            }
            match person {
                Some(person) if person.dn == "unusable" => {
                    Err(DirectoryError::Protocol("its identifier is longer than any".to_owned()))
                }
                person => Ok(person),
            }
        })
    }

    fn test(&mut self) -> Asked<'_, Rights> {
        Box::pin(async move { Ok(Rights { method: "script".to_owned(), ..Rights::default() }) })
    }
}

fn object(number: u32) -> ObjectId {
    ObjectId::of_octets(Uuid::from_u128(number.into()).as_bytes()).unwrap()
}

fn entry(number: u32) -> Entry {
    Entry {
        id: object(number),
        dn: String::new(),
        name: Some(format!("Person {number}")),
        login: Some(format!("p{number}")),
        upn: None,
        sid: None,
        groups: BTreeSet::new(),
        standing: Standing::Active,
        locked_out: false,
        privileged: false,
    }
}

fn entries(numbers: std::ops::Range<u32>) -> Vec<Entry> {
    numbers.map(entry).collect()
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

fn corp() -> SourceName {
    SourceName::try_from("corp".to_owned()).unwrap()
}

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
}

/// A clock that can be put on.
#[derive(Default)]
struct Ahead(AtomicUsize);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().millis() + self.0.load(Ordering::Relaxed) as u64)
    }
}

/// A box that follows a script, and whose loop only turns when it is asked to after its first cycle.
async fn followed(script: &Script, interval: Duration) -> (Following, Services) {
    followed_by(script, interval, Arc::new(SystemClock)).await
}

async fn followed_by(script: &Script, interval: Duration, clock: Arc<dyn Clock>) -> (Following, Services) {
    let store = Arc::new(MemoryStore::new());
    let services = Services::open(store, Policy::default(), clock).unwrap();
    let scripted = script.clone();
    let make = move |password: Option<Zeroizing<String>>| -> Result<Box<dyn Source>, DirectoryError> {
        scripted.made.fetch_add(1, Ordering::Relaxed);
        scripted.passwords.lock().unwrap().push(password.map(|text| text.to_string()));
        Ok(Box::new(scripted.clone()))
    };
    let watch = Watch {
        name: corp(),
        kind: "script",
        mapping: Mapping::Principal { realm: None },
        password_file: false,
        rules: Rules::default(),
        interval,
        patience: Duration::from_millis(200),
        stale_after: Duration::from_secs(86_400),
        make: Arc::new(make),
    };
    let opened = services.clone();
    let following = Following::start(vec![watch], async move { Some(opened) });
    // Whoever asks comes after the first cycle.
    while following.services().is_err() || script.asked().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    (following, services)
}

const RARELY: Duration = Duration::from_secs(3600);

/// Has it read, once the first cycle is over.
async fn sync(following: &Following) -> Result<Outcome, SyncError> {
    following.sync(&corp(), Ask::default()).await
}

fn people(services: &Services) -> Vec<(ObjectId, State)> {
    let people = services.directory_people(&corp());
    let mut people: Vec<_> = people.into_iter().map(|(_, link)| (link.object, link.state)).collect();
    people.sort();
    people
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_read_at_once_and_again_from_where_it_was() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..3), 1)));
    script.add(Scene::Gives(reading(false, entries(3..4), 2)));
    let (following, services) = followed(&script, RARELY).await;
    sync(&following).await.unwrap();
    assert_eq!(people(&services).len(), 4);
    sync(&following).await.unwrap();
    let asked: Vec<_> = script.asked().into_iter().map(|cursor| cursor.map(|cursor| cursor.0)).collect();
    assert_eq!(asked, [None, Some(json!(1)), Some(json!(2))]);
    assert_eq!(script.made.load(Ordering::Relaxed), 1, "what it remembers is kept");
    following.end().await;
    assert_eq!(sync(&following).await, Err(SyncError::NotNow));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_round_by_itself() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..1), 1)));
    let (following, _) = followed(&script, Duration::from_millis(5)).await;
    while script.asked().len() < 5 {
        sleep(Duration::from_millis(5)).await;
    }
    following.end().await;
    let asked = script.asked().len();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(script.asked().len(), asked, "and ends with the daemon");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_stalls_or_lies_changes_nothing_and_is_read_again_from_where_it_was() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..20), 1)));
    let (following, services) = followed(&script, RARELY).await;
    sync(&following).await.unwrap();
    let before = people(&services);
    let partial = DirectoryError::Partial("the connection ended after 10 entries".to_owned());
    script.add(Scene::Fails(partial.clone()));
    assert_eq!(sync(&following).await, Err(partial.into()));
    script.add(Scene::Stalls);
    assert_eq!(sync(&following).await, Err(DirectoryError::Stalled(0).into()));
    // It says that nobody is there, and then that few are.
    for some in [0..0, 0..10] {
        script.add(Scene::Gives(reading(true, entries(some), 7)));
        let outcome = sync(&following).await.unwrap();
        assert!(!outcome.done && outcome.plan.held.is_some());
    }
    assert_eq!(people(&services), before);
    let status = services.directories().remove(0);
    assert!(status.held.is_some() && status.error.is_none(), "{status:?}");
    sync(&following).await.unwrap();
    assert_eq!(script.asked().last().unwrap().as_ref().unwrap().0, json!(1));
    assert_eq!(services.directories()[0].held, None, "what it says now is all right");
    assert_eq!(script.made.load(Ordering::Relaxed), 3, "after a failure it is made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_done_and_a_confirmation_does_what_waits() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..20), 1)));
    let (following, services) = followed(&script, RARELY).await;
    sync(&following).await.unwrap();
    let poisoned = || Scene::Gives(reading(true, entries(0..10), 2));
    script.add(poisoned());
    let dry = following.sync(&corp(), Ask { dry_run: true, confirmed: None }).await.unwrap();
    assert!(!dry.done && dry.plan.acts.len() == 10 && services.directories()[0].held.is_none());
    let plan = dry.plan.held.unwrap();
    script.add(poisoned());
    let confirmed = Some(Confirmed { by: boss(), plan: plan.clone() });
    let done = following.sync(&corp(), Ask { dry_run: false, confirmed: confirmed.clone() }).await.unwrap();
    assert!(done.done);
    assert_eq!(people(&services).iter().filter(|(_, state)| *state == State::Gone).count(), 10);
    let again = following.sync(&corp(), Ask { dry_run: false, confirmed }).await;
    assert_eq!(again, Err(FollowError::NotWaiting.into()), "it is good once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_sweep_finds_who_went_and_who_came_without_being_told() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..10), 1)));
    let clock = Arc::new(Ahead::default());
    let (following, services) = followed_by(&script, RARELY, Arc::clone(&clock) as Arc<dyn Clock>).await;
    sync(&following).await.unwrap();
    let unusable = Entry { dn: "unusable".to_owned(), ..entry(50) };
    *script.there.lock().unwrap() = entries(2..12).into_iter().chain([unusable]).collect();
    sync(&following).await.unwrap();
    assert_eq!(people(&services).len(), 10, "nobody told of them, and no day has gone");
    clock.0.store(SWEEP as usize, Ordering::Relaxed);
    sync(&following).await.unwrap();
    let gone: Vec<_> = people(&services).into_iter().filter(|(_, state)| *state == State::Gone).collect();
    assert_eq!(gone, [(object(0), State::Gone), (object(1), State::Gone)]);
    assert_eq!(people(&services).len(), 12);
    let status = services.directories().remove(0);
    assert!(status.swept.is_some() && status.error.is_none(), "{status:?}");
    assert_eq!(status.unusable[0].0, Some(object(50)), "who cannot be taken ends no sweep");
    // Not before a day has gone.
    *script.there.lock().unwrap() = entries(2..11);
    sync(&following).await.unwrap();
    assert_eq!(people(&services).iter().filter(|(_, state)| *state == State::Gone).count(), 2);
    script.add(Scene::Gives(reading(false, entries(13..14), 3)));
    sync(&following).await.unwrap();
    assert_eq!(services.directories()[0].unusable.len(), 1, "an increment without him says nothing of him");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_misses_many_waits_once_and_is_done_when_it_is_confirmed() {
    let script = Script::default();
    script.add(Scene::Gives(reading(false, entries(0..30), 1)));
    *script.there.lock().unwrap() = entries(0..30);
    let clock = Arc::new(Ahead::default());
    let (following, services) = followed_by(&script, RARELY, Arc::clone(&clock) as Arc<dyn Clock>).await;
    sync(&following).await.unwrap();
    // Nobody told of twenty who went, and a day has gone.
    *script.there.lock().unwrap() = entries(0..10);
    clock.0.store(SWEEP as usize, Ordering::Relaxed);
    let mut since = BTreeSet::new();
    for _ in 0..3 {
        let outcome = sync(&following).await.unwrap();
        assert!(!outcome.done && outcome.plan.harm.gone == 20);
        since.insert(services.directories().remove(0).held.unwrap().since.millis());
    }
    assert_eq!(since.len(), 1, "it waits since it was first found");
    let held = services.directories().remove(0).held.unwrap();
    let confirmed = Some(Confirmed { by: boss(), plan: held.confirmation });
    assert!(following.sync(&corp(), Ask { dry_run: false, confirmed }).await.unwrap().done);
    let status = services.directories().remove(0);
    assert_eq!((status.people[&State::Gone], status.people[&State::Active]), (20, 10));
    assert!(status.held.is_none() && status.swept.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_and_a_test_are_made_beside_the_loop_and_change_nothing() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..3), 1)));
    let (following, services) = followed(&script, RARELY).await;
    sync(&following).await.unwrap();
    *script.there.lock().unwrap() = entries(1..4);
    let plan = following.diff(&corp()).await.unwrap();
    assert_eq!((plan.acts.len(), plan.harm.gone), (2, 1));
    assert_eq!(people(&services).len(), 3);
    assert_eq!(following.test(&corp()).await.unwrap().method, "script");
    let other = SourceName::try_from("other".to_owned()).unwrap();
    assert_eq!(following.test(&other).await, Err(SyncError::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_is_used_at_once() {
    let script = Script::default();
    script.add(Scene::Fails(DirectoryError::Credentials));
    script.add(Scene::Fails(DirectoryError::Credentials));
    let (following, services) = followed(&script, RARELY).await;
    assert_eq!(sync(&following).await, Err(DirectoryError::Credentials.into()));
    let password = Zeroizing::new("secret".to_owned());
    services.set_directory_password(&boss(), &corp(), &password).unwrap();
    following.renew(Some(&corp()));
    sync(&following).await.unwrap();
    let passwords = script.passwords.lock().unwrap().clone();
    assert_eq!((passwords[0].clone(), passwords.last().unwrap().as_deref()), (None, Some("secret")));
    assert_eq!(services.directories()[0].error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_failed_is_told_of_until_a_later_one_passes() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..3), 1)));
    let clock = Arc::new(Ahead::default());
    let (following, services) = followed_by(&script, RARELY, Arc::clone(&clock) as Arc<dyn Clock>).await;
    sync(&following).await.unwrap();
    *script.there.lock().unwrap() = entries(1..3);
    clock.0.store(SWEEP as usize, Ordering::Relaxed);
    script.fails.lock().unwrap().push_back(DirectoryError::Stalled(1));
    for _ in 0..2 {
        sync(&following).await.unwrap();
        let error = services.directories().remove(0).error;
        assert!(error.is_some(), "who is read all the same does not make up for it");
        assert_eq!(people(&services).iter().filter(|(_, state)| *state == State::Gone).count(), 0);
    }
    while services.directories().remove(0).error.is_some() {
        sleep(Duration::from_millis(20)).await;
        sync(&following).await.unwrap();
    }
    assert_eq!(people(&services).iter().filter(|(_, state)| *state == State::Gone).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_refused_is_not_tried_again_for_everybody_who_wants_a_certificate() {
    let script = Script::default();
    script.add(Scene::Gives(reading(true, entries(0..3), 1)));
    *script.there.lock().unwrap() = entries(0..3);
    let (following, _services) = followed(&script, RARELY).await;
    sync(&following).await.unwrap();
    let (corp, made) = (corp(), || script.made.load(Ordering::Relaxed));
    let ask = || following.person(&corp, object(1));
    assert!(ask().await.unwrap().1.is_some());
    script.fails.lock().unwrap().push_back(DirectoryError::Credentials);
    let refused = SyncError::from(DirectoryError::Credentials);
    assert_eq!(ask().await, Err(refused.clone()));
    let tried = made();
    for _ in 0..5 {
        assert_eq!(ask().await, Err(refused.clone()));
    }
    assert_eq!(made(), tried, "nobody binds");
    // The loop was let in again.
    sync(&following).await.unwrap();
    assert!(ask().await.is_ok());
    // And was refused itself.
    script.add(Scene::Fails(DirectoryError::Credentials));
    assert_eq!(sync(&following).await, Err(refused.clone()));
    assert_eq!(ask().await, Err(refused));
    following.renew(Some(&corp));
    assert!(ask().await.is_ok(), "with another password it is tried");
}

#[test]
fn whoever_fails_waits_longer_each_time_and_never_all_at_the_same_moment() {
    for (failures, most) in [(0, 1), (1, 2), (5, 32), (9, 300), (4_000_000_000, 300)] {
        let most = Duration::from_secs(most);
        assert_eq!((pause(failures, 0), pause(failures, 255)), (most / 2, most));
        let some = pause(failures, 100);
        assert!(most / 2 < some && some < most);
    }
    // Five wrong passwords within half an hour lock an account in many directories.
    let wrong = SyncError::from(DirectoryError::Credentials);
    assert!(wait_after(&wrong, 0, 0) >= Duration::from_secs(1800));
    let down = SyncError::from(DirectoryError::Unreachable("dc1".to_owned()));
    assert_eq!(wait_after(&down, 0, 255), FIRST_WAIT);
}
