//! Directories that a box follows, as far as the client sees them.

use serde_json::{Value, json};

use crate::support::{Asked, Cardboard};

const PLAN: &str = "00112233445566aa";

fn directory(held: bool) -> Value {
    let mut directory = json!({
        "name": "corp", "kind": "active-directory", "state": "following", "stale": false,
        "read": "2026-11-29T08:00:00Z", "people": {"active": 30, "disabled": 0, "expired": 0, "gone": 0},
        "collisions": [], "unusable": [],
    });
    if held {
        directory["state"] = json!("held");
        directory["held"] = json!({"confirm": PLAN, "disabled": 0, "gone": 20, "erased": 0, "of": 30});
    }
    directory
}

fn outcome(done: bool) -> Value {
    let mut outcome = json!({
        "done": done, "created": 1, "changed": 0, "disabled": 0, "gone": 20, "enabled": 0, "erased": 0,
        "acts": [], "left_out": 0, "collisions": [], "unusable": [],
    });
    if !done {
        outcome["acts"] = json!([{"act": "update", "object": "o", "name": "Ada", "login": "ada", "state": "gone",
            "changed": ["gone"]}]);
    }
    outcome
}

fn answer(asked: &Asked) -> (u16, Vec<u8>) {
    let (status, body) = match asked.line.as_str() {
        "GET /v1/directory" => (200, json!({"directories": [directory(true)]})),
        "GET /v1/directory/corp/diff" => (200, outcome(false)),
        "POST /v1/directory/corp/sync" => (200, outcome(asked.body["dry_run"] != true)),
        "PUT /v1/directory/corp/password" => (204, Value::Null),
        "POST /v1/directory/corp/test" => (
            502,
            json!({"type": "urn:authenteon:problem:directory-credentials", "title": "The directory cannot be read",
                "status": 502, "detail": "the directory refuses the account's name or password"}),
        ),
        line => panic!("{line}"),
    };
    (status, if body.is_null() { Vec::new() } else { body.to_string().into_bytes() })
}

fn lines(cardboard: &Cardboard) -> Vec<String> {
    cardboard.asked().into_iter().map(|asked| asked.line).collect()
}

#[test]
fn directory_status_says_what_waits_and_a_confirmation_is_of_just_that() {
    let cardboard = Cardboard::start(answer);
    let run = cardboard.ctl(&["directory", "status"]);
    assert!(run.code == 0 && run.out.contains("20 are gone"), "{run:?}");
    let run = cardboard.ctl(&["--json", "directory", "status", "corp"]);
    assert_eq!(run.json()["held"]["confirm"], PLAN);
    assert_eq!(cardboard.ctl(&["directory", "status", "other"]).code, 2);

    let run = cardboard.ctl(&["directory", "confirm", "corp"]);
    assert!(run.code == 2 && run.err.contains("--yes"), "nobody is there to ask: {run:?}");
    let run = cardboard.ctl(&["directory", "confirm", "corp", "--plan", "ffff", "--yes"]);
    assert!(run.code == 2 && run.err.contains(PLAN), "{run:?}");
    assert!(!lines(&cardboard).iter().any(|line| line.starts_with("POST")), "nothing was confirmed");
    let run = cardboard.ctl(&["directory", "confirm", "corp", "--plan", PLAN, "--yes"]);
    assert!(run.code == 0 && run.out.contains("corp: 1 created, 20 gone"), "{run:?}");
    assert_eq!(cardboard.asked().last().unwrap().body, json!({ "confirm": PLAN }));
}

#[test]
fn directory_that_would_be_changed_is_shown_and_one_that_cannot_be_read_is_no_box_that_cannot() {
    let cardboard = Cardboard::start(answer);
    for arguments in [&["directory", "sync", "corp", "--dry-run"][..], &["directory", "diff", "corp"]] {
        let run = cardboard.ctl(arguments);
        assert!(run.code == 0 && run.out.contains("update  Ada (ada) gone"), "{run:?}");
        assert!(run.out.contains("not done"), "{run:?}");
    }
    let run = cardboard.ctl(&["directory", "test", "corp"]);
    assert!(run.code == 1 && run.err.contains("name or password"), "{run:?}");
}

#[test]
fn directory_password_comes_from_a_file_and_is_in_no_answer() {
    let cardboard = Cardboard::start(answer);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "hunter2\n").unwrap();
    let run = cardboard.ctl(&["directory", "password", "corp", "--file", path.to_str().unwrap()]);
    assert!(run.code == 0 && !run.out.contains("hunter2"), "{run:?}");
    assert_eq!(cardboard.asked()[0].body, json!({ "password": "hunter2" }));
}
