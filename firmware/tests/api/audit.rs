//! The audit of a real daemon: read, taken away, verified, anchored; and what it never holds.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    Answer, Client, Daemon, enrolled, fixture, identification, known, sample, subject, verification,
};

/// Every record there is, as the API gives it.
async fn records(client: &Client) -> Vec<Value> {
    let page = client.get("/v1/audit?limit=1000").await;
    assert_eq!((page.status, &page.body["through"]), (200, &page.body["head"]), "{:?}", page.body);
    page.body["records"].as_array().unwrap().clone()
}

/// The lines of an export.
async fn export(client: &Client, query: &str) -> Vec<String> {
    let request = client.request(&Method::GET, &format!("/v1/audit/export{query}"));
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let response = client.open().await.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

/// What the box finds when it verifies its audit.
async fn verified(client: &Client, anchor: Option<&Value>) -> Value {
    let began = Instant::now();
    let begun = client.post("/v1/audit/verify", &json!({ "anchor": anchor })).await;
    assert_eq!(begun.status, 202, "{:?}", begun.body);
    loop {
        let check = client.get("/v1/audit/verify").await.body["check"].clone();
        if check["state"] != "running" {
            return check["found"].clone();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{check}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn refused(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.problem())
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_is_read_taken_away_and_verified_against_an_anchor_also_after_a_restart() {
    let mut daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let person = enrolled(&officer, "125").await;
    let right = station.post("/v1/verify", &verification(&person, sample(&fixture("125_4")))).await;
    assert_eq!(right.body["decision"], "accept");

    let all = records(&boss).await;
    for pair in all.windows(2) {
        assert_eq!(pair[1]["previous"], pair[0]["hash"]);
    }
    let last = all.last().unwrap();
    assert_eq!((&last["what"]["event"], &last["by"]["name"]), (&json!("verified"), &json!("station")));
    assert_eq!(last["by"]["from"], "127.0.0.1");
    let basis = &last["what"]["basis"];
    assert!(basis["rules"].as_str().is_some_and(|rules| rules.len() == 16), "{basis}");
    assert!(
        basis["matcher"].is_string() && basis["template"].is_u64() && basis.get("sensor").is_none(),
        "{basis}"
    );
    let of_person = boss.get(&format!("/v1/audit?subject={person}&event=verified")).await.body;
    assert_eq!(of_person["records"].as_array().unwrap().len(), 1);
    for bad in ["?limit=0", "?limit=1001", "?after=1&last=1", "?since=yesterday", "?subject=ada", "?page=2"] {
        assert_eq!(refused(&boss.get(&format!("/v1/audit{bad}")).await), (400, "bad-request"), "{bad}");
    }

    let anchor = boss.get("/v1/audit/anchor").await.body;
    assert_eq!(anchor["number"], last["number"]);
    let key = boss.get("/v1/audit/key").await.body;
    assert_eq!((&key["key"], &key["store"]), (&anchor["key"], &anchor["store"]));
    let lines = export(&boss, "").await;
    // The export itself is the last record.
    assert_eq!(lines.len(), all.len() + 3);
    for pair in lines[1..lines.len() - 1].windows(2) {
        let next: Value = serde_json::from_str(&pair[1]).unwrap();
        let hash: String = Sha256::digest(&pair[0]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(next["previous"], hash);
    }
    assert_eq!(export(&boss, "?until=2020-01-01T00:00:00Z").await.len(), 2);

    let found = verified(&boss, Some(&anchor)).await;
    assert_eq!((&found["verdict"], &found["first"]), (&json!("whole"), &json!(1)), "{found}");
    daemon.terminate();
    assert!(daemon.wait().success());
    daemon.start_again();
    let boss = Client::named(&daemon, "boss");
    let found = verified(&boss, Some(&anchor)).await;
    assert_eq!(found["verdict"], "whole", "{found}");
    assert!(found["heads"].as_u64().unwrap() >= 1, "the head was signed at the stop: {found}");
    assert_eq!((&found["other-keys"], &found["anchor-of-other-key"]), (&json!(0), &json!(false)));
    let mut other = anchor;
    other["number"] = json!(1);
    assert_eq!(verified(&boss, Some(&other)).await["verdict"], "anchor-forged");
    let no_anchor = boss.post("/v1/audit/verify", &json!({ "anchor": { "number": 1 } })).await;
    assert_eq!(no_anchor.status, 400, "{:?}", no_anchor.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_has_every_accept_that_a_daemon_gave_before_it_was_killed() {
    let mut daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let person = enrolled(&officer, "125").await;
    drop(boss);
    let asked = verification(&person, sample(&fixture("125_4")));
    let right = station.post("/v1/verify", &asked).await;
    daemon.kill();
    assert_eq!(right.body["decision"], "accept");
    daemon.start_again();
    let boss = Client::named(&daemon, "boss");
    let began = Instant::now();
    // After a kill the index is made anew, and nothing is listed meanwhile.
    let all = loop {
        let page = boss.get("/v1/audit?limit=1000&event=verified").await;
        if page.status == 200 {
            break page.body["records"].as_array().unwrap().clone();
        }
        assert_eq!(refused(&page), (503, "degraded"));
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let what = &all.last().unwrap()["what"];
    assert_eq!((&what["request"], &what["decision"]), (&asked["request_id"], &json!("accept")));
    assert_eq!(verified(&boss, None).await["verdict"], "whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_and_log_hold_no_name_no_secret_and_nothing_of_a_finger() {
    let daemon = Daemon::logging("info,authenteon=debug", "");
    let boss = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let person = enrolled(&officer, "125").await;
    let marked = subject(&officer, "Zaphod Markername").await;
    let probe = sample(&fixture("125_4"));
    for (path, body) in [
        ("/v1/verify", verification(&person, probe.clone())),
        ("/v1/verify", verification(&marked, sample(&fixture("126_1")))),
        ("/v1/identify", identification(sample(&fixture("127_1")))),
        // A replay.
        ("/v1/identify", identification(probe.clone())),
    ] {
        assert_eq!(station.post(path, &body).await.status, 200);
    }
    let secret = json!({ "passphrase": "marker passphrase of a backup", "expires-days": 1 });
    let request = boss.request(&Method::POST, "/v1/system/backup").header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::from(secret.to_string()))).unwrap();
    let taken = boss.open().await.send_request(request).await.unwrap();
    taken.into_body().collect().await.unwrap();
    assert_eq!(officer.ask(&Method::DELETE, &format!("/v1/subjects/{marked}"), None).await.status, 204);

    let audit = export(&boss, "").await.join("\n");
    let log = daemon.said().log();
    assert!(
        audit.contains(&marked) && audit.contains("backup-taken") && audit.contains("\"replay"),
        "{audit}"
    );
    assert!(log.contains("serving"), "the log was read");
    // The picture itself, wherever in it one looks: its base64 is in the request.
    let picture = probe["data"].as_str().unwrap();
    let pictures = (0..8).map(|n| &picture[40 * n..40 * n + 40]);
    for word in ["Zaphod", "Markername", "marker passphrase"].into_iter().chain(pictures) {
        assert!(!audit.contains(word), "{word} is in the audit");
        assert!(!log.contains(word), "{word} is in the log");
    }
    // Nobody's id either: the log is for who looks after machines.
    assert!(!log.contains(&person) && !log.contains(&marked));
}
