//! The upkeep of what a box stores, as far as the client sees it.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Asked, Cardboard, Pki};

fn task(job: &str, state: &str, more: &Value) -> Value {
    let mut task = json!({
        "number": 3, "task": job, "state": state, "by": "boss", "begun": "2026-11-29T08:00:00Z", "done": 500,
        "all": 1000, "indexing": false,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        task[key] = value.clone();
    }
    task
}

fn stats() -> Value {
    let bytes = |total: u64| {
        json!({"total": total, "snapshot": total / 2, "journal": total / 4, "keys": total / 8, "index": total / 8,
            "values": total / 2})
    };
    json!({
        "sequence": 9, "people": 1000, "templates": 3000, "values": {"subjects": 1000, "fingers": 999, "policy": 0},
        "bytes": bytes(8 << 20), "bytes_per_person": bytes(8000), "bytes_per_template": 2796,
        "free_bytes": 5u64 << 30, "indexed": true, "task": task("verify", "running", &json!({})),
    })
}

/// A box whose tasks end when they are asked for the third time, with `end`.
fn cardboard(end: Value) -> Cardboard {
    let asked_for = AtomicU64::new(0);
    let answer = move |asked: &Asked| -> (u16, Vec<u8>) {
        let job = asked.line.rsplit('/').next().unwrap_or_default();
        let (status, body) = match asked.line.as_str() {
            "GET /v1/system/store" => (200, stats()),
            "GET /v1/system/store/task" if asked_for.fetch_add(1, Ordering::SeqCst) < 2 => {
                (200, json!({"task": task("verify", "running", &json!({}))}))
            }
            "GET /v1/system/store/task" => (200, json!({"task": end})),
            _ => (202, task(job, "running", &json!({"done": 0}))),
        };
        (status, body.to_string().into_bytes())
    };
    Cardboard::of(Arc::new(Pki::new()), Arc::new(answer))
}

#[test]
fn store_stats_are_a_table_of_people_values_bytes_for_each_person_and_what_is_free() {
    let cardboard = cardboard(Value::Null);
    let run = cardboard.ctl(&["db", "stats"]);
    assert_eq!(run.code, 0, "{run:?}");
    for (name, value) in [
        ("people", "1000"),
        ("  fingers", "999"),
        ("on the disk", "8.00 MiB"),
        ("bytes per person", "8000"),
        ("  journal: snapshot", "4000"),
        ("  journal: since then", "2000"),
        ("  keys", "1000"),
        ("  index", "1000"),
        ("bytes per template", "2796"),
        ("free", "5.00 GiB"),
    ] {
        let line = |line: &str| line.starts_with(name) && line.ends_with(&format!(" {value}"));
        assert!(run.out.lines().any(line), "{name}: {}", run.out);
    }
    assert!(!run.out.contains("policy") && run.out.contains("verify, begun by boss"), "{}", run.out);
    assert!(run.out.contains("running, 50 %"), "{}", run.out);
    assert_eq!(cardboard.ctl(&["--json", "db", "stats"]).json(), stats());
}

#[test]
fn store_tasks_are_waited_for_and_say_what_they_came_to() {
    let end = task("verify", "done", &json!({"verified": {"values": 1999, "differences": 0}}));
    let waited = cardboard(end.clone());
    let run = waited.ctl(&["db", "verify"]);
    assert_eq!((run.code, run.out.as_str()), (0, "1999 values are whole\n"), "{run:?}");
    let lines: Vec<String> = waited.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[0], "POST /v1/system/store/verify");
    assert_eq!(lines[1..], ["GET /v1/system/store/task"; 3]);
    assert_eq!(cardboard(end.clone()).ctl(&["--json", "db", "verify"]).json(), end);
    for (job, says) in [("compact", "small"), ("rotate-keys", "other keys")] {
        let cardboard = cardboard(task(job, "done", &json!({})));
        let run = cardboard.ctl(&["db", job]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.out.contains(says), "{run:?}");
        assert_eq!(cardboard.asked()[0].line, format!("POST /v1/system/store/{job}"));
    }
}

#[test]
fn store_that_is_damaged_is_a_failure_with_its_place_and_its_repair() {
    let detail = "the store is damaged at journal/segment-1, byte 7: restore a backup, or use `authenteond store repair`";
    let kind = "urn:authenteon:problem:store-damaged";
    let problem = json!({"type": kind, "title": "The store is damaged", "status": 500, "detail": detail});
    let end = task("verify", "failed", &json!({ "problem": problem }));
    let run = cardboard(end.clone()).ctl(&["db", "verify"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{run:?}");
    assert!(run.err.contains("segment-1, byte 7") && run.err.contains("store repair --config"), "{run:?}");
    let run = cardboard(end).ctl(&["--json", "db", "verify"]);
    assert_eq!((run.code, &run.json()["error"]["type"]), (1, &json!(kind)), "{run:?}");
}

#[test]
fn store_task_that_another_began_is_named_and_one_of_a_box_that_started_anew_is_missed() {
    let refused = Cardboard::start(|_| {
        let kind = "urn:authenteon:problem:upkeep-running";
        let body = json!({"type": kind, "title": "x", "status": 409, "detail": "compact is running"});
        (409, body.to_string().into_bytes())
    });
    let run = refused.ctl(&["db", "verify"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("compact is running") && run.err.contains("db stats"), "{run:?}");
    let anew = Cardboard::start(|asked: &Asked| match asked.line.as_str() {
        "GET /v1/system/store/task" => (200, b"{}".to_vec()),
        _ => (202, task("verify", "running", &json!({})).to_string().into_bytes()),
    });
    let run = anew.ctl(&["db", "verify"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("started anew"), "{run:?}");
}

#[test]
fn store_task_goes_on_when_whoever_waits_for_it_is_interrupted() {
    let cardboard = Cardboard::start(|asked: &Asked| {
        let task = task("compact", "running", &json!({}));
        let get = asked.line.starts_with("GET");
        let (status, body) = if get { (200, json!({ "task": task })) } else { (202, task) };
        (status, body.to_string().into_bytes())
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_authenteonctl"));
    let server = format!("https://{}", cardboard.address);
    let waits = command
        .args(["--server", &server, "--cacert"])
        .arg(cardboard.pki.file("ca.pem"))
        .args(["db", "compact"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while cardboard.asked().len() < 3 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &waits.id().to_string()]).status().unwrap().success());
    let ended = waits.wait_with_output().unwrap();
    let out = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{out}");
    assert!(out.contains("goes on at the box") && out.contains("authenteonctl db stats"), "{out}");
}
