//! What a box stores is of no use without its keys: the passphrase, its way over the API, and a store of the
//! version before.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use authenteon::update::{agent, protocol::Request, slots::Slot};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    boxes::{Box_, Ca, ask, bundle},
    support::{Answer, Client, Daemon, enrolled, fixture, fresh, known, sample, subject, verification},
};

const PASSPHRASE: &str = "correct horse battery staple";

async fn put(client: &Client, body: &Value) -> Answer {
    client.ask(&Method::PUT, "/v1/system/at-rest", Some(body.to_string().into_bytes())).await
}

async fn unlock(client: &Client, passphrase: &str) -> Answer {
    client.post("/v1/system/unlock", &json!({ "passphrase": passphrase })).await
}

/// The same impression is presented after each start.
const REPLAYS: &str = "policy.replay = \"off\"\n";

async fn accepted(station: &Client, person: &str) -> bool {
    let answer = station.post("/v1/verify", &verification(person, sample(&fixture("125_4")))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["decision"] == "accept"
}

fn restart(daemon: &mut Daemon) {
    daemon.terminate();
    assert!(daemon.wait().success());
    daemon.start_again();
}

/// Whether any file below a folder holds a text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        // The files of the index come and go while the daemon runs.
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    })
}

fn store(daemon: &Daemon) -> PathBuf {
    daemon.pki().with_file_name("store")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_with_a_passphrase_is_locked_after_every_start_until_an_administrator_gives_it() {
    let mut daemon = Daemon::with(REPLAYS);
    let boss = known(&daemon, "boss", "administrator").await;
    let person = enrolled(&Client::named(&daemon, "officer"), "125").await;
    subject(&Client::named(&daemon, "officer"), "Countess Lovelace").await;
    assert_eq!(boss.get("/v1/health/ready").await.body["at_rest"], "key-file");

    let short = put(&boss, &json!({ "mode": "passphrase", "passphrase": "too short" })).await;
    assert_eq!((short.status, short.problem()), (422, "passphrase-too-short"));
    let chosen = put(&boss, &json!({ "mode": "passphrase", "passphrase": PASSPHRASE })).await;
    assert_eq!((chosen.status, &chosen.body["mode"]), (200, &json!("passphrase")), "{:?}", chosen.body);
    let log = daemon.said().log();
    restart(&mut daemon);

    let (boss, officer, station) = (
        Client::named(&daemon, "boss"),
        Client::named(&daemon, "officer"),
        Client::named(&daemon, "station"),
    );
    let stranger = Client::stranger(&daemon);
    assert_eq!(stranger.get("/v1/health/live").await.body["state"], "locked");
    assert_eq!(unlock(&stranger, PASSPHRASE).await.status, 401);
    assert_eq!(
        (unlock(&officer, PASSPHRASE).await.status, stranger.get("/v1/subjects").await.status),
        (403, 401)
    );
    for (client, path) in
        [(&officer, "/v1/subjects"), (&boss, "/v1/system/at-rest"), (&boss, "/v1/health/ready")]
    {
        let refused = client.get(path).await;
        assert_eq!((refused.status, refused.problem()), (503, "locked"), "{path}");
    }
    let verify = verification(&person, sample(&fixture("125_4")));
    assert_eq!(station.post("/v1/verify", &verify).await.problem(), "locked");
    let wrong = unlock(&boss, "correct horse battery stable").await;
    assert_eq!((wrong.status, wrong.problem()), (403, "wrong-passphrase"));
    let right = unlock(&boss, PASSPHRASE).await;
    assert_eq!((right.status, &right.body["state"]), (200, &json!("operational")), "{:?}", right.body);
    assert!(accepted(&station, &person).await);
    assert_eq!(unlock(&boss, PASSPHRASE).await.problem(), "not-locked");

    assert!(!holds(&store(&daemon), "Lovelace"));
    for log in [log, daemon.said().log()] {
        assert!(!log.contains("horse"), "{log}");
    }
    // And without one again: who changes it knows it.
    let unknown = put(&boss, &json!({ "mode": "key-file" })).await;
    assert_eq!((unknown.status, unknown.problem()), (422, "passphrase-missing"));
    let wrong = put(&boss, &json!({ "mode": "key-file", "current": "not the passphrase" })).await;
    assert_eq!((wrong.status, wrong.problem()), (403, "wrong-passphrase"));
    let changed = put(&boss, &json!({ "mode": "key-file", "current": PASSPHRASE })).await;
    assert_eq!((changed.status, &changed.body["mode"]), (200, &json!("key-file")), "{:?}", changed.body);
    restart(&mut daemon);
    assert!(accepted(&Client::named(&daemon, "station"), &person).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passphrases_make_the_right_one_wait() {
    let mut daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    assert_eq!(put(&boss, &json!({ "mode": "passphrase", "passphrase": PASSPHRASE })).await.status, 200);
    restart(&mut daemon);
    let boss = Client::named(&daemon, "boss");
    for _ in 0..4 {
        assert_eq!(unlock(&boss, "wrong").await.problem(), "wrong-passphrase");
    }
    let early = unlock(&boss, PASSPHRASE).await;
    assert_eq!((early.status, early.problem()), (429, "too-many-attempts"), "{:?}", early.body);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(unlock(&boss, PASSPHRASE).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_for_a_passphrase_is_refused_and_not_repeated() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    for body in [
        json!({ "mode": "passphrase" }),
        json!({ "mode": "key-file", "passphrase": PASSPHRASE }),
        json!({ "mode": "tpm", "passphrase": PASSPHRASE }),
        json!({ "mode": "passphrase", "passphrase": 7 }),
        json!({ "mode": "passphrase", "passphrase": PASSPHRASE, "more": 1 }),
    ] {
        let answer = put(&boss, &body).await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{body}");
        assert!(!answer.body.to_string().contains("horse"), "{:?}", answer.body);
    }
    let long = "x".repeat(20_000);
    assert_eq!(put(&boss, &json!({ "mode": "passphrase", "passphrase": long })).await.status, 413);
    assert_eq!(boss.get("/v1/system/at-rest").await.body, json!({ "mode": "key-file", "snapshot": false }));
}

#[cfg(not(feature = "tpm"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_build_without_tpm_support_says_so_and_keeps_its_key() {
    let daemon = Daemon::with("store.tpm = { pcrs = [7] }\n");
    let boss = known(&daemon, "boss", "administrator").await;
    let refused = put(&boss, &json!({ "mode": "tpm" })).await;
    assert_eq!((refused.status, refused.problem()), (409, "no-tpm"));
    assert!(refused.body["detail"].as_str().unwrap().contains("--features tpm"), "{:?}", refused.body);
    assert_eq!(boss.get("/v1/system/at-rest").await.body["mode"], "key-file");
    assert!(store(&daemon).join("keys/master").exists());
}

#[cfg(feature = "tpm")]
#[tokio::test(flavor = "multi_thread")]
async fn a_box_whose_key_its_tpm_seals_starts_by_itself_and_has_no_key_on_its_disk() {
    use authenteon_tests::swtpm::{Swtpm, SwtpmError};
    let state = tempfile::tempdir().unwrap();
    let tpm = match Swtpm::start(state.path()) {
        Err(why @ SwtpmError::NotInstalled) => return println!("skipped: {why}"),
        started => started.unwrap(),
    };
    let section = format!("{REPLAYS}store.tpm = {{ tcti = {:?}, pcrs = [7] }}\n", tpm.tcti());
    let mut daemon = Daemon::with(&section);
    let boss = known(&daemon, "boss", "administrator").await;
    let person = enrolled(&Client::named(&daemon, "officer"), "125").await;
    let sealed = put(&boss, &json!({ "mode": "tpm" })).await;
    assert_eq!((sealed.status, &sealed.body["mode"]), (200, &json!("tpm")), "{:?}", sealed.body);
    assert_eq!(boss.get("/v1/health/ready").await.body["at_rest"], "tpm");
    assert!(!store(&daemon).join("keys/master").exists());
    restart(&mut daemon);
    assert!(accepted(&Client::named(&daemon, "station"), &person).await);

    // Its TPM is gone: it goes on until its next start, and no other master key is lost.
    drop(tpm);
    let boss = Client::named(&daemon, "boss");
    let refused = put(&boss, &json!({ "mode": "tpm" })).await;
    assert_eq!((refused.status, refused.problem()), (409, "no-tpm"), "{:?}", refused.body);
    assert_eq!(put(&boss, &json!({ "mode": "key-file" })).await.status, 200);
    restart(&mut daemon);
    assert!(accepted(&Client::named(&daemon, "station"), &person).await);
}

/// An agent on this box, listening.
fn serve_agent(the_box: &Box_) -> (Arc<agent::Agent>, PathBuf) {
    let socket = the_box.path("system.sock");
    let agent = Arc::new(the_box.agent());
    let (served, path) = (Arc::clone(&agent), socket.clone());
    thread::spawn(move || agent::serve(&served, &path, None));
    let began = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(20));
    }
    (agent, socket)
}

/// What `update` says of this start.
fn boot(path: &Path, trial: bool) {
    let told = json!({
        "slot": "b", "trial": trial, "board": "qemu-virt", "version": "1.1.0", "build": 1,
        "devices": {"autoboot": "1", "boot-a": "2", "boot-b": "3", "rootfs-a": "5", "rootfs-b": "6"},
    });
    fs::write(path, told.to_string()).unwrap();
}

/// Where the last act of a person is said to have come from.
async fn last_from(boss: &Client) -> Value {
    let page = boss.get("/v1/audit?last=20").await.body;
    let records = page["records"].as_array().unwrap();
    let mut of_people = records.iter().filter(|record| record["by"]["name"] != "this box");
    of_people.next_back().unwrap()["by"]["from"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_kept_encrypts_the_store_of_the_one_before_and_not_earlier() {
    // The version before: it knows no encryption.
    let folder = tempfile::tempdir().unwrap();
    let boot_file = folder.path().join("boot.json");
    let ca = Ca::new("ours");
    let mut the_box = Box_::new(&ca);
    let (socket, update) = (the_box.path("system.sock"), the_box.path("update"));
    let sections = format!("[update]\nfolder = {update:?}\nagent = {socket:?}\nboot = {boot_file:?}\n");
    boot(&boot_file, false);
    let mut daemon = Daemon::with(&format!("store.hold-format = true\n{sections}"));
    let person = enrolled(&Client::named(&daemon, "officer"), "125").await;
    daemon.terminate();
    assert!(daemon.wait().success());
    assert!(!store(&daemon).join("keys").exists());

    // This version on trial, while nobody answers for it: the old format is read and written.
    let config = fs::read_to_string(daemon.config()).unwrap().replace("store.hold-format = true\n", "");
    fs::write(daemon.config(), config).unwrap();
    boot(&boot_file, true);
    the_box.install(&bundle(&ca, "1.1.0")).unwrap();
    the_box.start(Slot::B, true, "1.1.0");
    daemon.start_again();
    let officer = Client::named(&daemon, "officer");
    assert_eq!(officer.get("/v1/health/ready").await.body["at_rest"], "not-encrypted");
    subject(&officer, "Countess Lovelace").await;
    let boss = known(&daemon, "boss", "administrator").await;
    let early = put(&boss, &json!({ "mode": "passphrase", "passphrase": PASSPHRASE })).await;
    assert_eq!((early.status, early.problem()), (409, "not-encrypted"));
    assert!(holds(&store(&daemon), "Lovelace"));
    // Nor does the audit tell what the version before could not read.
    let samples = ["127_1", "128_1"].map(|print| sample(&fixture(print)));
    let two = json!({ "request_id": fresh(), "nonce": fresh(), "samples": samples });
    assert_eq!(Client::named(&daemon, "station").post("/v1/identify", &two).await.status, 200);
    assert_eq!(last_from(&boss).await, Value::Null);
    let page = boss.get("/v1/audit?last=20").await.body;
    let last =
        page["records"].as_array().unwrap().iter().rfind(|r| r["what"]["event"] == "identified").unwrap();
    assert_eq!((&last["what"]["decision"], last["what"].get("fingers")), (&json!("refuse"), None), "{last}");

    // Now it is kept, and ends to be started anew.
    let (agent, _) = serve_agent(&the_box);
    assert!(daemon.wait().success());
    assert_eq!(ask(&agent, &Request::Status {}).unwrap().committed, Slot::B);
    daemon.start_again();
    let officer = Client::named(&daemon, "officer");
    let ready = officer.get("/v1/health/ready").await.body;
    assert_eq!((&ready["at_rest"], &ready["snapshot"]), (&json!("key-file"), &json!(true)), "{ready}");
    assert!(accepted(&Client::named(&daemon, "station"), &person).await);
    assert_eq!(officer.get("/v1/subjects").await.body["subjects"].as_array().unwrap().len(), 2);
    let snapshot = daemon.pki().with_file_name("store.before-3");
    assert!(!holds(&store(&daemon), "Lovelace") && holds(&snapshot, "Lovelace"));

    // Whoever is deleted is in no copy.
    let deleted = officer.ask(&Method::DELETE, &format!("/v1/subjects/{person}"), None).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(last_from(&Client::named(&daemon, "boss")).await, "127.0.0.1");
    assert!(!snapshot.exists());
    assert_eq!(officer.get("/v1/health/ready").await.body["snapshot"], false);
}
