//! Identification by two fingers, as stations meet it.

use authenteon_hal::sensor::Signal;
use hyper::Method;
use serde_json::{Value, json};

use crate::readers::{Box2, at, touch};
use crate::support::{Client, Daemon, enrolled, fixture, fresh, identification, known, sample};

async fn another_finger(officer: &Client, subject: &str, finger: &str) {
    let samples: Vec<Value> = (1..=3).map(|i| sample(&fixture(&format!("{finger}_{i}")))).collect();
    let body = json!({ "position": "left-index", "samples": samples });
    assert_eq!(officer.post(&format!("/v1/subjects/{subject}/fingers"), &body).await.status, 201);
}

fn asked(prints: &[&str]) -> Value {
    let samples: Vec<Value> = prints.iter().map(|print| sample(&fixture(print))).collect();
    json!({ "request_id": fresh(), "nonce": fresh(), "samples": samples })
}

async fn ask(station: &Client, prints: &[&str]) -> Value {
    let answer = station.post("/v1/identify", &asked(prints)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn two_right_fingers_are_accepted_and_of_one_right_one_nobody_learns_which_it_was() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let (ada, bob) = (enrolled(&officer, "125").await, enrolled(&officer, "127").await);
    another_finger(&officer, &ada, "126").await;
    another_finger(&officer, &bob, "128").await;

    let right = asked(&["126_4", "125_4"]);
    let accepted = station.post("/v1/identify", &right).await.body;
    assert_eq!((&accepted["decision"], &accepted["subject_id"]), (&json!("accept"), &json!(ada)));
    // Asked again it has its answer, and its name serves no other.
    assert_eq!(station.post("/v1/identify", &right).await.body, accepted);
    let mut swapped = right.clone();
    swapped["samples"].as_array_mut().unwrap().reverse();
    let reused = station.post("/v1/identify", &swapped).await;
    assert_eq!((reused.status, reused.problem()), (409, "request-id-reused"), "{:?}", reused.body);

    let mut refusals = Vec::new();
    for prints in [["127_4", "129_1"], ["129_2", "128_4"], ["129_3", "130_1"]] {
        let mut answer = ask(&station, &prints).await;
        for key in ["request_id", "nonce"] {
            answer[key].take();
        }
        refusals.push(answer);
    }
    assert_eq!(refusals[0]["reason"], "not-matched");
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");

    let once = ask(&station, &["130_2", "130_3"]).await;
    assert_eq!((&once["reason"], &once["fingers"]), (&json!("fingers-required"), &json!(2)));
    assert_eq!(ask(&station, &["130_4"]).await["reason"], "not-matched", "a list of one is one");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identification_brings_one_sample_or_a_list_of_one_or_two() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let one = || sample(&fixture("125_1"));
    for (more, say) in [
        (json!({}), "one of sample and samples"),
        (json!({ "sample": one(), "samples": [one()] }), "one of sample and samples"),
        (json!({ "samples": [] }), "1 or 2"),
        (json!({ "samples": [one(), one(), one()] }), "verify"),
        (json!({ "samples": [one(), { "sensor": "usb-1" }] }), "either all sent or all taken"),
        (json!({ "samples": [one(), { "format": "png" }] }), "missing field `data`"),
    ] {
        let mut body = json!({ "request_id": fresh(), "nonce": fresh() });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = station.post("/v1/identify", &body).await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{:?}", answer.body);
        assert!(answer.detail().contains(say), "{say}: {}", answer.detail());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_too_large_for_one_finger_asks_for_two_and_the_policy_says_how_large_each_may_be() {
    let daemon = Daemon::with("[policy]\nidentify-one-in = 100000\n");
    let boss = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let ada = enrolled(&officer, "125").await;
    another_finger(&officer, &ada, "126").await;
    let one = station.post("/v1/identify", &identification(sample(&fixture("125_4")))).await.body;
    assert_eq!((&one["reason"], &one["fingers"]), (&json!("gallery-too-large"), &json!(2)), "{one}");
    let two = ask(&station, &["125_4", "126_4"]).await;
    assert_eq!((&two["decision"], &two["subject_id"]), (&json!("accept"), &json!(ada)), "{two}");
    let policy = boss.get("/v1/policy").await.body;
    let largest = |key: &str| policy["everybody"][key].as_u64().unwrap();
    assert!(largest("largest_gallery") < 6 && largest("largest_gallery_of_two") >= 6, "{policy}");

    // A station that is asked for three fingers is told so: here it gets no further than two.
    let three = json!({ "fingers": 3 }).to_string().into_bytes();
    assert_eq!(boss.ask(&Method::PUT, "/v1/policy/station/station", Some(three)).await.status, 200);
    let refused = ask(&station, &["127_1", "128_1"]).await;
    assert_eq!((&refused["reason"], &refused["fingers"]), (&json!("fingers-required"), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fingers_are_laid_down_one_after_the_other_at_one_reader_or_at_two() {
    let b = Box2::with_readers().await;
    let ada = enrolled(&b.officer, "125").await;
    another_finger(&b.officer, &ada, "126").await;
    let at_both = |stands: [&Value; 2]| json!({ "request_id": fresh(), "nonce": fresh(), "samples": stands });
    let (left, right) = (at(&b.left), at(&b.right));

    let one_reader = at_both([&left, &left]);
    let fingers = async {
        touch(&b.left, "125_3").await;
        touch(&b.left, "130_4").await
    };
    // What was enrolled is known; another impression of a stranger's finger is nobody's.
    let (refused, _) = tokio::join!(b.station.post("/v1/identify", &one_reader), fingers);
    assert_eq!((refused.status, &refused.body["decision"]), (200, &json!("refuse")), "{:?}", refused.body);
    // Repeated, it asks for no finger.
    assert_eq!(b.station.post("/v1/identify", &one_reader).await.body, refused.body);

    let two_readers = at_both([&left, &right]);
    let answer = b.station.post("/v1/identify", &two_readers);
    // What came of it is shown at both, once the second finger is there too.
    let (found, one, other) = tokio::join!(answer, touch(&b.left, "125_4"), touch(&b.right, "126_4"));
    assert_eq!((one, other), (Signal::Accepted, Signal::Accepted));
    assert_eq!((&found.body["decision"], &found.body["subject_id"]), (&json!("accept"), &json!(ada)));
    b.stop().await;
}
