//! A person at a reader is told what to do while the request waits: server-sent events, over HTTP/1.1 and HTTP/2.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::readers::{Box2, PATIENCE, at, capture, touch};
use crate::support::{Client, enrolled, subject, verification};

fn request(client: &Client, path: &str, body: &Value) -> Request<Full<Bytes>> {
    let request = client
        .request(&Method::POST, path)
        .header("content-type", "application/json")
        .header("accept", "application/problem+json, text/event-stream;q=0.9");
    request.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

/// Asks for events, and gives them when the answer has ended.
async fn follow(client: &Client, path: &str, body: &Value) -> Vec<(String, Value)> {
    let response = client.open().await.send_request(request(client, path, body)).await.unwrap();
    events(response).await
}

async fn events(response: Response<Incoming>) -> Vec<(String, Value)> {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text =
        tokio::time::timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let events = text.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':'));
    let parsed = events.map(|event| {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        (name.strip_prefix("event: ").unwrap().to_owned(), serde_json::from_str(data).unwrap())
    });
    parsed.collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_events_sees_what_the_person_is_to_do_and_then_the_answer() {
    let b = Box2::with_readers().await;
    let patient = json!({ "timeout_ms": 60_000 });
    let path = capture(&b.left);
    let (events, _) = tokio::join!(follow(&b.station, &path, &patient), touch(&b.left, "125_1"));
    assert_eq!(names(&events), ["place-finger", "hold", "lift", "quality", "result"]);
    assert_eq!(events[0].1, json!({ "sensor": "left", "impression": 1, "of": 1 }));
    assert_eq!(events[3].1["quality"], events[4].1["quality"]);
    // The same as without.
    let (plain, _) = tokio::join!(b.station.post(&path, &patient), touch(&b.left, "125_1"));
    assert_eq!(events[4].1, plain.body);

    let one = enrolled(&b.officer, "125").await;
    let asked = verification(&one, at(&b.left));
    let (events, _) = tokio::join!(follow(&b.station, "/v1/verify", &asked), touch(&b.left, "125_4"));
    assert_eq!(names(&events), ["place-finger", "hold", "lift", "quality", "result"]);
    assert_eq!((&events[4].1["decision"], &events[4].1["nonce"]), (&json!("accept"), &asked["nonce"]));
    // Repeated, it has its answer without another finger.
    let again = follow(&b.station, "/v1/verify", &asked).await;
    assert_eq!((names(&again), &again[0].1), (vec!["result"], &events[4].1));
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_tells_of_each_impression_over_http2_too() {
    let b = Box2::with_readers().await;
    let one = subject(&b.officer, "one").await;
    let path = format!("/v1/subjects/{one}/fingers");
    let body = json!({ "position": "right-index", "samples": [at(&b.left), at(&b.left), at(&b.left)] });
    let stream = b.officer.offering(&[b"h2"]).connect().await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut asked = request(&b.officer, &path, &body);
    let host = asked.headers_mut().remove("host").unwrap();
    *asked.uri_mut() = format!("https://{}{path}", host.to_str().unwrap()).parse().unwrap();
    let enrolling = async { events(sender.send_request(asked).await.unwrap()).await };
    let fingers = async {
        for print in ["125_1", "125_2", "125_3"] {
            touch(&b.left, print).await;
        }
    };
    let (events, ()) = tokio::join!(enrolling, fingers);
    let places: Vec<_> = events.iter().filter(|(name, _)| name == "place-finger").collect();
    assert_eq!(
        places.iter().map(|(_, data)| data["impression"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3)]
    );
    assert_eq!(places[2].1["of"], 3);
    let (last, answer) = events.last().unwrap();
    assert_eq!((last.as_str(), &answer["impressions"]), ("result", &json!(3)), "{events:?}");
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_before_anybody_was_asked_is_a_plain_problem_and_afterwards_the_last_event() {
    let b = Box2::with_readers().await;
    let soon = json!({ "timeout_ms": 300 });
    let response = b.station.open().await;
    let mut response = response;
    let unknown = request(&b.station, "/v1/sensors/usb-1/capture", &soon);
    let unknown = b.station.send(&mut response, unknown).await;
    assert_eq!((unknown.status, unknown.problem()), (404, "unknown-sensor"));
    let events = follow(&b.station, &capture(&b.left), &soon).await;
    assert_eq!(names(&events), ["place-finger", "problem"]);
    assert_eq!(events[1].1["type"], "urn:authenteon:problem:sensor-timeout");
    assert_eq!(events[1].1["status"], 408);
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_while_it_is_told_leaves_the_reader_to_the_next() {
    let b = Box2::with_readers().await;
    let mut sender = b.station.open().await;
    let patient = json!({ "timeout_ms": 120_000 });
    let path = capture(&b.left);
    let response = sender.send_request(request(&b.station, &path, &patient)).await.unwrap();
    assert_eq!(response.status(), 200);
    until("the reader waits for a finger", || b.left.is_waiting()).await;
    // Its connection goes with it.
    drop((sender, response));
    b.until(0, |reader| reader["busy"] == false).await;
    until("nobody waits for a finger", || !b.left.is_waiting()).await;
    let (taken, _) = tokio::join!(b.station.post(&path, &patient), touch(&b.left, "125_1"));
    assert_eq!(taken.status, 200, "{:?}", taken.body);
    b.stop().await;
}
