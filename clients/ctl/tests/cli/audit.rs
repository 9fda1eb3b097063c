//! `audit` and the rights of people against a box of cardboard: what is asked, and how a command ends.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Asked, Cardboard, Pki, ctl};

fn record(number: u64, event: &str) -> Value {
    json!({
        "number": number, "at": "2026-11-23T08:30:00Z", "previous": "00", "hash": "11",
        "by": {"client": "ab", "role": "officer", "name": "desk"}, "what": {"event": event},
    })
}

fn answering(answer: impl Fn(&Asked) -> Value + Send + Sync + 'static) -> Cardboard {
    let answer = move |asked: &Asked| {
        let value = answer(asked);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (200, text.into_bytes())
    };
    Cardboard::of(Arc::new(Pki::new()), Arc::new(answer))
}

fn check(found: Value) -> Value {
    json!({"number": 1, "state": "done", "begun": "now", "ended": "now", "done": 9, "all": 9, "found": found})
}

fn found(verdict: &Value) -> Value {
    let mut found = json!({
        "records": 9, "heads": 2, "first": 1, "last": 9, "hash": "00", "other-keys": 0, "anchor-of-other-key": false,
    });
    found.as_object_mut().unwrap().extend(verdict.as_object().unwrap().clone());
    found
}

#[test]
fn audit_tail_shows_pages_to_the_end_and_asks_for_what_is_wanted() {
    let cardboard = answering(|asked| match asked.line.contains("after=2") {
        true => json!({"records": [record(3, "client-added")], "through": 3, "head": 3}),
        false => json!({"records": [record(2, "subject-created")], "through": 2, "head": 3}),
    });
    let run = cardboard.ctl(&["audit", "tail", "-n", "2", "--event", "x", "--since", "2026-11-23"]);
    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 2, "{run:?}");
    assert!(lines[0].ends_with("2026-11-23T08:30:00Z  officer desk  subject-created"), "{run:?}");
    let asked: Vec<String> = cardboard.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(asked[0], "GET /v1/audit?limit=500&last=2&event=x&since=2026-11-23T00:00:00Z");
    assert!(asked[1].contains("after=2&event=x"), "{asked:?}");
    let json = cardboard.ctl(&["--json", "audit", "tail"]).json();
    assert_eq!(json["records"][1]["number"], 3);
    assert_eq!(cardboard.ctl(&["audit", "tail", "--since", "yesterday"]).code, 2);
}

#[test]
fn audit_verify_ends_with_6_when_something_was_changed_and_with_1_when_nothing_can_be_said() {
    for (verdict, code, says) in [
        (json!({"verdict": "whole"}), 0, "9 records, 1 to 9; heads that were signed and fit: 2"),
        (json!({"verdict": "broken", "number": 4, "why": "the record is missing"}), 6, "record 4"),
        (json!({"verdict": "truncated", "number": 12, "head": 9}), 6, "cut short"),
        (json!({"verdict": "anchor-foreign"}), 1, "not here"),
    ] {
        let end = check(found(&verdict));
        let cardboard = answering(move |asked| match asked.line.starts_with("POST") {
            true => json!({"number": 1, "state": "running", "begun": "now", "done": 0, "all": 9}),
            false => json!({ "check": end }),
        });
        let run = cardboard.ctl(&["audit", "verify"]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.out.contains(says), "{run:?}");
        assert_eq!(cardboard.asked()[0].body, json!({ "anchor": null }));
        assert_eq!(
            cardboard.ctl(&["--json", "audit", "verify"]).json()["found"]["verdict"],
            verdict["verdict"]
        );
    }
}

#[test]
fn audit_export_that_was_cut_is_no_file_and_exit_code_6() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let opening = json!({"audit-export": 1, "store": "s", "at": "now", "key": null, "start": null});
    let zeros = "0".repeat(64);
    let lines = format!("{opening}\n{}\n", json!({"number": 1, "previous": zeros}));
    let cut = lines.clone();
    let cardboard = answering(move |_| Value::String(cut.clone()));
    let path = file.to_str().unwrap();
    let run = cardboard.ctl(&["audit", "export", path, "--from", "2026-11-01"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.out.contains("cut") && !file.exists(), "{run:?}");
    assert_eq!(cardboard.asked()[0].line, "GET /v1/audit/export?since=2026-11-01T00:00:00Z");
    let whole = format!("{lines}{}\n", json!({"audit-export-end": 1, "head": null}));
    let cardboard = answering(move |_| Value::String(whole.clone()));
    let run = cardboard.ctl(&["audit", "export", path]);
    assert!(run.code == 0 && run.out.contains("unsigned: whole as far as it goes"), "{run:?}");
    // No box is asked.
    let run = ctl(&["--json", "audit", "verify", "--file", path]);
    assert_eq!((run.code, &run.json()["verdict"]), (1, &json!("unsigned")), "{run:?}");
    let run = ctl(&["audit", "verify", "--file", path, "--anchor", path]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("no signed head"), "{run:?}");
    let run = ctl(&["audit", "verify", "--proof", path]);
    assert!(run.code == 1 && run.err.contains("no proof"), "{run:?}");
}

#[test]
fn audit_forwarding_that_fails_somewhere_is_exit_code_1() {
    let to = |name: &str, error: Value| {
        json!({
            "name": name, "kind": "syslog", "state": "x", "through": 5, "lag": 2, "sent": 5, "error": error,
        })
    };
    let bad = json!({"destinations": [to("good", Value::Null), to("siem", json!("it answered 500"))]});
    let run = answering(move |_| bad.clone()).ctl(&["audit", "forwarding"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains("siem") && run.out.contains("2 to go: it answered 500"), "{run:?}");
    let good = json!({"destinations": [to("good", Value::Null)]});
    assert_eq!(answering(move |_| good.clone()).ctl(&["audit", "forwarding"]).code, 0);
}

#[test]
fn subject_export_writes_what_the_box_gives_and_templates_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ada.json");
    let path = file.to_str().unwrap();
    let cardboard = answering(|_| json!({"subject-export": 1}));
    let id = "11111111-2222-4333-8444-555555555555";
    assert_eq!(cardboard.ctl(&["subject", "export", id, path]).code, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"subject-export\":1}");
    assert_eq!(cardboard.ctl(&["subject", "export", id, path]).code, 1, "it is there already");
    assert_eq!(cardboard.ctl(&["subject", "export", id, path, "--templates", "--force"]).code, 0);
    let asked = cardboard.asked();
    assert_eq!(asked[0].line, format!("GET /v1/subjects/{id}/export"));
    assert_eq!(asked[1].line, format!("GET /v1/subjects/{id}/export?templates=true"));
    // What is no proof is not kept as one.
    let proof = folder.path().join("ada.proof");
    let run = cardboard.ctl(&["subject", "erase", id, "--yes", "--proof", proof.to_str().unwrap()]);
    assert!(run.code == 1 && !proof.exists(), "{run:?}");
}

#[test]
fn audit_tail_follows_until_it_is_interrupted() {
    let cardboard = answering(|asked| match asked.line.split("after=").nth(1) {
        None => json!({"records": [record(1, "first")], "through": 1, "head": 2}),
        Some("1") => json!({"records": [record(2, "second")], "through": 2, "head": 2}),
        Some(_) => json!({"records": [], "through": 2, "head": 2}),
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_authenteonctl"));
    let server = format!("https://{}", cardboard.address);
    let follows = command
        .args(["--server", &server, "--cacert"])
        .arg(cardboard.pki.file("ca.pem"))
        .args(["audit", "tail", "-f"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while cardboard.asked().len() < 3 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &follows.id().to_string()]).status().unwrap().success());
    let ended = follows.wait_with_output().unwrap();
    let out = String::from_utf8(ended.stdout).unwrap();
    let kinds: Vec<&str> = out.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!((ended.status.code(), kinds.as_slice()), (Some(130), ["first", "second"].as_slice()), "{out}");
}

#[test]
fn audit_tail_that_is_followed_ends_quietly_when_nobody_reads_it_any_more() {
    let cardboard = answering(|_| json!({"records": [record(1, "again")], "through": 1, "head": 9}));
    let server = format!("https://{}", cardboard.address);
    let mut follows = Command::new(env!("CARGO_BIN_EXE_authenteonctl"))
        .args(["--server", &server, "--cacert"])
        .arg(cardboard.pki.file("ca.pem"))
        .args(["audit", "tail", "-f"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(follows.stdout.take());
    let ended = follows.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn audit_that_a_box_once_wrote_is_verified_without_it() {
    let fixture = |name: &str| format!("{}/tests/fixtures/audit/{name}", env!("CARGO_MANIFEST_DIR"));
    let (export, anchor, erasure) =
        (fixture("export.jsonl"), fixture("anchor.json"), fixture("erasure.json"));
    let run = ctl(&["--json", "audit", "verify", "--file", &export, "--anchor", &anchor]);
    assert_eq!(
        (run.code, &run.json()["verdict"], &run.json()["last"]),
        (0, &json!("whole"), &json!(7)),
        "{run:?}"
    );
    let run = ctl(&["--json", "audit", "verify", "--proof", &erasure, "--anchor", &anchor]);
    assert_eq!(
        (run.code, &run.json()["verdict"], &run.json()["number"]),
        (0, &json!("proved"), &json!(9)),
        "{run:?}"
    );
    // An anchor is no proof, and a proof no anchor.
    assert_eq!(ctl(&["audit", "verify", "--proof", &anchor]).code, 1);
    assert_eq!(ctl(&["audit", "verify", "--file", &export, "--anchor", &erasure]).code, 1);
}
