//! What the tests share: a daemon in a folder of its own, clients of it, and prints to present.

mod client;
mod daemon;
mod exposition;
mod module;
mod prints;
mod receiver;

pub(crate) use client::{Answer, Client, ask_http3};
pub(crate) use daemon::{Daemon, add_client, authenteond, configure, launch, text};
pub(crate) use exposition::{Exposition, labels};
pub(crate) use module::Module;
pub(crate) use prints::{blank, encoded, fixture, png_announcing, sample};
pub(crate) use receiver::{Manner, Receiver, number};

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request_id or nonce that no other request has.
pub(crate) fn fresh() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The body of a verification.
pub(crate) fn verification(subject: &str, sample: Value) -> Value {
    json!({ "request_id": fresh(), "nonce": fresh(), "subject_id": subject, "sample": sample })
}

/// The body of an identification.
pub(crate) fn identification(sample: Value) -> Value {
    json!({ "request_id": fresh(), "nonce": fresh(), "sample": sample })
}

/// Registers a client while the daemon runs, and waits until it knows of it.
pub(crate) async fn known(daemon: &Daemon, name: &str, role: &str) -> Client {
    daemon.add_client(name, role);
    daemon.hang_up();
    let client = Client::named(daemon, name);
    let began = Instant::now();
    // The registry is read again in the daemon's own time.
    while client.get("/v1/health/ready").await.status == 401 {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client
}

/// Makes a subject and gives its identifier.
pub(crate) async fn subject(officer: &Client, name: &str) -> String {
    let made = officer.post("/v1/subjects", &json!({ "name": name })).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    made.body["subject_id"].as_str().unwrap().to_owned()
}

/// Makes a subject with a finger of the fixtures, from its first three impressions.
pub(crate) async fn enrolled(officer: &Client, finger: &str) -> String {
    let id = subject(officer, finger).await;
    let samples: Vec<Value> = (1..=3).map(|i| sample(&fixture(&format!("{finger}_{i}")))).collect();
    let body = json!({ "position": "right-index", "samples": samples });
    let answer = officer.post(&format!("/v1/subjects/{id}/fingers"), &body).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    id
}

/// Has an administrator adopt a reader as it is now.
pub(crate) async fn adopt(administrator: &Client, sensor: &str) -> Answer {
    let listed = administrator.get("/v1/sensors").await;
    let readers = listed.body["sensors"].as_array().unwrap();
    let seen = readers.iter().find(|reader| reader["sensor"] == sensor).unwrap();
    let mut body = json!({ "model": seen["model"], "port": seen["port"] });
    if let Some(serial) = seen.get("serial") {
        body["serial"] = serial.clone();
    }
    administrator.post(&format!("/v1/sensors/{sensor}/adopt"), &body).await
}

/// Registers an administrator with a daemon that runs, and waits until it knows him.
pub(crate) async fn administrator(daemon: &Daemon) -> Client {
    daemon.add_client("administrator", "administrator");
    daemon.hang_up();
    let client = Client::named(daemon, "administrator");
    let began = Instant::now();
    while client.get("/v1/health/ready").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30), "the daemon does not know its administrator");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client
}
