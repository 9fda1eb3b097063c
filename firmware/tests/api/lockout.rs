//! Who guesses waits: over restarts, with whatever finger, and whether the subject exists or not.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Daemon, enrolled, fixture, known, sample, verification};

const NOBODY: &str = "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11";

/// The answer without what is another's in every request.
fn said(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let mut body = answer.body.clone();
    for key in ["request_id", "nonce"] {
        body.as_object_mut().unwrap().remove(key);
    }
    body
}

async fn verify(station: &Client, subject: &str, print: &str) -> Value {
    said(&station.post("/v1/verify", &verification(subject, sample(&fixture(print)))).await)
}

/// The seconds of a lockout.
fn wait(answer: &Value) -> u64 {
    assert_eq!(
        (&answer["decision"], &answer["reason"]),
        (&json!("refuse"), &json!("locked-out")),
        "{answer}"
    );
    answer["retry_after_s"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockout_outlives_a_kill_is_the_same_for_nobody_and_an_officer_ends_it() {
    let lockout =
        "[policy.lockout]\nsubject-failures = 2\nfirst-wait-seconds = 3000\nlongest-wait-seconds = 6000\n";
    let mut daemon = Daemon::with(lockout);
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let ada = enrolled(&officer, "125").await;
    let refused = json!({ "decision": "refuse", "reason": "not-matched", "liveness": "not-assessed" });
    for (print, other) in [("126_1", "127_1"), ("126_2", "127_2")] {
        assert_eq!(verify(&station, &ada, print).await, refused);
        assert_eq!(verify(&station, NOBODY, other).await, refused);
    }
    // The same request again is no other attempt, and none waits shorter for it.
    let asked = verification(&ada, sample(&fixture("125_4")));
    let first = station.post("/v1/verify", &asked).await;
    assert!((2990..=3000).contains(&wait(&said(&first))), "{:?}", first.body);
    assert_eq!(station.post("/v1/verify", &asked).await.body, first.body);

    daemon.kill();
    daemon.start_again();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let known_one = wait(&verify(&station, &ada, "125_4").await);
    let nobody = wait(&verify(&station, NOBODY, "128_1").await);
    assert!(known_one.abs_diff(nobody) < 20 && known_one > 2900, "{known_one} {nobody}");

    let listed = officer.get("/v1/lockouts").await.body;
    let of = |scope: &str, id: &str| {
        let all = listed["lockouts"].as_array().unwrap();
        all.iter()
            .find(|l| l["scope"] == scope && l["id"] == id)
            .cloned()
            .unwrap_or_else(|| panic!("{listed}"))
    };
    assert_eq!(of("subject", &ada)["failures"], 2);
    assert_eq!(of("subject", NOBODY)["failures"], 2);
    assert_eq!(of("station", "station")["failures"], 4);
    assert!(of("station", "station").get("retry_after_s").is_none());

    let unlock = format!("/v1/subjects/{ada}/lockout");
    assert_eq!(officer.ask(&Method::DELETE, &unlock, None).await.status, 204);
    assert_eq!(verify(&station, &ada, "125_4").await["decision"], "accept");
    let gone = officer.ask(&Method::DELETE, &format!("/v1/subjects/{NOBODY}/lockout"), None).await;
    assert_eq!((gone.status, gone.problem()), (404, "unknown-subject"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_guesses_is_locked_out_until_an_administrator_says_otherwise() {
    let daemon = Daemon::with("[policy.lockout]\nstation-failures = 3\nfirst-wait-seconds = 600\n");
    let administrator = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let other = known(&daemon, "other", "station").await;
    let ada = enrolled(&officer, "125").await;
    for print in ["126_1", "126_2", "126_3"] {
        let asked = verification(&uuid::Uuid::new_v4().to_string(), sample(&fixture(print)));
        assert_eq!(said(&station.post("/v1/verify", &asked).await)["reason"], "not-matched");
    }
    assert!(wait(&verify(&station, &ada, "125_4").await) <= 600);
    assert_eq!(verify(&other, &ada, "125_4").await["decision"], "accept");
    let unlock = "/v1/stations/station/lockout";
    assert_eq!(officer.ask(&Method::DELETE, unlock, None).await.status, 403);
    assert_eq!(administrator.ask(&Method::DELETE, unlock, None).await.status, 204);
    assert_eq!(verify(&station, NOBODY, "127_1").await["reason"], "not-matched");
}
