//! The passphrase of a box that encrypts what it stores, as far as the client sees it.

use serde_json::json;

use crate::support::{Asked, Cardboard};

fn problem(status: u16, slug: &str) -> (u16, Vec<u8>) {
    let kind = format!("urn:authenteon:problem:{slug}");
    (status, json!({"type": kind, "title": slug, "status": status, "detail": "x"}).to_string().into_bytes())
}

fn cardboard() -> Cardboard {
    Cardboard::start(|asked: &Asked| match asked.line.as_str() {
        "POST /v1/system/unlock" if asked.body == json!({"passphrase": "correct horse battery"}) => {
            (200, json!({"state": "operational"}).to_string().into_bytes())
        }
        "POST /v1/system/unlock" => problem(403, "wrong-passphrase"),
        "PUT /v1/system/at-rest" if asked.body["mode"] == "key-file" && asked.body["current"].is_null() => {
            problem(422, "passphrase-missing")
        }
        "PUT /v1/system/at-rest" if asked.body["mode"] == "tpm" && asked.body["current"].is_null() => {
            problem(409, "no-tpm")
        }
        "PUT /v1/system/at-rest" | "GET /v1/system/at-rest" => {
            (200, json!({"mode": "passphrase", "snapshot": false}).to_string().into_bytes())
        }
        _ => problem(503, "locked"),
    })
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_locked_box_is_unlocked_with_the_passphrase_in_a_file() {
    let cardboard = cardboard();
    let run = cardboard.ctl(&["subject", "list"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("authenteonctl unlock"), "{run:?}");
    let (_folder, right) = file("correct horse battery\n");
    let run = cardboard.ctl(&["unlock", "--passphrase-file", &right]);
    assert_eq!((run.code, run.out.as_str()), (0, "unlocked\n"), "{run:?}");
    let (_folder, wrong) = file("another horse\n");
    let run = cardboard.ctl(&["unlock", "--passphrase-file", &wrong]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(!run.err.contains("horse") && run.err.contains("third"), "{run:?}");
    // Nobody is at the terminal, and standard input is empty.
    assert_ne!(cardboard.ctl(&["unlock"]).code, 0);
    assert_ne!(cardboard.ctl(&["unlock", "--passphrase-file", "/nowhere"]).code, 0);
}

#[test]
fn a_passphrase_is_chosen_and_what_follows_from_it_is_said() {
    let cardboard = cardboard();
    let (_folder, new) = file("correct horse battery\n");
    let run = cardboard.ctl(&["at-rest", "passphrase", "--new-file", &new]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("authenteonctl unlock") && !run.out.contains("horse"), "{run:?}");
    assert_eq!(cardboard.asked()[0].body["passphrase"], "correct horse battery");
    let run = cardboard.ctl(&["at-rest", "key-file"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("--current-file"), "{run:?}");
    assert_eq!(cardboard.ctl(&["at-rest", "key-file", "--current-file", &new]).code, 0);
    let run = cardboard.ctl(&["--json", "at-rest", "show"]);
    assert_eq!((run.code, run.json()["mode"].as_str()), (0, Some("passphrase")));
}

#[test]
fn a_tpm_is_asked_for_with_the_present_passphrase_and_a_box_without_one_says_what_else_there_is() {
    let cardboard = cardboard();
    let run = cardboard.ctl(&["at-rest", "tpm"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("passphrase needs none"), "{run:?}");
    let (_folder, present) = file("correct horse battery\n");
    assert_eq!(cardboard.ctl(&["at-rest", "tpm", "--current-file", &present]).code, 0);
    let asked = &cardboard.asked()[1].body;
    assert_eq!(asked, &json!({"mode": "tpm", "current": "correct horse battery"}));
}
