//! Bodies that are none: too large, too slow, of another type, not JSON, or JSON of another shape.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, Daemon, fixture, identification, known, sample, verification};

/// Bodies that a daemon of 16 MiB a body may hold at a time, with room for the allocator, in KiB.
const MEMORY: u64 = 400 << 10;

/// Sends a request head and then `megabytes` of body until the daemon has had enough; gives what it said.
async fn pour(client: Client, head: String, chunked: bool, megabytes: usize) -> String {
    let (mut read, mut write) = tokio::io::split(client.connect().await.unwrap());
    write.write_all(head.as_bytes()).await.unwrap();
    let pouring = tokio::spawn(async move {
        let chunk = vec![b' '; 1 << 20];
        for _ in 0..megabytes {
            let size = format!("{:x}\r\n", chunk.len());
            if chunked && write.write_all(size.as_bytes()).await.is_err() {
                return;
            }
            if write.write_all(&chunk).await.is_err() {
                return;
            }
            if chunked && write.write_all(b"\r\n").await.is_err() {
                return;
            }
        }
        if chunked {
            let _ = write.write_all(b"0\r\n\r\n").await;
        }
    });
    let mut answer = vec![0; 4096];
    // A reset after the answer is fine; before it, the answer is empty.
    let length = read.read(&mut answer).await.unwrap_or(0);
    pouring.abort();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_100_megabytes_is_refused_in_bounded_memory() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let head = |framing: &str| {
        format!("POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n")
    };
    let announced = pour(station.clone(), head("content-length: 104857600"), false, 100).await;
    assert!(announced.starts_with("HTTP/1.1 413 ") && announced.contains("body-too-large"), "{announced:?}");
    let unannounced: Vec<_> = (0..12)
        .map(|_| tokio::spawn(pour(station.clone(), head("transfer-encoding: chunked"), true, 100)))
        .collect();
    for answer in unannounced {
        let answer = answer.await.unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
    }
    match daemon.peak_memory() {
        Some(peak) => {
            println!("the daemon's peak: {peak} KiB");
            assert!(peak < MEMORY, "{peak} KiB");
        }
        None => println!("skipped: no /proc to read the memory from"),
    }
    assert_eq!(station.get("/v1/health/ready").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_fill_the_memory() {
    let daemon = Daemon::start();
    let stranger = Client::stranger(&daemon);
    let head = "POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    for _ in 0..4 {
        let answer = pour(stranger.clone(), head.to_owned(), true, 100).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 401 "), "{answer:?}");
    }
    if let Some(peak) = daemon.peak_memory() {
        // Of 400 MiB that were poured; a program that is not optimised takes more for itself.
        assert!(peak < 128 << 10, "{peak} KiB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_given_up() {
    let daemon = Daemon::with("[limits]\nrequest-seconds = 1");
    let mut stream = Client::named(&daemon, "station").connect().await.unwrap();
    let head = "POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("too-slow"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_send_half_a_body_keep_nobody_from_being_answered() {
    let daemon = Daemon::with("[limits]\nrequest-seconds = 60");
    let boss = known(&daemon, "boss", "administrator").await;
    let stranger = Client::stranger(&daemon);
    let mut held = Vec::new();
    for path in ["sessions", "sessions", "sessions/setup", "join", "join", "sessions"] {
        let mut stream = stranger.connect().await.unwrap();
        let head = format!(
            "POST /v1/{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    assert_eq!(boss.post("/v1/audit/verify", &json!({})).await.status, 202);
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for strangers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_json_is_refused_with_the_place() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let mut unknown = identification(json!({ "format": "png", "data": "" }));
    unknown["score"] = json!(1);
    let mut within = identification(json!({ "format": "png", "data": "", "colour": 1 }));
    within["nonce"] = json!("0123456789abcdef");
    for (body, say) in [
        ("".to_owned(), "line 1"),
        ("{".to_owned(), "line 1"),
        ("[]".to_owned(), "line 1"),
        ("{}".to_owned(), "request_id"),
        ("\"text\"".to_owned(), "line 1"),
        (identification(json!({ "format": "png", "data": "" })).to_string() + "x", "trailing"),
        (unknown.to_string(), "unknown field `score`"),
        (within.to_string(), "unknown field `colour`"),
        (
            "{\"nonce\": \"0123456789abcdef\",\n\"nonce\": \"0123456789abcdef\"}".to_owned(),
            "duplicate field `nonce` at line 2",
        ),
        ("[".repeat(100_000), "line 1"),
        ("{\"request_id\": \"a b\"}".to_owned(), "request_id"),
        ("{\"nonce\": \"short\"}".to_owned(), "nonce"),
        ("{\"request_id\": \u{0}}".to_owned(), "line 1"),
    ] {
        let answer = station.ask(&Method::POST, "/v1/identify", Some(body.clone().into_bytes())).await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{body:.60}: {:?}", answer.body);
        assert!(answer.detail().contains(say), "{body:.60}: {}", answer.detail());
    }
    let not_text = station.ask(&Method::POST, "/v1/identify", Some(vec![b'"', 0xff, b'"'])).await;
    assert_eq!((not_text.status, not_text.problem()), (400, "bad-request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_a_wrong_value_is_refused_with_what_is_right() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let print = fixture("125_1");
    let raw = json!({ "format": "raw-grey", "data": "AA==" });
    let sized = json!({ "format": "png", "data": STANDARD.encode(&print), "width": 388 });
    let jpeg = json!({ "format": "jpeg", "data": "" });
    let gap = json!({ "format": "png", "data": "iVBORw0KGgo= ?" });
    for (bad, say) in [(raw, "width and height"), (sized, "raw-grey only"), (jpeg, "jpeg"), (gap, "base64")] {
        let answer = station.post("/v1/identify", &identification(bad)).await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{:?}", answer.body);
        assert!(answer.detail().contains(say), "{}", answer.detail());
    }
    let answer = station.post("/v1/verify", &verification("nobody", sample(&print))).await;
    assert_eq!((answer.status, answer.problem()), (400, "bad-request"));
    for name in ["", &"x".repeat(129), "a\nb"] {
        let answer = officer.post("/v1/subjects", &json!({ "name": name })).await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{name:?}");
    }
    let id = crate::support::subject(&officer, "x").await;
    let samples = Value::Array((1..=3).map(|_| sample(&print)).collect());
    let sixth = json!({ "position": "sixth-finger", "samples": samples });
    let answer = officer.post(&format!("/v1/subjects/{id}/fingers"), &sixth).await;
    assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{:?}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_type_is_refused() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    for kind in [None, Some("text/plain"), Some("application/xml"), Some("application/jsonp")] {
        let mut request = station.request(&Method::POST, "/v1/identify");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let body = identification(sample(b"")).to_string().into();
        let answer = station.send(&mut station.open().await, request.body(body).unwrap()).await;
        assert_eq!((answer.status, answer.problem()), (415, "media-type"), "{kind:?}");
    }
    let request = station.request(&Method::POST, "/v1/identify").header("content-type", "application/json");
    let request = request.header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0].into()).unwrap();
    let answer = station.send(&mut station.open().await, request).await;
    assert_eq!((answer.status, answer.problem()), (415, "media-type"), "compressed bodies are not taken");
}
