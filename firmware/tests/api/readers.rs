//! Readers that only a test has: the server in this process, with readers on stands. The one place in
//! here that reaches into the library, since no command line plugs such readers in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authenteon::{
    Services, clock::SystemClock, config::Limits, lock::Lock, policy::Policy, sensors::Sensors,
    server::Server, store::MemoryStore,
};
use authenteon_hal::{Dpi, decode::decode, discovery::Source, replay::Stand, sensor::Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::support::{
    Answer, Client, add_client, adopt, authenteond, enrolled, fixture, subject, verification,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A box with two readers.
pub(crate) struct Box2 {
    pub(crate) administrator: Client,
    pub(crate) officer: Client,
    pub(crate) station: Client,
    pub(crate) left: Stand,
    pub(crate) right: Stand,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _pki: TempDir,
}

impl Box2 {
    pub(crate) async fn start() -> Self {
        let pki = tempfile::tempdir().unwrap();
        let dir = pki.path().join("pki");
        assert!(authenteond(&["pki", "init", "--dir", dir.to_str().unwrap()]).status.success());
        for role in ["administrator", "officer", "station"] {
            add_client(&dir, role, role);
        }
        let [left, right] = ["left", "right"].map(|name| Stand::new(name.parse().unwrap()));
        let sources: Vec<Box<dyn Source>> = vec![Box::new(left.clone()), Box::new(right.clone())];
        let store = Arc::new(MemoryStore::new());
        let services = Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let lock = Lock::open(services);
        let server = Server::bind(any, dir.clone(), Limits::default(), lock.clone()).await.unwrap();
        let server = server.with_sensors(Sensors::start(sources, lock).unwrap());
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let [administrator, officer, station] = ["administrator", "officer", "station"].map(|name| {
            let own = [dir.join(format!("{name}.pem")), dir.join(format!("{name}.key"))];
            Client::with(address, &dir, Some((&own[0], &own[1])))
        });
        Self { administrator, officer, station, left, right, stop: Some(stop), serving, _pki: pki }
    }

    /// The same with both readers plugged in and adopted.
    pub(crate) async fn with_readers() -> Self {
        let started = Self::start().await;
        started.left.plug_in();
        started.right.plug_in();
        for (index, name) in ["left", "right"].iter().enumerate() {
            started.until(index, |reader| reader["sensor"] == *name && reader["present"] == true).await;
            assert_eq!(adopt(&started.administrator, name).await.status, 200);
        }
        started
    }

    pub(crate) async fn until(&self, index: usize, fits: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            let listed = self.station.get("/v1/sensors").await;
            if fits(&listed.body["sensors"][index]) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{:?}", listed.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.serving.await.unwrap();
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lays a print on a reader when it waits for one, and lifts it when the person is told what came of it.
pub(crate) async fn touch(stand: &Stand, print: &str) -> Signal {
    until("the reader waits for a finger", || stand.is_waiting()).await;
    stand.place(decode(&fixture(print), Dpi::STANDARD).unwrap());
    let told = || stand.signals().last().copied().filter(|s| !matches!(s, Signal::Ready | Signal::Busy));
    until("the person is told", || !stand.is_waiting() && told().is_some()).await;
    let shown = told().unwrap();
    stand.lift();
    shown
}

pub(crate) fn at(stand: &Stand) -> Value {
    json!({ "sensor": stand.id().as_str(), "timeout_ms": 60_000 })
}

pub(crate) fn capture(stand: &Stand) -> String {
    format!("/v1/sensors/{}/capture", stand.id())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_at_a_reader_is_decided_on_and_the_person_sees_it() {
    let b = Box2::with_readers().await;
    let one = enrolled(&b.officer, "125").await;
    for (print, decision, shown) in
        [("125_4", "accept", Signal::Accepted), ("127_1", "refuse", Signal::Refused)]
    {
        let asked = verification(&one, at(&b.left));
        let (answer, told) = tokio::join!(b.station.post("/v1/verify", &asked), touch(&b.left, print));
        assert_eq!((answer.status, &answer.body["decision"]), (200, &json!(decision)), "{:?}", answer.body);
        assert_eq!(told, shown);
    }
    // An impression that was presented before, at a reader too.
    let asked = verification(&one, at(&b.right));
    let (answer, told) = tokio::join!(b.station.post("/v1/verify", &asked), touch(&b.right, "125_4"));
    assert_eq!((&answer.body["reason"], told), (&json!("replay"), Signal::Refused));
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_its_answer_without_another_finger() {
    let b = Box2::with_readers().await;
    let one = enrolled(&b.officer, "125").await;
    let mut asked = verification(&one, at(&b.left));
    let (first, _) = tokio::join!(b.station.post("/v1/verify", &asked), touch(&b.left, "125_4"));
    assert_eq!(first.body["decision"], "accept");
    assert_eq!(b.station.post("/v1/verify", &asked).await.body, first.body, "nobody lays a finger down");
    asked["sample"] = at(&b.right);
    let reused = b.station.post("/v1/verify", &asked).await;
    assert_eq!((reused.status, reused.problem()), (409, "request-id-reused"));
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_is_enrolled_at_a_reader_and_never_for_nothing() {
    let b = Box2::with_readers().await;
    let one = subject(&b.officer, "one").await;
    let path = format!("/v1/subjects/{one}/fingers");
    let body = |position: &str, samples: Value| json!({ "position": position, "samples": samples });
    let three = body("right-index", json!([at(&b.left), at(&b.left), at(&b.left)]));
    let fingers = async {
        for (print, told) in [("125_1", Signal::Retry), ("125_2", Signal::Retry), ("125_3", Signal::Accepted)]
        {
            assert_eq!(touch(&b.left, print).await, told, "{print}");
        }
    };
    let (enrolled, ()) = tokio::join!(b.officer.post(&path, &three), fingers);
    assert_eq!((enrolled.status, &enrolled.body["impressions"]), (201, &json!(3)), "{:?}", enrolled.body);
    // What cannot succeed is said before anybody lays a finger down.
    let again = b.officer.post(&path, &three).await;
    assert_eq!((again.status, again.problem()), (409, "already-enrolled"));
    let few = b.officer.post(&path, &body("left-thumb", json!([at(&b.left)]))).await;
    assert_eq!((few.status, few.problem()), (422, "sample-count"));
    let samples = json!([at(&b.left), crate::support::sample(&fixture("125_2")), at(&b.left)]);
    let mixed = body("left-thumb", samples);
    let mixed = b.officer.post(&path, &mixed).await;
    assert_eq!((mixed.status, mixed.problem()), (400, "bad-request"));
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_busy_silent_or_unknown_is_a_problem_of_its_own() {
    let b = Box2::with_readers().await;
    let patient = json!({ "timeout_ms": 60_000 });
    let (left, right) = (capture(&b.left), capture(&b.right));
    let busy = async {
        until("the reader waits for a finger", || b.left.is_waiting()).await;
        b.station.post(&capture(&b.left), &json!({})).await
    };
    let waiting = async {
        let right: (Answer, Signal) =
            tokio::join!(b.officer.post(&right, &patient), touch(&b.right, "126_1"));
        assert_eq!((right.0.status, right.1), (200, Signal::Accepted), "the other reader is free");
        let busy = busy.await;
        assert_eq!((busy.status, busy.problem()), (409, "sensor-busy"));
        touch(&b.left, "125_1").await
    };
    let (taken, told) = tokio::join!(b.station.post(&left, &patient), waiting);
    assert_eq!((taken.status, told), (200, Signal::Accepted), "{:?}", taken.body);
    let began = Instant::now();
    let late = b.station.post(&capture(&b.left), &json!({ "timeout_ms": 100 })).await;
    assert_eq!((late.status, late.problem()), (408, "sensor-timeout"));
    assert!(began.elapsed() < Duration::from_secs(10));
    let unknown = b.station.post("/v1/sensors/usb-1/capture", &json!({})).await;
    assert_eq!((unknown.status, unknown.problem()), (404, "unknown-sensor"));
    for body in [json!({ "timeout_ms": 0 }), json!({ "timeout": 5 }), json!({ "timeout_ms": 200_000 })] {
        let bad = b.station.post(&capture(&b.left), &body).await;
        assert_eq!((bad.status, bad.problem()), (400, "bad-request"), "{body}");
    }
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_the_reader_to_the_next() {
    let b = Box2::with_readers().await;
    let (asker, path) = (b.station.clone(), capture(&b.left));
    let asked = tokio::spawn(async move { asker.post(&path, &json!({ "timeout_ms": 120_000 })).await });
    until("the reader waits for a finger", || b.left.is_waiting()).await;
    // Its connection goes with it.
    asked.abort();
    b.until(0, |reader| reader["busy"] == false).await;
    until("nobody waits for a finger", || !b.left.is_waiting()).await;
    let patient = json!({ "timeout_ms": 60_000 });
    let left = capture(&b.left);
    let (taken, _) = tokio::join!(b.station.post(&left, &patient), touch(&b.left, "125_1"));
    assert_eq!(taken.status, 200, "{:?}", taken.body);
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_plugged_in_later_is_listed_and_one_that_is_pulled_is_absent() {
    let b = Box2::start().await;
    assert_eq!(b.station.get("/v1/sensors").await.body, json!({ "sensors": [] }));
    b.right.plug_in();
    b.until(0, |reader| reader["sensor"] == "right" && reader["present"] == true).await;
    assert_eq!(adopt(&b.administrator, "right").await.status, 200);
    let pull = async {
        until("the reader waits for a finger", || b.right.is_waiting()).await;
        b.right.unplug();
    };
    let asked = verification("0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11", at(&b.right));
    let (removed, ()) = tokio::join!(b.station.post("/v1/verify", &asked), pull);
    assert_eq!((removed.status, removed.problem()), (503, "sensor-removed"));
    b.until(0, |reader| reader["present"] == false && reader["last_error"].is_string()).await;
    b.right.plug_in();
    b.until(0, |reader| reader["present"] == true).await;
    let (refused, told) = tokio::join!(b.station.post("/v1/verify", &asked), touch(&b.right, "125_1"));
    assert_eq!((&refused.body["decision"], told), (&json!("refuse"), Signal::Refused));
    b.stop().await;
}
