//! Commands that ask a box, against a server that answers what each test needs.

use crate::support::{Asked, Cardboard, Pki, ctl};
use serde_json::{Value, json};

const ID: &str = "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11";

fn body(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn problem(status: u16, slug: &str, detail: &str) -> (u16, Vec<u8>) {
    let kind = format!("urn:authenteon:problem:{slug}");
    (status, body(&json!({"type": kind, "title": "No", "status": status, "detail": detail})))
}

/// Answers a decision in the name of whoever asked.
fn decide(asked: &Asked, mut decision: Value) -> (u16, Vec<u8>) {
    for key in ["request_id", "nonce"] {
        decision[key] = asked.body[key].clone();
    }
    (200, body(&decision))
}

/// A folder with files that begin like images; the client sends them as they are.
fn prints() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.png", "b.tif", "c.bmp"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], b"\x89PNG\r\n\x1a\none").unwrap();
    std::fs::write(&paths[1], b"II*\0two").unwrap();
    std::fs::write(&paths[2], b"BMthree").unwrap();
    let paths = paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    (folder, paths)
}

#[test]
fn creating_a_subject_prints_its_id_alone() {
    let cardboard =
        Cardboard::start(|_| (201, body(&json!({"subject_id": ID, "name": "Ada", "created": 1}))));
    let run = cardboard.ctl(&["subject", "create", "Ada"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, format!("{ID}\n").as_str(), ""));
    let asked = &cardboard.asked()[0];
    assert_eq!(asked.line, "POST /v1/subjects");
    assert_eq!(asked.body, json!({"name": "Ada"}));
    assert_eq!(asked.content_type.as_deref(), Some("application/json"));
    assert!(asked.with_certificate);
}

#[test]
fn a_list_is_read_page_by_page_until_the_last() {
    let cardboard = Cardboard::start(|asked| {
        let subject = |id: &str| json!({"subject_id": id, "name": "N", "created": "", "fingers": []});
        let page = match asked.line.as_str() {
            "GET /v1/subjects?limit=200" => {
                json!({"subjects": [subject("one"), subject("two")], "next": "two"})
            }
            _ => json!({"subjects": [subject("three")]}),
        };
        (200, body(&page))
    });
    let run = cardboard.ctl(&["--json", "subject", "list"]);
    let listed = run.json();
    let all = listed["subjects"].as_array().unwrap();
    let ids: Vec<&str> = all.iter().filter_map(|s| s["subject_id"].as_str()).collect();
    assert_eq!((run.code, ids), (0, vec!["one", "two", "three"]));
    let lines: Vec<String> = cardboard.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["GET /v1/subjects?limit=200", "GET /v1/subjects?limit=200&after=two"]);
}

#[test]
fn a_box_that_gives_the_same_page_for_ever_does_not_hold_the_client() {
    let cardboard = Cardboard::start(|_| {
        (
            200,
            body(
                &json!({"subjects": [{"subject_id": ID, "name": "Ada", "created": 1, "fingers": []}], "next": ID}),
            ),
        )
    });
    let run = cardboard.ctl(&["subject", "list"]);
    assert_eq!((run.code, cardboard.asked().len()), (1, 2), "{run:?}");
}

#[test]
fn showing_a_subject_tells_its_fingers() {
    let cardboard = Cardboard::start(|_| {
        let finger = json!({"position": "left-thumb", "impressions": 3, "quality": 71});
        (
            200,
            body(
                &json!({"subject_id": ID, "name": "Ada", "created": "2026-01-01T00:00:00Z", "fingers": [finger]}),
            ),
        )
    });
    let run = cardboard.ctl(&["subject", "show", ID]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("Ada") && run.out.contains("left-thumb") && run.out.contains("quality 71"));
}

#[test]
fn enrolling_sends_every_image_with_its_format_and_resolution() {
    let cardboard = Cardboard::start(|_| {
        (201, body(&json!({"position": "right-index", "impressions": 3, "quality": 80})))
    });
    let (_folder, files) = prints();
    let arguments = ["finger", "enrol", ID, "right-index", &files[0], &files[1], &files[2], "--dpi", "569"];
    assert_eq!(cardboard.ctl(&arguments).code, 0);
    let asked = &cardboard.asked()[0];
    assert_eq!(asked.line, format!("POST /v1/subjects/{ID}/fingers"));
    assert_eq!(asked.body["position"], "right-index");
    let formats: Vec<&Value> =
        asked.body["samples"].as_array().unwrap().iter().map(|s| &s["format"]).collect();
    assert_eq!(formats, ["png", "tiff", "bmp"]);
    assert!(asked.body["samples"].as_array().unwrap().iter().all(|sample| sample["dpi"] == 569));
}

#[test]
fn an_accepted_finger_ends_with_code_0_and_names_the_subject() {
    let cardboard = Cardboard::start(|asked| decide(asked, json!({"decision": "accept", "subject_id": ID})));
    let (_folder, files) = prints();
    let run = cardboard.ctl(&["verify", ID, &files[0]]);
    assert_eq!((run.code, run.out), (0, format!("accepted: {ID}\n")));
    let run = cardboard.ctl(&["identify", &files[0]]);
    assert_eq!((run.code, run.out), (0, format!("accepted: {ID}\n")));
    let lines: Vec<String> = cardboard.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["POST /v1/verify", "POST /v1/identify"]);
}

#[test]
fn two_fingers_are_identified_in_one_request_from_files_or_at_a_reader() {
    let cardboard = Cardboard::start(|asked| {
        decide(asked, json!({"decision": "refuse", "reason": "fingers-required", "fingers": 2}))
    });
    let (_folder, files) = prints();
    let run = cardboard.ctl(&["identify", &files[0]]);
    assert_eq!((run.code, run.out.as_str()), (4, "refused: fingers-required, present 2 different fingers\n"));
    cardboard.ctl(&["identify", &files[0], &files[1]]);
    cardboard.ctl(&["identify", "--sensor", "usb-1", "--fingers", "2"]);
    let asked: Vec<Value> = cardboard.asked().into_iter().map(|asked| asked.body).collect();
    assert!(asked[0]["sample"].is_object() && asked[0].get("samples").is_none(), "{}", asked[0]);
    let formats: Vec<&Value> = asked[1]["samples"].as_array().unwrap().iter().map(|s| &s["format"]).collect();
    assert_eq!(formats, ["png", "tiff"]);
    let sensors: Vec<&Value> = asked[2]["samples"].as_array().unwrap().iter().map(|s| &s["sensor"]).collect();
    assert_eq!(sensors, ["usb-1", "usb-1"]);
    let three = cardboard.ctl(&["identify", &files[0], &files[1], &files[2]]);
    assert_eq!((three.code, cardboard.asked().len()), (2, 3), "{three:?}");
}

#[test]
fn every_request_has_its_own_id_and_nonce() {
    let cardboard =
        Cardboard::start(|asked| decide(asked, json!({"decision": "refuse", "reason": "not-matched"})));
    let (_folder, files) = prints();
    for _ in 0..2 {
        cardboard.ctl(&["verify", ID, &files[0]]);
    }
    let asked = cardboard.asked();
    for key in ["request_id", "nonce"] {
        assert!(asked[0].body[key].is_string());
        assert_ne!(asked[0].body[key], asked[1].body[key]);
    }
}

#[test]
fn a_refused_finger_ends_with_code_4_and_a_bad_print_with_code_1() {
    let (_folder, files) = prints();
    let refusing =
        Cardboard::start(|asked| decide(asked, json!({"decision": "refuse", "reason": "not-matched"})));
    let run = refusing.ctl(&["verify", ID, &files[0]]);
    assert_eq!((run.code, run.out.as_str()), (4, "refused: not-matched\n"));
    let unsure =
        Cardboard::start(|asked| decide(asked, json!({"decision": "retry", "hint": "press harder"})));
    let run = unsure.ctl(&["--json", "verify", ID, &files[0]]);
    assert_eq!((run.code, run.json()["hint"].as_str()), (1, Some("press harder")));
}

#[test]
fn an_answer_to_another_request_is_not_believed() {
    let cardboard = Cardboard::start(|_| {
        let stale = json!({"decision": "accept", "subject_id": ID, "request_id": "old", "nonce": "old"});
        (200, body(&stale))
    });
    let (_folder, files) = prints();
    let run = cardboard.ctl(&["verify", ID, &files[0]]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("belongs to another request"), "{run:?}");
}

#[test]
fn a_refusal_by_role_ends_with_code_5_and_says_what_to_do() {
    let cardboard = Cardboard::start(|_| problem(403, "forbidden", "this needs the role officer"));
    let run = cardboard.ctl(&["subject", "list"]);
    assert_eq!((run.code, run.out.as_str()), (5, ""));
    for part in ["No: this needs the role officer", "stations verify and identify"] {
        assert!(run.err.contains(part), "{run:?}");
    }
}

#[test]
fn with_json_an_error_is_one_json_value_on_standard_output() {
    let cardboard = Cardboard::start(|_| problem(404, "unknown-subject", "no such subject"));
    let run = cardboard.ctl(&["--json", "subject", "show", ID]);
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    let error = run.json();
    assert_eq!(error["error"]["type"], "urn:authenteon:problem:unknown-subject");
    assert_eq!(error["error"]["detail"], "no such subject");
    assert_eq!(error["exit"], 1);
}

#[test]
fn a_locked_box_ends_with_code_3() {
    let cardboard = Cardboard::start(|_| problem(503, "locked", "passphrase awaited"));
    assert_eq!(cardboard.ctl(&["subject", "list"]).code, 3);
}

#[test]
fn health_needs_no_certificate_and_tells_more_with_one() {
    let cardboard = Cardboard::start(|_| (200, body(&json!({"status": "operational"}))));
    let ca = cardboard.pki.file("ca.pem");
    let run = cardboard.ctl_bare(&["--cacert", ca.to_str().unwrap(), "health"]);
    assert_eq!((run.code, cardboard.asked().len()), (0, 1));
    assert!(!cardboard.asked()[0].with_certificate);
    let run_known = cardboard.ctl(&["--json", "health"]);
    assert_eq!(run_known.json()["ready"]["status"], "operational");
    assert!(run.out.starts_with("live: operational\n"), "{run:?}");
}

#[test]
fn nobody_there_ends_with_code_69() {
    let pki = Pki::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (server, ca) = (format!("https://127.0.0.1:{port}"), pki.file("ca.pem"));
    let run = ctl(&["--server", &server, "--cacert", ca.to_str().unwrap(), "health"]);
    assert_eq!(run.code, 69, "{run:?}");
    assert!(run.err.contains("cannot reach") && run.err.contains("--server"), "{run:?}");
}

#[test]
fn a_box_that_never_answers_ends_with_code_69_in_time() {
    let cardboard = Cardboard::start(|_| (0, Vec::new()));
    let run = cardboard.ctl(&["--timeout", "1", "subject", "list"]);
    assert_eq!(run.code, 69, "{run:?}");
    assert!(run.err.contains("within 1 s"), "{run:?}");
}

#[test]
fn a_box_of_another_ca_is_not_trusted() {
    let (cardboard, other) = (Cardboard::start(|_| (200, body(&json!({})))), Pki::new());
    let run = cardboard.ctl_bare(&["--cacert", other.file("ca.pem").to_str().unwrap(), "health"]);
    assert_eq!(run.code, 78, "{run:?}");
    assert!(run.err.contains("is not the box expected"), "{run:?}");
    assert!(cardboard.asked().is_empty());
}

#[test]
fn a_client_certificate_of_another_ca_is_refused_as_not_permitted() {
    let (cardboard, other) = (Cardboard::start(|_| (200, body(&json!({})))), Pki::new());
    let files = [cardboard.pki.file("ca.pem"), other.file("client.pem"), other.file("client.key")];
    let [ca, cert, key] = files.each_ref().map(|path| path.to_str().unwrap());
    let run = cardboard.ctl_bare(&["--cacert", ca, "--cert", cert, "--key", key, "health"]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("refused the client certificate"), "{run:?}");
}

#[test]
fn certificate_files_that_are_missing_or_nonsense_end_with_code_78() {
    let cardboard = Cardboard::start(|_| (200, body(&json!({}))));
    let (ca, key) = (cardboard.pki.file("ca.pem"), cardboard.pki.file("client.key"));
    let (ca, key) = (ca.to_str().unwrap(), key.to_str().unwrap());
    let cases: [&[&str]; 6] = [
        &[],
        &["--cacert", "/no/such/file"],
        &["--cacert", key],
        &["--cacert", ca, "--cert", ca],
        &["--cacert", ca, "--key", key],
        &["--cacert", ca, "--cert", ca, "--key", ca],
    ];
    for case in cases {
        let run = cardboard.ctl_bare(&[case, &["health"]].concat());
        assert_eq!((run.code, run.out.as_str()), (78, ""), "{case:?}: {run:?}");
    }
    assert!(cardboard.asked().is_empty());
}

#[test]
fn wrong_usage_ends_with_code_2_and_asks_the_box_nothing() {
    let cardboard = Cardboard::start(|_| (200, body(&json!({}))));
    let cases: [&[&str]; 6] = [
        &["--server", "http://127.0.0.1:3411", "health"],
        &["verify", ID],
        &["finger", "enrol", ID, "sixth-finger", "x.png"],
        &["finger", "enrol", ID, "left-thumb"],
        &["identify", "x.png", "--dpi", "20"],
        &["subject", "delete", ID],
    ];
    for case in cases {
        assert_eq!(cardboard.ctl(case).code, 2, "{case:?}");
    }
    assert!(cardboard.asked().is_empty());
}

#[test]
fn deleting_goes_ahead_when_told_yes() {
    let cardboard = Cardboard::start(|_| (204, Vec::new()));
    assert_eq!(cardboard.ctl(&["subject", "delete", ID, "--yes"]).code, 0);
    assert_eq!(cardboard.ctl(&["finger", "delete", ID, "left-ring", "--yes"]).code, 0);
    let lines: Vec<String> = cardboard.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        [format!("DELETE /v1/subjects/{ID}"), format!("DELETE /v1/subjects/{ID}/fingers/left-ring"),]
    );
}

#[test]
fn an_answer_beyond_all_measure_is_refused() {
    let cardboard = Cardboard::start(|_| (200, vec![b' '; (16 << 20) + 1]));
    let run = cardboard.ctl(&["health"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("longer than"), "{run:?}");
}

#[test]
fn an_answer_that_is_not_json_is_an_error() {
    let cardboard = Cardboard::start(|_| (200, b"<html>".to_vec()));
    assert_eq!(cardboard.ctl(&["health"]).code, 1);
}

#[test]
fn something_that_speaks_no_tls_is_not_the_box() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let pki = Pki::new();
    let run = ctl(&["--server", &server, "--cacert", pki.file("ca.pem").to_str().unwrap(), "health"]);
    plain.join().unwrap();
    assert_eq!(run.code, 78, "{run:?}");
}

#[test]
fn completions_need_no_box() {
    let run = ctl(&["completions", "bash"]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("authenteonctl"));
}

#[test]
fn the_help_lists_the_exit_codes() {
    let run = ctl(&["--help"]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("Exit codes:") && run.out.contains("69"));
}
