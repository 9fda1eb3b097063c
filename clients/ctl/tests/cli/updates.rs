//! Updates of the box, as far as the client sees them.

use serde_json::json;

use crate::support::{Asked, Cardboard};

fn state(state: &str, error: Option<&str>) -> Vec<u8> {
    let mut answer = json!({"state": state, "slot": "a", "version": "1.0.0", "board": "b", "floor": "1.0.0"});
    match error {
        Some(why) => answer["error"] = json!(why),
        None => answer["pending"] = json!("1.1.0"),
    }
    answer.to_string().into_bytes()
}

fn file() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.raucb");
    std::fs::write(&path, b"a bundle").unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn lines(cardboard: &Cardboard) -> Vec<String> {
    cardboard.asked().into_iter().map(|asked| asked.line).collect()
}

#[test]
fn applying_sends_the_bundle_waits_for_the_installation_and_restarts_into_a_trial() {
    let cardboard = Cardboard::start(|asked: &Asked| match asked.line.as_str() {
        "GET /v1/system/update" => (200, state("ready", None)),
        _ => (202, state("installing", None)),
    });
    let (_folder, path) = file();
    let run = cardboard.ctl(&["update", "apply", &path, "--no-reboot"]);
    assert_eq!((run.code, lines(&cardboard).len()), (0, 2), "{run:?}");
    assert!(run.out.contains("1.1.0"), "{run:?}");
    let run = cardboard.ctl(&["update", "apply", &path]);
    assert_eq!(run.code, 0, "{run:?}");
    let asked = cardboard.asked();
    assert_eq!(asked[0].content_type.as_deref(), Some("application/vnd.rauc.bundle"));
    assert_eq!(
        lines(&cardboard)[2..],
        ["POST /v1/system/update", "GET /v1/system/update", "POST /v1/system/update/trial"]
    );
}

#[test]
fn a_bundle_that_the_box_refuses_is_a_failure_with_its_reason_and_no_restart() {
    let cardboard = Cardboard::start(|asked: &Asked| match asked.line.as_str() {
        "GET /v1/system/update" => (200, state("failed", Some("signed by nobody"))),
        _ => (202, state("installing", None)),
    });
    let (_folder, path) = file();
    let run = cardboard.ctl(&["update", "apply", &path]);
    assert_eq!((run.code, lines(&cardboard).len()), (1, 2), "{run:?}");
    assert!(run.out.contains("signed by nobody"), "{run:?}");
    let run = cardboard.ctl(&["--json", "update", "status"]);
    assert_eq!((run.code, run.json()["state"].as_str()), (0, Some("failed")));
}
