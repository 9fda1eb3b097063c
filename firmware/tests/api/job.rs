//! The main job: enrolled, verified, refused, identified, and still so after a power cut.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::support::{
    Client, Daemon, blank, enrolled, fixture, fresh, identification, sample, subject, verification,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_is_verified_and_identified_and_another_is_refused() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let (one, two) = (enrolled(&officer, "125").await, enrolled(&officer, "126").await);

    let asked = verification(&one, sample(&fixture("125_4")));
    let right = station.post("/v1/verify", &asked).await;
    assert_eq!((right.status, &right.body["decision"]), (200, &json!("accept")), "{:?}", right.body);
    assert_eq!(right.body["subject_id"], json!(one));
    assert_eq!((&right.body["nonce"], &right.body["request_id"]), (&asked["nonce"], &asked["request_id"]));
    assert!(right.body.get("score").is_none(), "clients get a decision, not a score");

    let wrong = station.post("/v1/verify", &verification(&two, sample(&fixture("127_1")))).await;
    assert_eq!(wrong.body["decision"], "refuse");
    assert_eq!(wrong.body["reason"], "not-matched");
    assert!(wrong.body.get("subject_id").is_none());

    let who = station.post("/v1/identify", &identification(sample(&fixture("126_4")))).await;
    assert_eq!((&who.body["decision"], &who.body["subject_id"]), (&json!("accept"), &json!(two)));
    let nobody = station.post("/v1/identify", &identification(sample(&fixture("127_2")))).await;
    assert_eq!(nobody.body["decision"], "refuse");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_its_answer_again_and_a_replayed_sample_is_refused() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let one = enrolled(&officer, "125").await;
    let mut asked = verification(&one, sample(&fixture("125_4")));
    let first = station.post("/v1/verify", &asked).await;
    assert_eq!(station.post("/v1/verify", &asked).await.body, first.body);

    asked["nonce"] = json!(fresh());
    let reused = station.post("/v1/verify", &asked).await;
    assert_eq!((reused.status, reused.problem()), (409, "request-id-reused"));
    asked["request_id"] = json!(fresh());
    let replayed = station.post("/v1/verify", &asked).await;
    assert_eq!((&replayed.body["decision"], &replayed.body["reason"]), (&json!("refuse"), &json!("replay")));
    // Nor may an enrolment's picture come back.
    let enrolment = station.post("/v1/verify", &verification(&one, sample(&fixture("125_1")))).await;
    assert_eq!(enrolment.body["reason"], "replay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_again_while_it_is_worked_on_gets_the_same_answer() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let one = enrolled(&officer, "125").await;
    let asked = verification(&one, sample(&fixture("125_4")));
    let answers = [(); 4].map(|()| {
        let (station, asked) = (station.clone(), asked.clone());
        tokio::spawn(async move { station.post("/v1/verify", &asked).await })
    });
    for answer in answers {
        let answer = answer.await.unwrap();
        assert_eq!(answer.body["decision"], "accept", "{:?}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_refused_after_deletion_as_before_enrolment() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let one = enrolled(&officer, "125").await;
    let path = format!("/v1/subjects/{one}");
    assert_eq!(officer.get(&path).await.body["fingers"][0]["impressions"], 3);
    assert_eq!(officer.get(&format!("{path}/fingers")).await.body["fingers"][0]["position"], "right-index");
    assert_eq!(officer.ask(&hyper::Method::DELETE, &path, None).await.status, 204);
    for gone in [officer.get(&path).await, officer.ask(&hyper::Method::DELETE, &path, None).await] {
        assert_eq!((gone.status, gone.problem()), (404, "unknown-subject"));
    }
    let after = station.post("/v1/verify", &verification(&one, sample(&fixture("125_4")))).await;
    assert_eq!(after.body["reason"], "not-matched");
    assert_eq!(station.get("/v1/health/ready").await.body["fingers"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_refuses_another_finger_a_second_time_and_a_second_owner() {
    let daemon = Daemon::start();
    let officer = Client::named(&daemon, "officer");
    let (one, two) = (enrolled(&officer, "125").await, subject(&officer, "two").await);
    let enrol = async |id: &str, prints: &[&str], position: &str| {
        let samples: Vec<_> = prints.iter().map(|p| sample(&fixture(p))).collect();
        let body = json!({ "position": position, "samples": samples });
        officer.post(&format!("/v1/subjects/{id}/fingers"), &body).await
    };
    let mixed = enrol(&two, &["126_1", "126_2", "127_3"], "left-thumb").await;
    assert_eq!((mixed.status, mixed.problem()), (422, "inconsistent-samples"));
    assert!(mixed.detail().starts_with("sample 2"), "{}", mixed.detail());
    let few = enrol(&two, &["126_1", "126_2"], "left-thumb").await;
    assert_eq!((few.status, few.problem()), (422, "sample-count"));
    let again = enrol(&one, &["126_1", "126_2", "126_3"], "right-index").await;
    assert_eq!((again.status, again.problem()), (409, "already-enrolled"));
    let duplicate = enrol(&two, &["125_2", "125_3", "125_4"], "left-thumb").await;
    assert_eq!((duplicate.status, duplicate.problem()), (409, "duplicate-finger"));
    assert!(!duplicate.body.to_string().contains(&one), "who it is goes to the audit only");
    assert_eq!(enrol(&two, &["126_1", "126_2", "126_3"], "left-thumb").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_finger_and_somebody_unknown_cannot_be_told_apart() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let one = enrolled(&officer, "125").await;
    let nobody = "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11";
    let mut took: [Vec<Duration>; 2] = Default::default();
    for (index, print) in
        ["126_1", "126_2", "126_3", "126_4", "127_1", "127_2", "127_3", "127_4"].iter().enumerate()
    {
        let claims = [one.as_str(), nobody];
        let kind = index % 2;
        let asked = verification(claims[kind], sample(&fixture(print)));
        let began = Instant::now();
        let mut answer = station.post("/v1/verify", &asked).await;
        took[kind].push(began.elapsed());
        assert_eq!(answer.status, 200);
        let body = answer.body.as_object_mut().unwrap();
        body.remove("request_id");
        body.remove("nonce");
        assert_eq!(
            answer.body,
            json!({ "decision": "refuse", "reason": "not-matched", "liveness": "not-assessed" })
        );
    }
    // The same work: a shortcut would leave out the extraction, which is nearly all of the time.
    let [known, unknown] = took.map(|mut t| {
        t.sort();
        t[0]
    });
    assert!(unknown * 2 > known && known * 3 > unknown, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill_and_after_a_clean_stop() {
    let mut daemon = Daemon::start();
    let one = enrolled(&Client::named(&daemon, "officer"), "125").await;
    daemon.kill();
    daemon.start_again();
    let station = Client::named(&daemon, "station");
    let right = station.post("/v1/verify", &verification(&one, sample(&fixture("125_4")))).await;
    assert_eq!(right.body["decision"], "accept", "{:?}", right.body);
    daemon.terminate();
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.start_again();
    assert_eq!(Client::named(&daemon, "station").get("/v1/health/ready").await.body["fingers"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_questions_are_answered_over_http_2_on_one_connection() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station").offering(&[b"h2"]);
    let stream = station.connect().await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (print, decision) in [(fixture("125_1"), "refuse"), (blank(300, 300, 255), "retry")] {
        let request = hyper::Request::post(format!("https://{}/v1/identify", daemon.address))
            .header("content-type", "application/json")
            .body(Full::<bytes::Bytes>::new(identification(sample(&print)).to_string().into()))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["decision"], decision);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subjects_are_listed_page_by_page() {
    let daemon = Daemon::start();
    let officer = Client::named(&daemon, "officer");
    let mut made = Vec::new();
    for name in ["Ann", "Bob", "Zoë"] {
        made.push(subject(&officer, name).await);
    }
    made.sort();
    let (mut seen, mut path) = (Vec::new(), "/v1/subjects?limit=2".to_owned());
    loop {
        let page = officer.get(&path).await.body;
        seen.extend(
            page["subjects"].as_array().unwrap().iter().map(|s| s["subject_id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/subjects?limit=2&after={next}");
    }
    assert_eq!(seen, made);
    for bad in ["?limit=0", "?limit=1001", "?limit=x", "?after=nobody", "?from=1"] {
        let refused = officer.get(&format!("/v1/subjects{bad}")).await;
        assert_eq!((refused.status, refused.problem()), (400, "bad-request"), "{bad}");
    }
}
