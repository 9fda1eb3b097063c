//! Readers before and after an administrator adopted them: what is not adopted is listed, and not used.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::readers::{Box2, PATIENCE, at, capture, touch};
use crate::support::{Answer, adopt, enrolled, verification};

/// A box with its left reader plugged in.
async fn with_left() -> Box2 {
    let b = Box2::start().await;
    b.left.plug_in();
    b.until(0, |reader| reader["present"] == true).await;
    b
}

async fn refused(b: &Box2) -> Answer {
    b.station.post(&capture(&b.left), &json!({})).await
}

async fn state(b: &Box2, index: usize) -> Value {
    b.station.get("/v1/sensors").await.body["sensors"][index]["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_nobody_adopted_is_listed_and_never_used() {
    let b = with_left().await;
    let one = enrolled(&b.officer, "125").await;
    assert_eq!(state(&b, 0).await, "unknown");
    let asked = verification(&one, at(&b.left));
    let identify = json!({ "request_id": "r", "nonce": "n".repeat(16), "sample": at(&b.left) });
    let enrol = json!({ "position": "left-thumb", "samples": [at(&b.left), at(&b.left), at(&b.left)] });
    for answer in [
        refused(&b).await,
        b.station.post("/v1/verify", &asked).await,
        b.station.post("/v1/identify", &identify).await,
        b.officer.post(&format!("/v1/subjects/{one}/fingers"), &enrol).await,
        b.officer.post("/v1/sensors/left/test", &json!({})).await,
    ] {
        assert_eq!((answer.status, answer.problem()), (409, "sensor-not-adopted"), "{:?}", answer.body);
        assert!(answer.detail().contains("no administrator has adopted this reader"), "{:?}", answer.body);
    }
    assert!(b.left.signals().is_empty(), "nobody at it was asked for anything");
    for (client, status) in [(&b.officer, 403), (&b.station, 403)] {
        assert_eq!(adopt(client, "left").await.status, status);
    }
    let adopted = adopt(&b.administrator, "left").await;
    assert_eq!((adopted.status, &adopted.body["state"]), (200, &json!("adopted")), "{:?}", adopted.body);
    assert_eq!(adopted.body["adopted"]["port"], "left");
    let (answer, _) = tokio::join!(b.station.post("/v1/verify", &asked), touch(&b.left, "125_4"));
    assert_eq!((answer.status, &answer.body["decision"]), (200, &json!("accept")), "{:?}", answer.body);
    // Released, it is as it was.
    let released = b.administrator.ask(&Method::DELETE, "/v1/sensors/left/adopt", None).await;
    assert_eq!(released.status, 204, "{:?}", released.body);
    assert_eq!(refused(&b).await.problem(), "sensor-not-adopted");
    let again = b.administrator.ask(&Method::DELETE, "/v1/sensors/left/adopt", None).await;
    assert_eq!((again.status, again.problem()), (404, "sensor-not-adopted"));
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_in_the_place_of_an_adopted_reader_is_not_used_until_it_is_adopted_itself() {
    let b = Box2::with_readers().await;
    // Another serial number at the port that was adopted, and the one that was adopted at another port.
    for (port, serial) in [("left", Some("another")), ("elsewhere", Some("left")), ("left", None)] {
        b.left.unplug();
        b.until(0, |reader| reader["present"] == false).await;
        b.left.plug_in_at(port, serial);
        b.until(0, |reader| reader["present"] == true && reader["port"] == port).await;
        assert_eq!(state(&b, 0).await, "moved");
        let answer = refused(&b).await;
        assert_eq!((answer.status, answer.problem()), (409, "sensor-moved"));
        assert!(answer.detail().contains("adopts it anew"), "{:?}", answer.body);
    }
    // What it is and where it is comes with the request: this is how it was, not how it is.
    let stale = json!({ "model": "Authenteon stand", "serial": "left", "port": "left" });
    let stale = b.administrator.post("/v1/sensors/left/adopt", &stale).await;
    assert_eq!((stale.status, stale.problem()), (409, "sensor-changed"));
    assert_eq!(adopt(&b.administrator, "left").await.body["state"], "adopted");
    let patient = json!({ "timeout_ms": 60_000 });
    let path = capture(&b.left);
    let (taken, _) = tokio::join!(b.station.post(&path, &patient), touch(&b.left, "125_1"));
    assert_eq!(taken.status, 200, "{:?}", taken.body);
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_is_not_taken_from_a_reader_that_was_released_or_exchanged_meanwhile() {
    let b = Box2::with_readers().await;
    let patient = json!({ "timeout_ms": 60_000 });
    let path = capture(&b.left);
    let release = async {
        let began = Instant::now();
        while !b.left.is_waiting() {
            assert!(began.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        b.administrator.ask(&Method::DELETE, "/v1/sensors/left/adopt", None).await;
        touch(&b.left, "125_1").await;
    };
    let (answer, ()) = tokio::join!(b.station.post(&path, &patient), release);
    assert_eq!((answer.status, answer.problem()), (409, "sensor-not-adopted"), "{:?}", answer.body);
    assert_eq!(adopt(&b.administrator, "left").await.status, 200);
    // An enrolment takes several fingers on one reader; another reader in its place gives none of them.
    let one = crate::support::subject(&b.officer, "one").await;
    let body = json!({ "position": "right-index", "samples": [at(&b.left), at(&b.left), at(&b.left)] });
    let exchange = async {
        touch(&b.left, "125_1").await;
        b.left.unplug();
        b.left.plug_in_at("left", Some("another"));
    };
    let path = format!("/v1/subjects/{one}/fingers");
    let (answer, ()) = tokio::join!(b.officer.post(&path, &body), exchange);
    assert_eq!((answer.status, answer.problem()), (503, "sensor-removed"), "{:?}", answer.body);
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_reader_that_is_away_stays_in_the_list() {
    let b = Box2::with_readers().await;
    b.left.unplug();
    b.until(0, |reader| reader["present"] == false).await;
    let listed = b.station.get("/v1/sensors").await.body;
    assert_eq!(listed["sensors"][0]["state"], "adopted", "{listed}");
    assert_eq!(listed["sensors"][0]["adopted"]["serial"], "left", "{listed}");
    let adopt = json!({ "model": "Authenteon stand", "serial": "left", "port": "left" });
    let absent = b.administrator.post("/v1/sensors/left/adopt", &adopt).await;
    assert_eq!((absent.status, absent.problem()), (503, "sensor-absent"));
    let resumed = b.administrator.post("/v1/sensors/right/resume", &json!({})).await;
    assert_eq!((resumed.status, resumed.problem()), (409, "sensor-not-suspended"));
    b.stop().await;
}
