//! Adding and removing those who hold a certificate, at a box of cardboard.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde_json::json;

use crate::support::{Cardboard, Pki};

fn cardboard() -> Cardboard {
    let pki = Arc::new(Pki::new());
    let signer = Arc::clone(&pki);
    let answer = move |asked: &crate::support::Asked| match asked.line.as_str() {
        "POST /v1/stations" => {
            let station = json!({"name": asked.body["name"], "role": asked.body["role"], "sha256": "ab"});
            let certificate = signer.certify(asked.body["csr"].as_str().unwrap());
            let body = json!({"station": station, "certificate": certificate, "ca": signer.authority()});
            (201, body.to_string().into_bytes())
        }
        "GET /v1/stations" => {
            let body = json!({"stations": [{"name": "desk", "role": "station", "sha256": "ab"}]});
            (200, body.to_string().into_bytes())
        }
        "DELETE /v1/stations/desk" => (204, Vec::new()),
        _ => (404, b"{}".to_vec()),
    };
    Cardboard::of(pki, Arc::new(answer))
}

#[test]
fn a_station_that_is_added_has_its_key_in_a_file_that_nobody_else_reads() {
    let (cardboard, folder) = (cardboard(), tempfile::tempdir().unwrap());
    let out = folder.path().join("desk");
    let run = cardboard.ctl(&["station", "add", "desk", "--out", out.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
    let mode = std::fs::metadata(out.join("desk.key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(std::fs::read_to_string(out.join("desk.pem")).unwrap().contains("CERTIFICATE"));
    assert!(out.join("ca.pem").exists());
    let asked = cardboard.asked();
    assert_eq!(
        (asked[0].body["name"].clone(), asked[0].body["role"].clone()),
        (json!("desk"), json!("station"))
    );
    assert!(!asked[0].body.to_string().contains("PRIVATE"));

    let again = cardboard.ctl(&["station", "add", "desk", "--out", out.to_str().unwrap()]);
    assert_eq!(again.code, 2, "nothing is overwritten: {again:?}");
}

#[test]
fn stations_are_listed_and_removed_and_names_that_are_paths_are_no_names() {
    let cardboard = cardboard();
    let run = cardboard.ctl(&["station", "list"]);
    assert!(run.out.starts_with("desk "), "{run:?}");
    assert_eq!(cardboard.ctl(&["station", "remove", "desk", "--yes"]).code, 0);
    assert_eq!(cardboard.ctl(&["station", "remove", "../desk", "--yes"]).code, 2);
    assert_eq!(cardboard.ctl(&["station", "add", "a/b"]).code, 2);
    assert_eq!(cardboard.asked().len(), 2);
}
