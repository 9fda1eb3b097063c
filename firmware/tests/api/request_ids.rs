//! What a person saw can be found again: the id of a request is in its answer, in a problem and in the log.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Method;
use serde_json::Value;

use crate::support::{Client, Daemon};

/// Asks with these ids, and gives the id and the body of the answer.
async fn ask(client: &Client, path: &str, ids: &[&str]) -> (String, Value) {
    let mut request = client.request(&Method::GET, path);
    for id in ids {
        request = request.header("x-request-id", *id);
    }
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let response = client.open().await.send_request(request).await.unwrap();
    let mut answered = response.headers().get_all("x-request-id").iter();
    let id = answered.next().unwrap().to_str().unwrap().to_owned();
    assert!(answered.next().is_none(), "an answer has one id");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (id, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn every_answer_has_an_id_and_a_problem_says_it_too() {
    let daemon = Daemon::start();
    let (station, stranger) = (Client::named(&daemon, "station"), Client::stranger(&daemon));
    let (id, _) = ask(&station, "/v1/health/live", &["Desk-7.42_a"]).await;
    assert_eq!(id, "Desk-7.42_a");
    let (first, _) = ask(&station, "/v1/health/live", &[]).await;
    let (second, _) = ask(&station, "/v1/health/live", &[]).await;
    assert_ne!(first, second);
    // A refusal of the guard, of a handler, of the router.
    for (client, path) in [(&stranger, "/v1/stations"), (&station, "/v1/stations"), (&station, "/v1/nothing")]
    {
        let (id, problem) = ask(client, path, &["mine"]).await;
        assert_eq!(id, "mine");
        assert_eq!(problem["instance"], "urn:authenteon:request:mine", "{problem}");
    }
    for bad in [&["two words"][..], &["one", "two"], &["<script>"]] {
        let (id, problem) = ask(&stranger, "/v1/stations", bad).await;
        assert_eq!(id.len(), 32, "{bad:?} was repeated as {id}");
        assert_eq!(problem["instance"], format!("urn:authenteon:request:{id}"));
    }
}

#[tokio::test]
async fn the_log_has_the_id_of_a_request_with_its_route_and_without_the_name_in_its_path() {
    let daemon = Daemon::logging("authenteon=debug", "");
    daemon.add_client("boss", "administrator");
    let stranger = Client::stranger(&daemon);
    let (id, _) = ask(&stranger, "/v1/subjects/Erika-Mustermann", &["look-for-me"]).await;
    let log = daemon.said().wait_for(&id).await;
    let line = log.lines().find(|line| line.contains(&id)).unwrap();
    let entry: Value = serde_json::from_str(line).unwrap();
    assert_eq!(entry["span"]["id"], "look-for-me", "{line}");
    assert_eq!(entry["span"]["route"], "/v1/subjects/{id}", "{line}");
    assert_eq!(entry["fields"]["status"], 401, "{line}");
    assert!(!log.contains("Mustermann"), "{log}");
}
