//! PINs, several fingers, fingers for duress and recovery codes, as stations and officers meet them.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Daemon, enrolled, fixture, fresh, known, sample, verification};

async fn put(by: &Client, path: &str, body: &Value) -> Answer {
    by.ask(&Method::PUT, path, Some(body.to_string().into_bytes())).await
}

async fn ask(station: &Client, subject: &str, more: &Value) -> Value {
    let mut body = json!({ "request_id": fresh(), "nonce": fresh(), "subject_id": subject });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = station.post("/v1/verify", &body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body
}

async fn another_finger(officer: &Client, subject: &str, position: &str, finger: &str) {
    let samples: Vec<Value> = (1..=3).map(|i| sample(&fixture(&format!("{finger}_{i}")))).collect();
    let body = json!({ "position": position, "samples": samples });
    assert_eq!(officer.post(&format!("/v1/subjects/{subject}/fingers"), &body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_needs_a_pin_is_told_after_a_match_and_nobody_learns_which_factor_was_wrong() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let ada = enrolled(&officer, "125").await;
    another_finger(&officer, &ada, "left-index", "126").await;
    another_finger(&officer, &ada, "left-thumb", "127").await;
    let path = format!("/v1/subjects/{ada}");
    let groups = json!({ "groups": ["vault"] }).to_string().into_bytes();
    assert_eq!(officer.ask(&Method::PATCH, &path, Some(groups)).await.status, 200);
    assert_eq!(put(&boss, "/v1/policy/group/vault", &json!({ "pin": true })).await.status, 200);
    let weak = put(&officer, &format!("{path}/pin"), &json!({ "pin": "1234" })).await;
    assert_eq!((weak.status, weak.problem()), (422, "weak-pin"));
    assert_eq!(put(&officer, &format!("{path}/pin"), &json!({ "pin": "2580" })).await.status, 204);
    assert_eq!(put(&station, &format!("{path}/pin"), &json!({ "pin": "2580" })).await.status, 403);

    let with = |print: &str, pin: Option<&str>| {
        let mut body = json!({ "sample": sample(&fixture(print)) });
        if let Some(pin) = pin {
            body["pin"] = json!(pin);
        }
        body
    };
    assert_eq!(ask(&station, &ada, &with("128_1", None)).await["reason"], "not-matched");
    assert_eq!(ask(&station, &ada, &with("125_4", None)).await["reason"], "pin-required");
    assert_eq!(ask(&station, &ada, &with("128_2", Some("2580"))).await["reason"], "not-matched");
    assert_eq!(ask(&station, &ada, &with("126_4", Some("2581"))).await["reason"], "not-matched");
    assert_eq!(ask(&station, &ada, &with("127_4", Some("2580"))).await["decision"], "accept");
    let shown = officer.get(&path).await.body;
    assert_eq!(shown["pin"], json!(true));
    assert!(!shown.to_string().contains("2580") && !daemon.said().log().contains("2580"));

    // A station that needs one says so before it looks.
    assert_eq!(put(&boss, "/v1/policy/station/station", &json!({ "pin": true })).await.status, 200);
    let nobody = uuid::Uuid::new_v4().to_string();
    assert_eq!(ask(&station, &nobody, &with("128_3", None)).await["reason"], "pin-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fingers_are_asked_for_and_accepted_together() {
    let daemon = Daemon::with("[policy]\nfingers = 2\n");
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let ada = enrolled(&officer, "125").await;
    another_finger(&officer, &ada, "right-thumb", "126").await;
    let one = ask(&station, &ada, &json!({ "sample": sample(&fixture("125_4")) })).await;
    assert_eq!((&one["reason"], &one["fingers"]), (&json!("fingers-required"), &json!(2)));
    let two = json!({ "samples": [sample(&fixture("125_4")), sample(&fixture("126_4"))] });
    assert_eq!(ask(&station, &ada, &two).await["decision"], "accept");
    for bad in [
        json!({}),
        json!({ "samples": [] }),
        json!({ "samples": vec![sample(&fixture("127_1")); 5] }),
        json!({ "sample": sample(&fixture("127_1")), "recovery_code": "0".repeat(32) }),
        json!({ "recovery_code": "short" }),
        json!({ "sample": sample(&fixture("127_1")), "pin": "1" }),
    ] {
        let mut body = json!({ "request_id": fresh(), "nonce": fresh(), "subject_id": ada });
        body.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        let answer = station.post("/v1/verify", &body).await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{:?}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_stands_for_a_finger_once_over_a_kill_and_a_repeated_request_gets_its_answer() {
    let mut daemon = Daemon::start();
    let officer = Client::named(&daemon, "officer");
    let ada = enrolled(&officer, "125").await;
    let path = format!("/v1/subjects/{ada}/recovery-code");
    let given = officer.post(&path, &json!({ "valid_hours": 1 })).await;
    assert_eq!(given.status, 201, "{:?}", given.body);
    let code = given.body["recovery_code"].as_str().unwrap().to_owned();
    daemon.kill();
    daemon.start_again();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let shown = officer.get(&format!("/v1/subjects/{ada}")).await.body;
    assert_eq!(shown["recovery_code_expires"], given.body["expires"]);
    assert!(!shown.to_string().contains(&code));
    let body = json!({ "request_id": fresh(), "nonce": fresh(), "subject_id": ada, "recovery_code": code });
    let first = station.post("/v1/verify", &body).await;
    assert_eq!(first.body["decision"], "accept", "{:?}", first.body);
    assert_eq!(station.post("/v1/verify", &body).await.body, first.body);
    let again = ask(&station, &ada, &json!({ "recovery_code": code.to_uppercase() })).await;
    assert_eq!(again["reason"], "not-matched");
    let too_long = officer.post(&path, &json!({ "valid_hours": 169 })).await;
    assert_eq!((too_long.status, too_long.problem()), (400, "bad-request"));
    assert!(!daemon.said().log().contains(&code));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_under_duress_has_the_bytes_of_any_accept_and_no_station_can_ask_for_the_mark() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let ada = enrolled(&officer, "125").await;
    another_finger(&officer, &ada, "left-index", "126").await;
    let duress = format!("/v1/subjects/{ada}/fingers/left-index/duress");
    assert_eq!(put(&station, &duress, &json!({ "duress": true })).await.status, 403);
    assert_eq!(put(&officer, &duress, &json!({ "duress": true })).await.status, 204);
    let mut said = Vec::new();
    for print in ["125_4", "126_4"] {
        let mut asked = verification(&ada, sample(&fixture(print)));
        // Of one length, and then of one content.
        let answer = station.post("/v1/verify", &asked).await.body;
        assert_eq!(answer["decision"], "accept", "{answer}");
        let names = ["request_id", "nonce"].map(|key| asked[key].take().as_str().unwrap().to_owned());
        said.push(names.iter().fold(answer.to_string(), |text, name| text.replace(name, "x")));
    }
    assert_eq!(said[0], said[1]);
    let fingers = officer.get(&format!("/v1/subjects/{ada}/fingers")).await.body;
    let marked: Vec<_> = fingers["fingers"].as_array().unwrap().iter().map(|f| f["duress"].clone()).collect();
    assert_eq!(marked, [json!(false), json!(true)]);
    for path in [format!("/v1/subjects/{ada}/fingers"), format!("/v1/subjects/{ada}")] {
        assert_eq!(station.get(&path).await.status, 403);
    }
    assert_eq!(put(&officer, &duress, &json!({ "duress": false })).await.status, 204);
    let missing = format!("/v1/subjects/{ada}/fingers/right-ring/duress");
    assert_eq!(put(&officer, &missing, &json!({ "duress": true })).await.problem(), "unknown-finger");
}
