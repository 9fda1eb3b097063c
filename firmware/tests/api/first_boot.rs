//! A box that starts for the first time: what it serves before it is claimed, how it is claimed, and what
//! a power cut leaves of it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use hyper::Method;
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{Answer, Client, Daemon, configure, enrolled, fixture, launch, sample, verification};

/// What comes after a word on the last line that begins with it; waits for the console to be written.
fn shown(daemon: &Daemon, word: &str) -> String {
    let began = Instant::now();
    loop {
        let out = daemon.said().out();
        let mut lines = out.lines().filter_map(|line| line.trim().strip_prefix(word));
        if let Some(rest) = lines.next_back().filter(|_| out.ends_with("\n\n") || out.ends_with("more\n")) {
            return rest.split_whitespace().next().unwrap().to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{word} is not in {out}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn code(daemon: &Daemon) -> String {
    shown(daemon, "code")
}

/// Another code with a check that fits: the last of the sixteen symbols changed with it.
fn other(code: &str) -> String {
    // Crockford's symbols; the weights of the check are 1, 3, 5 and so on.
    let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let value = |b: u8| alphabet.iter().position(|a| *a == b).unwrap();
    let mut values: Vec<usize> = code.bytes().filter(|b| *b != b'-').map(value).collect();
    values[0] = (values[0] + 1) % 32;
    values[16] = (values[16] + 1) % 32;
    values.iter().map(|v| char::from(alphabet[*v])).collect()
}

fn csr(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

async fn claim(daemon: &Daemon, code: &str, key: &KeyPair) -> Answer {
    let body = json!({ "code": code, "csr": csr(key) });
    Client::stranger(daemon).post("/v1/system/claim", &body).await
}

/// The client that a claim made.
fn administrator(daemon: &Daemon, answer: &Answer, key: &KeyPair) -> Client {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let pki = daemon.pki();
    let (certificate, private) = (pki.join("mine.pem"), pki.join("mine.key"));
    fs::write(&certificate, answer.body["certificate"].as_str().unwrap()).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    Client::with(daemon.address, &pki, Some((&certificate, &private)))
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_leads_to_an_administrator_who_enrols_without_a_restart() {
    let daemon = Daemon::unclaimed(None);
    let (code, key) = (code(&daemon), key());
    let stranger = Client::stranger(&daemon);
    assert_eq!(stranger.get("/v1/health/live").await.body["state"], "unprovisioned");

    let answer = claim(&daemon, &code, &key).await;
    let administrator = administrator(&daemon, &answer, &key);
    assert_eq!(answer.body["name"], "administrator");
    let authority = fs::read_to_string(daemon.pki().join("ca.pem")).unwrap();
    assert_eq!(answer.body["ca"], authority);
    let out = daemon.said().out();
    let sha256 = hex(&Sha256::digest(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()));
    let command =
        format!("authenteonctl claim --url https://{} --ca-sha256 {sha256} --code {code}", daemon.address);
    assert!(out.contains(&command), "{command} is not in {out}");
    assert!(out.contains(answer.body["device_id"].as_str().unwrap()), "{out}");

    assert_eq!(stranger.get("/v1/health/live").await.body["state"], "operational");
    assert_eq!(stranger.get("/v1/subjects").await.status, 401);
    assert_eq!(administrator.get("/v1/health/ready").await.body["state"], "operational");
    let subject = enrolled(&administrator, "125").await;
    // Deciding is a station's: the administrator registers one as always.
    let probe = verification(&subject, sample(&fixture("125_4")));
    assert_eq!(administrator.post("/v1/verify", &probe).await.status, 403);
    daemon.add_client("station", "station");
    daemon.hang_up();
    let station = Client::named(&daemon, "station");
    let began = Instant::now();
    while station.get("/v1/health/ready").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(station.post("/v1/verify", &probe).await.body["decision"], "accept");
    assert_eq!(administrator.get("/v1/subjects").await.status, 200, "the hang-up forgot nobody");

    let again = claim(&daemon, &code, &self::key()).await;
    assert_eq!((again.status, again.problem()), (409, "claimed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_claim_nothing_else_is_served_to_anybody() {
    let daemon = Daemon::unclaimed(None);
    // Registered on the command line, which does not make the box claimed.
    daemon.add_client("officer", "officer");
    daemon.hang_up();
    let (stranger, officer) = (Client::stranger(&daemon), Client::named(&daemon, "officer"));
    let document = stranger.get("/v1/openapi.json").await.body;
    let mut served = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let at = path
            .replace("{id}", "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11")
            .replace("{position}", "left-thumb")
            .replace("{name}", "nobody");
        for (method, operation) in methods.as_object().unwrap() {
            let states: Vec<String> = serde_json::from_value(operation["x-states"].clone()).unwrap();
            let name = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for client in [&stranger, &officer] {
                let answer = client.ask(&name, &at, Some(b"{}".to_vec())).await;
                let refused = (answer.status, answer.problem()) == (503, "unprovisioned");
                assert_eq!(refused, !states.contains(&"unprovisioned".to_owned()), "{method} {path}");
                if refused {
                    assert!(answer.detail().contains("authenteonctl claim"), "{}", answer.detail());
                }
            }
            if states.contains(&"unprovisioned".to_owned()) {
                served.push(path.clone());
            }
        }
    }
    assert_eq!(served, ["/v1/health/live", "/v1/health/state", "/v1/openapi.json", "/v1/system/claim"]);
    for path in ["/", "/v2", "/v1/system/claim/x"] {
        assert_eq!(officer.get(path).await.status, 503, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_bring_another_and_no_code_is_in_the_log() {
    let daemon = Daemon::unclaimed(None);
    let old = code(&daemon);
    let wrong = other(&old);
    let key = key();
    for left in (1..5).rev() {
        let answer = claim(&daemon, &wrong, &key).await;
        assert_eq!((answer.status, answer.problem()), (403, "wrong-code"));
        assert!(answer.detail().contains(&format!("left: {left}")), "{}", answer.detail());
    }
    let answer = claim(&daemon, &wrong, &key).await;
    assert_eq!((answer.status, answer.problem()), (403, "wrong-code"));
    assert!(answer.detail().contains("another code"), "{}", answer.detail());
    let began = Instant::now();
    while code(&daemon) == old {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    let new = code(&daemon);
    assert_eq!(claim(&daemon, &old, &key).await.status, 403);
    // What is no request costs nothing, and what is no body neither.
    let stranger = Client::stranger(&daemon);
    let bad = stranger.post("/v1/system/claim", &json!({ "code": new, "csr": "x" })).await;
    assert_eq!((bad.status, bad.problem()), (422, "not-a-csr"));
    for (body, status) in [
        (json!({ "code": new }), 400),
        (json!({ "code": new, "csr": "x", "role": "administrator" }), 400),
        (json!({ "code": new, "csr": "x".repeat(20_000) }), 413),
    ] {
        assert_eq!(stranger.post("/v1/system/claim", &body).await.status, status, "{body}");
    }
    assert_eq!(claim(&daemon, &new, &key).await.status, 200);

    // The log is read by a thread of its own.
    let began = Instant::now();
    while !daemon.said().log().contains("the box is claimed") {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = daemon.said().log().to_uppercase();
    assert!(log.contains("A WRONG CLAIM CODE"), "{log}");
    for code in [&old, &new, &wrong] {
        // Half of a code is as bad as the whole.
        for half in [code[..9].to_owned(), code.replace('-', "")[..8].to_owned()] {
            assert!(!log.contains(&half), "{half} is in the log");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_claims_at_the_same_moment_one_is_answered() {
    let daemon = Daemon::unclaimed(None);
    let code = code(&daemon);
    let (one, two) = (key(), key());
    let (one, two) = tokio::join!(claim(&daemon, &code, &one), claim(&daemon, &code, &two));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let clients = fs::read_to_string(daemon.pki().join("clients.toml")).unwrap();
    assert_eq!(clients.matches("[[client]]").count(), 1, "{clients}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_without_a_screen_is_claimed_with_the_code_of_its_provision_toml() {
    let chosen = "0f6a1d8c2b9e47358a";
    let text = format!("version = 1\ncode-sha256 = \"{}\"\n", hex(&Sha256::digest(chosen)));
    let daemon = Daemon::unclaimed(Some(&text));
    assert_eq!(code(&daemon), "the", "the one chosen");
    assert_eq!(claim(&daemon, "another", &key()).await.problem(), "wrong-code");
    let key = key();
    let answer = claim(&daemon, chosen, &key).await;
    let administrator = administrator(&daemon, &answer, &key);
    assert_eq!(administrator.get("/v1/subjects").await.status, 200);
    assert!(!(daemon.said().out() + &daemon.said().log()).contains(chosen));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_provision_toml_is_told_and_a_code_is_shown_instead() {
    let daemon = Daemon::unclaimed(Some("version = 1\ncode = \"mine\"\n"));
    let shown = code(&daemon);
    let out = daemon.said().out();
    assert!(out.contains("provision.toml is not used: line 2"), "{out}");
    assert_eq!(claim(&daemon, "mine", &key()).await.status, 403);
    assert_eq!(claim(&daemon, &shown, &key()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_survives_a_power_cut_and_the_same_key_is_told_again() {
    let mut daemon = Daemon::unclaimed(None);
    let (code, key) = (code(&daemon), key());
    let first = claim(&daemon, &code, &key).await;
    daemon.kill();
    daemon.start_again();
    let again = claim(&daemon, &code, &key).await;
    assert_eq!(again.body, first.body);
    assert_eq!(administrator(&daemon, &again, &key).get("/v1/subjects").await.status, 200);
    assert_eq!(claim(&daemon, &code, &self::key()).await.problem(), "claimed");
    assert_eq!(daemon.said().out(), "", "a claimed box shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_before_the_claim_is_kept_leaves_a_box_that_can_be_claimed() {
    let mut daemon = Daemon::unclaimed(None);
    let (old, lost) = (code(&daemon), key());
    let answer = claim(&daemon, &old, &lost).await;
    daemon.kill();
    // The record is what reaches the disk last.
    fs::remove_file(daemon.pki().join("claimed.toml")).unwrap();
    daemon.start_again();
    let gone = administrator(&daemon, &answer, &lost);
    assert_eq!(gone.get("/v1/subjects").await.problem(), "unprovisioned");
    let (code, key) = (code(&daemon), key());
    assert_ne!(code, old);
    let answer = claim(&daemon, &code, &key).await;
    assert_eq!(gone.get("/v1/subjects").await.status, 401, "the claim that was lost is nobody's");
    assert_eq!(administrator(&daemon, &answer, &key).get("/v1/subjects").await.status, 200);
}

/// Names of what is in a folder; none when there is no folder.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Waits for a path to be there, without a pause: the moment after is what is looked for.
fn appears(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{path:?} did not appear");
        std::hint::spin_loop();
    }
}

/// Lets a process run for a moment, and holds it.
fn run_for(child: &std::process::Child, moment: Duration) {
    let process = Pid::from_child(child);
    kill_process(process, Signal::CONT).unwrap();
    std::thread::sleep(moment);
    kill_process(process, Signal::STOP).unwrap();
}

/// Lets a process run moment by moment until something is so: who looks may be slower than it.
fn step_until(child: &std::process::Child, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come to be so");
        run_for(child, Duration::from_micros(200));
    }
}

#[test]
fn a_power_cut_at_any_moment_of_the_first_start_leaves_nothing_or_all() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "[claim]\n[log]\njson = true\n");
    let (pki, unfinished) = (folder.path().join("pki"), folder.path().join("pki.unfinished"));
    let (mut nothing, mut half, mut all) = (0, 0, 0);
    for round in 0..40 {
        let mut child = launch(folder.path());
        match round % 4 {
            // What an earlier cut left is thrown away first, so that its place may be empty for a moment.
            0 | 1 if !unfinished.exists() => {
                step_until(&child, || unfinished.exists() || pki.exists());
                run_for(&child, Duration::from_micros(150 * round));
            }
            3 => appears(&pki),
            _ => std::thread::sleep(Duration::from_millis(4 * round)),
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = files(&pki);
        if left.is_empty() {
            nothing += 1;
            half += usize::from(unfinished.exists());
            continue;
        }
        all += 1;
        for name in ["ca.key", "ca.pem", "server.key", "server.pem", "device-id"] {
            assert!(left.contains(&name.to_owned()), "round {round}: {left:?}");
        }
        assert!(!unfinished.exists(), "round {round}");
        fs::remove_dir_all(&pki).unwrap();
    }
    println!("cuts that left nothing: {nothing}, {half} of them something unfinished; all: {all}");
    assert!(half > 0 && all >= 10, "the cuts missed what they are for");
    // And it starts from whatever the last cut left.
    let mut child = launch(folder.path());
    appears(&pki);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!unfinished.exists());
}
