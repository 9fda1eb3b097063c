//! The upkeep of the store: over the API while it serves, and `authenteond store repair` while nobody does.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{
    Client, Daemon, authenteond, enrolled, fixture, known, sample, subject, text, verification,
};

const PATH: &str = "/v1/system/store";
const PASSPHRASE: &str = "correct horse battery staple";

/// Somebody who looks after the box, known to it.
async fn administrator(daemon: &Daemon) -> Client {
    known(daemon, "boss", "administrator").await
}

/// Begins a task and waits for its end.
async fn done(boss: &Client, job: &str) -> Value {
    let began = Instant::now();
    let begun = loop {
        let begun = boss.ask(&Method::POST, &format!("{PATH}/{job}"), None).await;
        // The index of the compaction before may still be made.
        if begun.status != 503 {
            break begun;
        }
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((begun.status, &begun.body["task"]), (202, &json!(job)), "{:?}", begun.body);
    loop {
        let task = boss.get(&format!("{PATH}/task")).await.body["task"].clone();
        assert_eq!(task["number"], begun.body["number"]);
        if task["state"] != "running" {
            return task;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{task}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// No impression is shown twice: that would be a replay.
/// The same impression is presented after each start.
const REPLAYS: &str = "policy.replay = \"off\"\n";

async fn accepted(station: &Client, person: &str, impression: &str) -> bool {
    let answer = station.post("/v1/verify", &verification(person, sample(&fixture(impression)))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["decision"] == "accept"
}

fn store(daemon: &Daemon) -> PathBuf {
    daemon.pki().with_file_name("store")
}

/// The last file of the journal, and where the bytes in it end.
fn last_segment(store: &Path) -> (PathBuf, usize) {
    let files = fs::read_dir(store.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let last = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("segment-")).max();
    let bytes = fs::read(last.as_ref().unwrap()).unwrap();
    (last.unwrap(), bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1)
}

/// Makes some bytes of a file others.
fn harm(path: &Path, places: &[usize]) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, *at as u64).unwrap();
        file.write_all_at(&[!byte[0]], *at as u64).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_is_verified_compacted_and_gets_other_keys_over_the_api_while_it_serves() {
    let mut daemon = Daemon::with(REPLAYS);
    let boss = administrator(&daemon).await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let person = enrolled(&officer, "125").await;
    assert_eq!(boss.get(&format!("{PATH}/task")).await.body, json!({}));
    let before = boss.get(PATH).await;
    assert_eq!((before.status, &before.body["people"]), (200, &json!(1)), "{:?}", before.body);
    assert_eq!((&before.body["templates"], &before.body["values"]["fingers"]), (&json!(3), &json!(1)));
    let bytes = &before.body["bytes"];
    let parts = ["snapshot", "journal", "keys", "index"].map(|part| bytes[part].as_u64().unwrap());
    assert_eq!(bytes["total"].as_u64().unwrap(), parts.iter().sum::<u64>());
    assert_eq!(before.body["bytes_per_person"]["total"], bytes["total"]);

    let verified = done(&boss, "verify").await;
    assert_eq!((&verified["state"], &verified["by"]), (&json!("done"), &json!("boss")), "{verified}");
    assert_eq!(verified["verified"]["differences"], 0);
    assert!(verified["verified"]["values"].as_u64().unwrap() >= 4, "{verified}");
    assert!(accepted(&station, &person, "125_4").await);
    for job in ["compact", "rotate-keys"] {
        let task = done(&boss, job).await;
        assert_eq!(task["state"], "done", "{task}");
        let found = officer.get(&format!("/v1/subjects/{person}")).await;
        assert!(matches!(found.status, 200 | 503), "{job}: {:?}", found.body);
    }
    let after = boss.get(PATH).await.body;
    assert!(after["bytes"]["snapshot"].as_u64().unwrap() > 0, "{after}");
    assert_eq!((&after["task"]["task"], &after["task"]["number"]), (&json!("rotate-keys"), &json!(3)));

    // What was begun is waited for, and the next start finds a whole store.
    assert_eq!(boss.ask(&Method::POST, &format!("{PATH}/verify"), None).await.status, 202);
    daemon.terminate();
    assert!(daemon.wait().success());
    assert!(store(&daemon).join("index.closed").exists());
    daemon.start_again();
    assert!(accepted(&Client::named(&daemon, "station"), &person, "125_4").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_of_the_version_before_has_no_upkeep_over_the_api() {
    let daemon = Daemon::with("store.hold-format = true\n");
    let boss = administrator(&daemon).await;
    for (method, path) in [(Method::GET, ""), (Method::POST, "/verify"), (Method::POST, "/rotate-keys")] {
        let answer = boss.ask(&method, &format!("{PATH}{path}"), None).await;
        assert_eq!((answer.status, answer.problem()), (409, "no-upkeep"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_with_a_damaged_value_says_its_place_and_what_to_do_when_it_is_verified() {
    let daemon = Daemon::with(REPLAYS);
    let boss = administrator(&daemon).await;
    let person = enrolled(&Client::named(&daemon, "officer"), "125").await;
    let (segment, end) = last_segment(&store(&daemon));
    // In the middle of the frame of the finger, which is the largest.
    harm(&segment, &[end / 2, end / 2 + 1, end / 2 + 9]);
    let task = done(&boss, "verify").await;
    let problem = &task["problem"];
    assert_eq!(task["state"], "failed", "{task}");
    assert_eq!(problem["type"], "urn:authenteon:problem:store-damaged", "{task}");
    let detail = problem["detail"].as_str().unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(detail.contains(name) && detail.contains("authenteond store repair"), "{detail}");
    let stats = boss.get(PATH).await;
    assert_eq!((stats.status, stats.problem()), (500, "store-damaged"));
    // It was read when the box started: everybody goes on.
    assert!(accepted(&Client::named(&daemon, "station"), &person, "125_4").await);
    assert!(!daemon.said().log().contains("Lovelace"));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_whose_snapshot_is_damaged_is_not_repaired_and_says_what_helps() {
    let mut daemon = Daemon::with(REPLAYS);
    let boss = administrator(&daemon).await;
    enrolled(&Client::named(&daemon, "officer"), "125").await;
    assert_eq!(done(&boss, "compact").await["state"], "done");
    daemon.terminate();
    assert!(daemon.wait().success());
    let journal = fs::read_dir(store(&daemon).join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = journal.filter(|path| path.is_dir()).max().unwrap();
    harm(&snapshot.join("part-00000000"), &[200, 201, 300]);
    let refused = repair(&daemon, &["--yes"]);
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(65), "{why}");
    assert!(why.contains("part-00000000") && why.contains("restore a backup"), "{why}");
    assert!(!why.contains("store repair"), "{why}");
}

fn repair(daemon: &Daemon, more: &[&str]) -> Output {
    let config = daemon.config();
    authenteond(&[&["store", "repair", "--config", &config], more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn store_whose_end_is_damaged_is_refused_with_the_command_that_repairs_it_and_serves_what_was_before() {
    let mut daemon = Daemon::with(REPLAYS);
    let person = enrolled(&Client::named(&daemon, "officer"), "125").await;
    let in_use = repair(&daemon, &["--yes"]);
    assert_eq!(in_use.status.code(), Some(69), "{}", text(&in_use.stderr));
    daemon.terminate();
    assert!(daemon.wait().success());
    daemon.start_again();
    let gone = subject(&Client::named(&daemon, "officer"), "Countess Lovelace").await;
    // A daemon that was stopped as it should be would have written a signed head of the audit behind it.
    daemon.kill();

    let (segment, end) = last_segment(&store(&daemon));
    // The last frame ends before the mark of fifty-two bytes.
    harm(&segment, &[end - 72, end - 92, end - 93]);
    daemon.start_again();
    let refused = Client::named(&daemon, "officer").get("/v1/subjects").await;
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert_eq!((refused.status, refused.problem()), (503, "failed"));
    let why = refused.detail();
    assert!(why.contains(name) && why.contains("authenteond store repair"), "{why}");
    assert_eq!(daemon.end(), Some(65));

    // Nobody is there to ask: it says what it would do, and does nothing.
    let damaged = fs::read(&segment).unwrap();
    let asked = repair(&daemon, &[]);
    let says = text(&asked.stderr);
    assert_eq!(asked.status.code(), Some(64), "{says}");
    assert!(says.contains("every change behind it") && says.contains("--yes"), "{says}");
    assert_eq!(fs::read(&segment).unwrap(), damaged);

    let repaired = repair(&daemon, &["--yes", "--json"]);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    let said: Value = serde_json::from_slice(&repaired.stdout).unwrap();
    let aside = said["set_aside"][0].as_str().unwrap();
    assert!(aside.ends_with(&format!("damaged-{name}")), "{said}");
    assert_eq!(fs::read(aside).unwrap(), damaged);
    let again = repair(&daemon, &["--yes"]);
    assert!(text(&again.stdout).contains("nothing was set aside"), "{}", text(&again.stdout));

    daemon.start_again();
    assert!(accepted(&Client::named(&daemon, "station"), &person, "125_4").await);
    let officer = Client::named(&daemon, "officer");
    assert_eq!(officer.get(&format!("/v1/subjects/{gone}")).await.status, 404);
    subject(&officer, "Ada").await;
    let boss = administrator(&daemon).await;
    assert_eq!(done(&boss, "verify").await["state"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_in_which_an_erasure_is_given_up_serves_all_others_and_the_erased_stay_erased() {
    let mut daemon = Daemon::with(REPLAYS);
    let officer = Client::named(&daemon, "officer");
    let person = enrolled(&officer, "125").await;
    let erased = enrolled(&officer, "126").await;
    let (segment, before) = last_segment(&store(&daemon));
    let deleted = officer.ask(&Method::DELETE, &format!("/v1/subjects/{erased}"), None).await;
    assert_eq!(deleted.status, 204);
    daemon.terminate();
    assert!(daemon.wait().success());
    // The first bytes that the erasure wrote, behind the mark that it overwrote.
    harm(&segment, &[before + 8, before + 9, before + 20]);
    daemon.start_again();
    assert_eq!(Client::stranger(&daemon).get("/v1/health/live").await.body["state"], "failed");
    // It holds nothing of what it cannot serve.
    let repaired = repair(&daemon, &["--yes"]);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    assert!(text(&repaired.stderr).contains("stays erased"), "{}", text(&repaired.stderr));
    assert_eq!(daemon.end(), Some(65));
    daemon.start_again();
    assert!(accepted(&Client::named(&daemon, "station"), &person, "125_4").await);
    let officer = Client::named(&daemon, "officer");
    assert_eq!(officer.get(&format!("/v1/subjects/{erased}")).await.status, 404);
    assert_eq!(officer.get("/v1/subjects").await.body["subjects"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_with_a_passphrase_is_repaired_with_it_from_a_file_and_not_without() {
    let mut daemon = Daemon::with(REPLAYS);
    let boss = administrator(&daemon).await;
    let body = json!({ "mode": "passphrase", "passphrase": PASSPHRASE });
    let chosen = boss.ask(&Method::PUT, "/v1/system/at-rest", Some(body.to_string().into_bytes())).await;
    assert_eq!(chosen.status, 200, "{:?}", chosen.body);
    subject(&Client::named(&daemon, "officer"), "Ada").await;
    daemon.terminate();
    assert!(daemon.wait().success());
    let (segment, end) = last_segment(&store(&daemon));
    harm(&segment, &[end - 72, end - 92, end - 93]);
    let file = daemon.pki().with_file_name("passphrase");
    let file = file.to_str().unwrap();
    let missing = repair(&daemon, &["--yes"]);
    assert_eq!(missing.status.code(), Some(66), "{}", text(&missing.stderr));
    assert!(text(&missing.stderr).contains("--passphrase-file"), "{}", text(&missing.stderr));
    fs::write(file, "not the passphrase\n").unwrap();
    let wrong = repair(&daemon, &["--yes", "--passphrase-file", file]);
    assert_eq!(wrong.status.code(), Some(77), "{}", text(&wrong.stderr));
    fs::write(file, format!("{PASSPHRASE}\n")).unwrap();
    let repaired = repair(&daemon, &["--yes", "--passphrase-file", file]);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    for output in [missing, wrong, repaired] {
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains("horse"), "{said}");
    }
    daemon.start_again();
    let boss = Client::named(&daemon, "boss");
    let opened = boss.post("/v1/system/unlock", &json!({ "passphrase": PASSPHRASE })).await;
    assert_eq!(opened.status, 200, "{:?}", opened.body);
}
