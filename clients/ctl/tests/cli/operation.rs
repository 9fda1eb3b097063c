//! How the box is, as scripts and people ask: exit codes, the diagnosis, the support bundle.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{Asked, Cardboard};

fn in_state(state: &'static str) -> (u16, Vec<u8>) {
    let body = json!({"status": "live", "state": state, "advice": "what to do"});
    (200, body.to_string().into_bytes())
}

#[test]
fn health_ends_with_the_code_of_the_state_that_the_box_is_in() {
    for (cardboard, code) in [
        (Cardboard::start(|_| in_state("operational")), 0),
        (Cardboard::start(|_| in_state("degraded")), 0),
        (Cardboard::start(|_| in_state("locked")), 3),
        (Cardboard::start(|_| in_state("unprovisioned")), 3),
        (Cardboard::start(|_| in_state("failed")), 1),
    ] {
        let run = cardboard.ctl(&["health"]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(code == 0 || run.out.contains("advice: what to do"), "{run:?}");
    }
    let hangs = Cardboard::start(|_| {
        let problem = json!({"type": "urn:authenteon:problem:hangs", "title": "The box hangs", "status": 503,
            "detail": "writer hangs", "instance": "urn:authenteon:request:look-for-me"});
        (503, problem.to_string().into_bytes())
    });
    let run = hangs.ctl(&["health"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("writer hangs (request look-for-me)"), "{run:?}");
}

#[test]
fn a_diagnosis_has_a_line_for_each_part_and_ends_with_1_when_one_is_bad() {
    let cardboard = Cardboard::start(|asked: &Asked| {
        assert_eq!(asked.line, "GET /v1/health/diagnose");
        let body = json!({"state": "operational", "result": "bad", "version": "1", "started": "now", "checks": [
            {"check": "disk", "result": "good", "detail": "7 bytes are free"},
            {"check": "certificates", "result": "bad", "detail": "the certificate of the server has ended"},
        ]});
        (200, body.to_string().into_bytes())
    });
    let run = cardboard.ctl(&["diagnose"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains("bad       certificates  the certificate of the server has ended"), "{run:?}");
    assert_eq!(cardboard.ctl(&["--json", "diagnose"]).json()["checks"][0]["check"], "disk");
}

#[test]
fn a_support_bundle_is_saved_for_its_owner_only_and_takes_no_other_file_s_place() {
    let cardboard = Cardboard::start(|_| (200, b"a tar.gz".to_vec()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.tar.gz");
    let run = cardboard.ctl(&["--json", "support-bundle", file.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["bytes"], 8);
    assert_eq!(std::fs::read(&file).unwrap(), b"a tar.gz");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = cardboard.ctl(&["support-bundle", file.to_str().unwrap()]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("it is there already"), "{again:?}");
    assert_eq!(cardboard.asked().len(), 1, "nothing is asked for what cannot be kept");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
