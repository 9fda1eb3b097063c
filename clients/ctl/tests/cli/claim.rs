//! Claiming a box of cardboard: what is sent, what is kept, and that a false box is told nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::support::{Cardboard, Pki, ctl};

const CODE: &str = "ABCD-EFGH-JKMN-PQRS-T";

/// A box that gives whoever claims it a certificate.
fn unclaimed() -> Cardboard {
    let pki = Arc::new(Pki::new());
    let signer = Arc::clone(&pki);
    let answer = move |asked: &crate::support::Asked| {
        if asked.line != "POST /v1/system/claim" {
            return (200, json!({"status": "live", "state": "operational"}).to_string().into_bytes());
        }
        let certificate = signer.certify(asked.body["csr"].as_str().unwrap());
        let body = json!({"certificate": certificate, "ca": signer.authority(),
            "device_id": "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11", "name": "administrator"});
        (200, body.to_string().into_bytes())
    };
    Cardboard::of(pki, Arc::new(answer))
}

fn url(cardboard: &Cardboard) -> String {
    format!("https://{}", cardboard.address)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_claim_keeps_three_files_and_says_what_to_type_next() {
    let (cardboard, root) = (unclaimed(), tempfile::tempdir().unwrap());
    let out = root.path().join("box");
    let (url, sha256, folder) = (url(&cardboard), cardboard.pki.sha256(), out.to_str().unwrap());
    let run = ctl(&["claim", "--url", &url, "--ca-sha256", &sha256, "--code", CODE, "--out", folder]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(files(&out), ["administrator.key", "administrator.pem", "box-id", "ca.pem"]);
    let mode = |name: &str| fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("administrator.key"), mode("../box")), (0o600, 0o700));
    let asked = cardboard.asked();
    assert_eq!((asked.len(), asked[0].line.as_str()), (1, "POST /v1/system/claim"));
    assert_eq!(asked[0].body["code"], CODE);
    assert!(!asked[0].with_certificate);
    assert!(!asked[0].body.to_string().contains("PRIVATE"));

    // What it says next can be typed, and works with what it wrote.
    let next = run.out.lines().find_map(|line| line.trim().strip_prefix("authenteonctl ")).unwrap();
    let next = ctl(&next.split(' ').collect::<Vec<_>>());
    assert_eq!(next.code, 0, "{next:?}");
    assert!(cardboard.asked()[1].with_certificate);
}

#[test]
fn a_box_of_another_authority_is_sent_nothing() {
    let (cardboard, root) = (unclaimed(), tempfile::tempdir().unwrap());
    let out = root.path().join("box");
    let (url, folder) = (url(&cardboard), out.to_str().unwrap());
    let other = Pki::new().sha256();
    let run = ctl(&["claim", "--url", &url, "--ca-sha256", &other, "--code", CODE, "--out", folder]);
    assert_eq!(run.code, 78, "{run:?}");
    assert!(run.err.contains(&other) && run.err.contains("sent nothing"), "{run:?}");
    assert!(cardboard.asked().is_empty(), "{:?}", cardboard.asked());
    assert!(files(root.path()).is_empty());
}

#[test]
fn a_false_box_that_shows_the_right_authority_is_sent_nothing() {
    // It has the true box's certificate of the authority, which is no secret, beside one of its own.
    let (truth, lie) = (Arc::new(Pki::new()), Arc::new(Pki::new()));
    let cardboard = Cardboard::showing(lie, &truth);
    let root = tempfile::tempdir().unwrap();
    let (url, folder) = (url(&cardboard), root.path().to_str().unwrap());
    let run = ctl(&["claim", "--url", &url, "--ca-sha256", &truth.sha256(), "--code", CODE, "--out", folder]);
    assert_eq!(run.code, 78, "{run:?}");
    assert!(cardboard.asked().is_empty(), "{:?}", cardboard.asked());
}

#[test]
fn what_is_there_is_not_overwritten_and_a_claim_without_an_answer_can_be_repeated() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().to_str().unwrap();
    let refusing = Cardboard::start(|_| {
        let kind = "urn:authenteon:problem:wrong-code";
        let problem = json!({"type": kind, "title": "No", "status": 403, "detail": "wrong codes left: 4"});
        (403, problem.to_string().into_bytes())
    });
    let sha256 = refusing.pki.sha256();
    let run =
        ctl(&["claim", "--url", &url(&refusing), "--ca-sha256", &sha256, "--code", CODE, "--out", folder]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("left: 4") && run.err.contains("console"), "{run:?}");
    assert_eq!(files(root.path()), ["administrator.key"]);
    let key = fs::read(root.path().join("administrator.key")).unwrap();

    let cardboard = unclaimed();
    let (url, sha256) = (url(&cardboard), cardboard.pki.sha256());
    let claim = ["claim", "--url", &url, "--ca-sha256", &sha256, "--code", CODE, "--out", folder];
    assert_eq!(ctl(&claim).code, 0);
    assert_eq!(fs::read(root.path().join("administrator.key")).unwrap(), key, "the same key again");
    let run = ctl(&claim);
    assert_eq!((run.code, cardboard.asked().len()), (2, 1), "{run:?}");
    assert!(run.err.contains("is there already"), "{run:?}");
}

#[test]
fn a_box_that_answers_with_somebody_else_s_certificate_is_not_believed() {
    let pki = Arc::new(Pki::new());
    let signer = Arc::clone(&pki);
    let cardboard = Cardboard::of(
        pki,
        Arc::new(move |_| {
            let certificate = fs::read_to_string(signer.file("client.pem")).unwrap();
            let body =
                json!({"certificate": certificate, "ca": signer.authority(), "device_id": "x", "name": "y"});
            (200, body.to_string().into_bytes())
        }),
    );
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().to_str().unwrap();
    let sha256 = cardboard.pki.sha256();
    let run =
        ctl(&["claim", "--url", &url(&cardboard), "--ca-sha256", &sha256, "--code", CODE, "--out", folder]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("makes no sense"), "{run:?}");
    assert_eq!(files(root.path()), ["administrator.key"]);
}

#[test]
fn without_a_code_or_a_fingerprint_nothing_is_sent() {
    let (cardboard, root) = (unclaimed(), tempfile::tempdir().unwrap());
    let (url, sha256, folder) = (url(&cardboard), cardboard.pki.sha256(), root.path().to_str().unwrap());
    let run = ctl(&["claim", "--url", &url, "--code", CODE, "--out", folder]);
    assert_eq!(run.code, 2, "{run:?}");
    let run = ctl(&["claim", "--url", &url, "--ca-sha256", "00ff", "--code", CODE, "--out", folder]);
    assert_eq!(run.code, 2, "{run:?}");
    for code in [&[][..], &["--code", "-"]] {
        // Standard input is empty.
        let run = ctl(&[&["claim", "--url", &url, "--ca-sha256", &sha256, "--out", folder], code].concat());
        assert_eq!(run.code, 78, "{run:?}");
    }
    assert!(cardboard.asked().is_empty() && files(root.path()).is_empty());
}
