//! The daemon with a serial reader: an emulated module behind a pseudo-terminal, plugged in, pulled and
//! used while the daemon runs.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Answer, Client, Daemon, Module, administrator, adopt, fixture, subject, verification};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: u32 = 0x1357_9BDF;

/// A daemon that was told of a port, at which nothing is yet.
fn daemon() -> (Daemon, tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("reader");
    let sensors =
        format!("[sensors]\nusb = false\n[[sensors.serial]]\nport = {port:?}\npassword = \"{PASSWORD:08x}\"");
    (Daemon::with(&sensors), folder, port)
}

/// Asks for the only reader until it is as it should be.
async fn reader(station: &Client, fits: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let listed = station.get("/v1/sensors").await;
        assert_eq!(listed.status, 200, "{:?}", listed.body);
        let reader = &listed.body["sensors"][0];
        if fits(reader) {
            return reader.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{reader}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn present(reader: &Value) -> bool {
    reader["present"] == true
}

/// Waits for the module and has it adopted; gives its name.
async fn adopted(daemon: &Daemon) -> String {
    let keeper = administrator(daemon).await;
    let sensor = reader(&keeper, present).await["sensor"].as_str().unwrap().to_owned();
    let answer = adopt(&keeper, &sensor).await;
    assert_eq!((answer.status, &answer.body["state"]), (200, &json!("adopted")), "{:?}", answer.body);
    sensor
}

fn busy(reader: &Value) -> bool {
    reader["busy"] == true
}

/// Asks in a task of its own, and comes back when the reader is busy with it.
async fn asking(client: &Client, path: String, body: Value) -> tokio::task::JoinHandle<Answer> {
    let asker = client.clone();
    let asked = tokio::spawn(async move { asker.post(&path, &body).await });
    reader(client, busy).await;
    asked
}

/// The sample of a reader that waits as long as tests do.
fn at(sensor: &str) -> Value {
    json!({ "sensor": sensor, "timeout_ms": 60_000 })
}

/// Lays one print after the other on the module, as frames are taken of them.
async fn lay(station: &Client, module: &Module, prints: &[&str]) {
    let before = reader(station, busy).await["frames"].as_u64().unwrap();
    for (taken, print) in (before + 1..).zip(prints) {
        // Bare for long enough to be seen so.
        tokio::time::sleep(Duration::from_millis(500)).await;
        module.place(&fixture(print));
        reader(station, |reader| reader["frames"] == taken).await;
        module.lift();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fingers_at_a_reader_plugged_in_after_the_start_are_enrolled_and_verified() {
    let (daemon, _folder, port) = daemon();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let absent = reader(&station, |reader| reader["last_error"].is_string()).await;
    assert_eq!(absent["present"], false, "{absent}");
    let sensor = absent["sensor"].as_str().unwrap().to_owned();
    let refused = station.post(&format!("/v1/sensors/{sensor}/capture"), &json!({})).await;
    assert_eq!((refused.status, refused.problem()), (503, "sensor-absent"));

    let module = Module::plug_in(port, PASSWORD);
    adopted(&daemon).await;
    let there = reader(&station, present).await;
    assert_eq!((&there["sensor"], &there["width"]), (&json!(sensor), &json!(256)), "{there}");
    assert!(there.get("last_error").is_none(), "{there}");

    let one = subject(&officer, "one").await;
    let body = json!({ "position": "right-index", "samples": [at(&sensor), at(&sensor), at(&sensor)] });
    let enrolling = asking(&officer, format!("/v1/subjects/{one}/fingers"), body).await;
    lay(&station, &module, &["125_1", "125_2", "125_3"]).await;
    let enrolled = enrolling.await.unwrap();
    assert_eq!(enrolled.status, 201, "{:?}", enrolled.body);

    for (print, decision) in [("125_4", "accept"), ("127_1", "refuse")] {
        let asked = asking(&station, "/v1/verify".to_owned(), verification(&one, at(&sensor))).await;
        lay(&station, &module, &[print]).await;
        let answer = asked.await.unwrap();
        assert_eq!((answer.status, &answer.body["decision"]), (200, &json!(decision)), "{:?}", answer.body);
        reader(&station, |reader| !busy(reader)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_pulled_during_a_capture_is_a_problem_and_works_when_it_is_back() {
    let (daemon, _folder, port) = daemon();
    let station = Client::named(&daemon, "station");
    let module = Module::plug_in(port.clone(), PASSWORD);
    let sensor = adopted(&daemon).await;
    let path = format!("/v1/sensors/{sensor}/capture");
    let capturing = asking(&station, path.clone(), json!({ "timeout_ms": 60_000 })).await;
    drop(module);
    let removed = capturing.await.unwrap();
    assert_eq!((removed.status, removed.problem()), (503, "sensor-removed"));
    assert!(removed.detail().contains("the reader was removed"), "{:?}", removed.body);
    let gone = reader(&station, |reader| !present(reader)).await;
    assert_eq!(gone["sensor"], sensor);

    let module = Module::plug_in(port, PASSWORD);
    reader(&station, present).await;
    let capturing = asking(&station, path, json!({ "timeout_ms": 60_000 })).await;
    lay(&station, &module, &["125_1"]).await;
    let taken = capturing.await.unwrap();
    assert_eq!(taken.status, 200, "{:?}", taken.body);
    assert_eq!((&taken.body["width"], &taken.body["dpi"]), (&json!(256), &json!(500)));
    assert!(taken.body["quality"].as_u64().unwrap() > 20, "{}", taken.body["quality"]);
    // What was taken is a sample as it is.
    let sample = json!({ "format": "png", "data": taken.body["data"], "dpi": 500 });
    let answer = station.post("/v1/identify", &crate::support::identification(sample)).await;
    assert_eq!((answer.status, &answer.body["decision"]), (200, &json!("refuse")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_told_to_stop_does_not_wait_for_a_finger() {
    let (mut daemon, _folder, port) = daemon();
    let station = Client::named(&daemon, "station");
    let _module = Module::plug_in(port, PASSWORD);
    let sensor = adopted(&daemon).await;
    let path = format!("/v1/sensors/{sensor}/capture");
    let capturing = asking(&station, path, json!({ "timeout_ms": 120_000 })).await;
    let began = Instant::now();
    daemon.terminate();
    let told = capturing.await.unwrap();
    assert_eq!((told.status, told.problem()), (503, "stopping"));
    assert_eq!(daemon.wait().code(), Some(0));
    // The drain alone would be five seconds.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_tests_the_reader_with_a_finger() {
    let (daemon, _folder, port) = daemon();
    let officer = Client::named(&daemon, "officer");
    let module = Module::plug_in(port, PASSWORD);
    let sensor = adopted(&daemon).await;
    let path = format!("/v1/sensors/{sensor}/test");
    let results = |answer: &Answer| -> Vec<String> {
        let steps = answer.body["steps"].as_array().unwrap().iter();
        steps.map(|step| format!("{} {}", step["step"], step["result"]).replace('"', "")).collect()
    };
    let quick = officer.post(&path, &json!({})).await;
    assert_eq!((quick.status, &quick.body["passed"]), (200, &json!(true)), "{:?}", quick.body);
    assert_eq!(
        results(&quick),
        [
            "answers passed",
            "lights skipped",
            "bare passed",
            "finger skipped",
            "frame skipped",
            "lift skipped"
        ]
    );
    let testing = asking(&officer, path, json!({ "timeout_ms": 60_000 })).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    module.place(&fixture("125_1"));
    // It has the frame when it waits for the lift; a finger that is lifted sooner is a failed frame.
    tokio::time::sleep(Duration::from_secs(2)).await;
    module.lift();
    let whole = testing.await.unwrap();
    assert_eq!(results(&whole)[2..], ["bare passed", "finger passed", "frame passed", "lift passed"]);
}
