//! Backups of the running daemon: taken while it serves, restored into another box, refused with a reason, and cut.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use authenteon::{
    store::{Change, DiskStore, Store, Table},
    subject::{FingerPosition, SubjectId},
};
use http_body_util::{BodyExt, Full};
use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Daemon, enrolled, fixture, known, sample, subject, verification};

const PASSPHRASE: &str = "correct horse battery staple";
const RESTORE: &str = "/v1/system/restore";

/// A daemon with an administrator.
async fn start() -> (Daemon, Client) {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    (daemon, boss)
}

/// Asks for its health until that is as it should be.
async fn ready(client: &Client, good: impl Fn(&Answer) -> bool) {
    let began = Instant::now();
    while !good(&client.get("/v1/health/ready").await) {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn backup(boss: &Client) -> Vec<u8> {
    let body = json!({"passphrase": PASSPHRASE, "expires-days": 30}).to_string();
    let request = boss
        .request(&Method::POST, "/v1/system/backup")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap();
    let answer = boss.open().await.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/vnd.authenteon.backup");
    answer.into_body().collect().await.unwrap().to_bytes().to_vec()
}

async fn send(boss: &Client, file: Vec<u8>) -> Answer {
    boss.ask(&Method::PUT, RESTORE, Some(file)).await
}

/// What came in last, to be worked on so.
async fn named(boss: &Client, mut options: Value) -> Value {
    options["backup"] = boss.get(RESTORE).await.body["backup"].clone();
    options
}

/// Begins a restore, and waits for its end.
async fn restored(boss: &Client, options: Value) -> Value {
    let options = named(boss, options).await;
    let begun = boss.post(RESTORE, &options).await;
    assert_eq!(begun.status, 202, "{:?}", begun.body);
    let began = Instant::now();
    loop {
        let answer = boss.get(RESTORE).await.body;
        if !["checking", "restoring"].contains(&answer["state"].as_str().unwrap()) {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn decision(station: &Client, person: &str, print: &str) -> Value {
    let answer = station.post("/v1/verify", &verification(person, sample(&fixture(print)))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["decision"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn store_backup_of_a_serving_box_is_tried_and_restored_into_another_without_who_was_erased() {
    let (old, boss) = start().await;
    let officer = Client::named(&old, "officer");
    let ada = enrolled(&officer, "125").await;
    let gone = subject(&officer, "Gone").await;
    let file = backup(&boss).await;
    let deleted = officer.ask(&Method::DELETE, &format!("/v1/subjects/{gone}"), None).await;
    assert_eq!(deleted.status, 204);
    let erasures = boss.get("/v1/system/erasures").await.body;
    assert_eq!((erasures["count"].as_u64(), &erasures["erasures"][0]["subject"]), (Some(1), &json!(gone)));

    // Tried on the box that it is of, which is in use, and knows who was erased.
    let here = send(&boss, file.clone()).await;
    assert_eq!((here.status, here.body["state"].as_str()), (200, Some("received")), "{:?}", here.body);
    let options = json!({"passphrase": PASSPHRASE, "dry-run": true, "without-erasures": true});
    let tried = restored(&boss, options.clone()).await;
    assert_eq!(tried["state"], "checked", "{tried}");
    assert_eq!((&tried["report"]["people"], &tried["report"]["fingers"]), (&json!(1), &json!(1)));
    let mut for_real = options;
    for_real["dry-run"] = false.into();
    let refused = restored(&boss, for_real).await;
    assert_eq!(refused["error"]["type"], "urn:authenteon:problem:not-empty", "{refused}");

    let (new, new_boss) = start().await;
    assert_eq!(send(&new_boss, file).await.status, 200);
    let no_list = named(&new_boss, json!({"passphrase": PASSPHRASE})).await;
    let no_list = new_boss.post(RESTORE, &no_list).await;
    assert_eq!((no_list.status, no_list.problem()), (409, "erasures-needed"));
    let wrong = json!({"passphrase": "another horse altogether", "erasures": erasures});
    let wrong = restored(&new_boss, wrong).await;
    assert_eq!(wrong["error"]["type"], "urn:authenteon:problem:wrong-backup-passphrase", "{wrong}");
    let right = json!({"passphrase": PASSPHRASE, "erasures": erasures});
    let done = restored(&new_boss, right).await;
    assert_eq!(done["state"], "restored", "{done}");
    assert_eq!((&done["report"]["people"], &done["report"]["erasures"]), (&json!(1), &json!(1)));

    let (officer, station) = (Client::named(&new, "officer"), Client::named(&new, "station"));
    let people = officer.get("/v1/subjects").await.body;
    assert_eq!(people["subjects"].as_array().unwrap().len(), 1, "{people}");
    assert_eq!(decision(&station, &ada, "125_4").await, "accept");
    assert_eq!(decision(&station, &ada, "126_4").await, "refuse");
    for daemon in [&old, &new] {
        assert!(!daemon.said().log().contains("horse"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_restore_refuses_what_is_no_backup_damaged_or_asked_for_by_somebody_else() {
    let (daemon, boss) = start().await;
    let officer = Client::named(&daemon, "officer");
    for path in ["/v1/system/restore", "/v1/system/erasures"] {
        assert_eq!(officer.get(path).await.status, 403, "{path}");
    }
    let asked = officer.post("/v1/system/backup", &json!({"passphrase": PASSPHRASE})).await;
    assert_eq!(asked.status, 403);
    for (body, slug) in [
        (json!({"passphrase": "short"}), "passphrase-too-short"),
        (json!({"passphrase": PASSPHRASE, "expires-days": 0}), "bad-expiry"),
        (json!({"passphrase": PASSPHRASE, "expires": 7}), "bad-request"),
    ] {
        let answer = boss.post("/v1/system/backup", &body).await;
        assert_eq!(answer.problem(), slug, "{:?}", answer.body);
    }
    let any = json!({"backup": SubjectId::random(), "passphrase": PASSPHRASE, "without-erasures": true});
    let nothing = boss.post(RESTORE, &any).await;
    assert_eq!((nothing.status, nothing.problem()), (409, "no-backup"));
    for garbage in [vec![], b"{}\n".to_vec(), vec![0x1F; 100_000], fixture("125_1")] {
        let answer = send(&boss, garbage).await;
        assert_eq!((answer.status, answer.problem()), (422, "not-a-backup"));
    }
    let mut file = backup(&boss).await;
    let middle = file.len() - 60;
    file[middle] ^= 1;
    assert_eq!(send(&boss, file).await.status, 200);
    let options = json!({"passphrase": PASSPHRASE, "without-erasures": true});
    let other = boss.post(RESTORE, &any).await;
    assert_eq!((other.status, other.problem()), (409, "no-backup"), "another one is here");
    let damaged = restored(&boss, options).await;
    // So small a backup has one part: damage in it looks like another passphrase.
    let slugs = ["backup-damaged", "wrong-backup-passphrase"].map(|s| format!("urn:authenteon:problem:{s}"));
    assert!(slugs.iter().any(|slug| damaged["error"]["type"] == **slug), "{damaged}");
    assert_eq!(boss.ask(&Method::DELETE, RESTORE, None).await.status, 204);
    assert_eq!(boss.get(RESTORE).await.body["state"], "nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_backups_has_them_tried_and_restores_none() {
    let (daemon, _boss) = start().await;
    let keeper = known(&daemon, "nightly", "backup").await;
    let file = backup(&keeper).await;
    assert_eq!(keeper.get("/v1/system/erasures").await.status, 200);
    assert_eq!(send(&keeper, file).await.status, 200);
    let mut options = json!({"passphrase": PASSPHRASE, "without-erasures": true});
    let refused = keeper.post(RESTORE, &named(&keeper, options.clone()).await).await;
    assert_eq!((refused.status, refused.problem()), (403, "forbidden"), "{:?}", refused.body);
    assert_eq!(keeper.get(RESTORE).await.body["state"], "received");
    options["dry-run"] = true.into();
    assert_eq!(restored(&keeper, options).await["state"], "checked");
    assert_eq!(keeper.get("/v1/subjects").await.status, 403);
}

/// Puts people into the store of a box that is off, each with the finger of one who is there.
pub(crate) fn fill(store: &Path, people: u32, like: &str) {
    let store = DiskStore::open(store).unwrap();
    store.wait_until_indexed();
    let like: SubjectId = like.parse().unwrap();
    let key = [like.as_bytes().as_slice(), &[FingerPosition::RightIndex.code()]].concat();
    let views = store.get(Table::Fingers, &key).unwrap().unwrap();
    for first in (0..people).step_by(500) {
        let mut changes = Vec::new();
        for number in first..people.min(first + 500) {
            let mut key = SubjectId::random().as_bytes().to_vec();
            let subject = json!({
                "name": format!("Person {number}"), "created": "2026-11-29T00:00:00Z",
                "fingers": [{"position": "right-index", "impressions": 3, "quality": 80}],
            });
            let value = serde_json::to_vec(&subject).unwrap();
            changes.push(Change::Put { table: Table::Subjects, key: key.clone(), value });
            key.push(FingerPosition::RightIndex.code());
            changes.push(Change::Put { table: Table::Fingers, key, value: views.clone() });
        }
        store.commit(&changes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_restore_that_is_killed_leaves_an_empty_box_which_takes_the_backup_then() {
    const PEOPLE: u32 = 6000;
    let (mut old, _) = start().await;
    let person = enrolled(&Client::named(&old, "officer"), "125").await;
    old.terminate();
    assert!(old.wait().success());
    let store = old.pki().with_file_name("store");
    fill(&store, PEOPLE, &person);
    old.start_again();
    let boss = Client::named(&old, "boss");
    let file = backup(&boss).await;

    let (mut new, boss) = start().await;
    let options = json!({"passphrase": PASSPHRASE, "without-erasures": true});
    assert_eq!(send(&boss, file.clone()).await.status, 200);
    assert_eq!(boss.post(RESTORE, &named(&boss, options.clone()).await).await.status, 202);
    // In its second half a restore writes.
    loop {
        let now = boss.get(RESTORE).await.body;
        assert_eq!(now["state"], "restoring", "it was over before it could be killed: {now}");
        if now["done"].as_u64().unwrap() * 10 > now["all"].as_u64().unwrap() * 6 {
            break;
        }
    }
    let degraded = boss.get("/v1/health/ready").await.body;
    assert_eq!(degraded["state"], "degraded", "{degraded}");
    let officer = Client::named(&new, "officer");
    assert_eq!(officer.get("/v1/subjects").await.problem(), "degraded");
    new.kill();
    new.start_again();
    let (boss, officer) = (Client::named(&new, "boss"), Client::named(&new, "officer"));
    ready(&boss, |answer| answer.body["state"] == "operational").await;
    let people = officer.get("/v1/subjects").await.body;
    assert_eq!(people["subjects"].as_array().unwrap().len(), 0, "{people}");

    assert_eq!(send(&boss, file).await.status, 200);
    let done = restored(&boss, options).await;
    assert_eq!(done["report"]["people"], PEOPLE + 1, "{done}");
    let station = Client::named(&new, "station");
    assert_eq!(decision(&station, &person, "125_4").await, "accept");
}
