//! `sensor list|capture|test` of a box.

use serde_json::{Value, json};

use crate::support::{Asked, Cardboard};

fn body(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A box with one reader that is there and one that is not.
fn readers(asked: &Asked) -> (u16, Vec<u8>) {
    let answer = match asked.line.as_str() {
        "GET /v1/sensors" => json!({"sensors": [
            {"sensor": "serial-ttyS1", "model": "R503", "state": "adopted", "present": false, "busy": false, "frames": 0,
             "last_error": "no module answers"},
            {"sensor": "usb-05ba-000a-1-1", "model": "U.are.U", "state": "unknown", "port": "1-1", "present": true, "busy": false, "frames": 7,
             "width": 384, "height": 289, "dpi": 500},
        ]}),
        "POST /v1/sensors/usb-05ba-000a-1-1/capture" => json!({
            "sensor": "usb-05ba-000a-1-1", "format": "png", "data": "iVBORw==", "width": 384, "height": 289,
            "dpi": 500, "quality": 0, "hint": "place a clean finger flat on the reader",
        }),
        "POST /v1/sensors/usb-05ba-000a-1-1/test" => json!({
            "sensor": "usb-05ba-000a-1-1", "passed": false, "steps": [
                {"step": "answers", "result": "passed", "ms": 2},
                {"step": "bare", "result": "failed", "detail": "the finger was not lifted", "ms": 3000},
            ],
        }),
        "POST /v1/sensors/usb-05ba-000a-1-1/adopt" | "POST /v1/sensors/serial-ttyS1/resume" => json!({
            "sensor": "usb-05ba-000a-1-1", "model": "U.are.U", "state": "adopted", "port": "1-1", "present": true,
        }),
        "DELETE /v1/sensors/serial-ttyS1/adopt" => return (204, Vec::new()),
        _ => {
            let problem = json!({"type": "urn:authenteon:problem:sensor-removed", "title": "The reader was removed",
                "status": 503, "detail": "the reader was removed"});
            return (503, body(&problem));
        }
    };
    (200, body(&answer))
}

#[test]
fn readers_are_listed_one_a_line_with_what_is_wrong() {
    let cardboard = Cardboard::start(readers);
    let run = cardboard.ctl(&["sensor", "list"]);
    let expected = "serial-ttyS1  adopted  absent  R503  (no module answers)\n\
                    usb-05ba-000a-1-1  unknown  present  U.are.U  384x289  500 dpi  at 1-1\n";
    assert_eq!((run.code, run.out.as_str()), (0, expected));
}

#[test]
fn a_list_is_csv_when_it_is_asked_for() {
    let cardboard = Cardboard::start(readers);
    let run = cardboard.ctl(&["sensor", "list", "--output", "csv"]);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!((run.code, lines.len()), (0, 3), "{run:?}");
    assert!(
        lines[0].split(',').any(|column| column == "sensor") && lines[2].contains("usb-05ba-000a-1-1"),
        "{run:?}"
    );
    assert!(cardboard.ctl(&["sensor", "list", "--output", "json"]).json()["sensors"].is_array());
    assert_eq!(cardboard.ctl(&["sensor", "list", "--json", "--output", "csv"]).code, 2);
}

#[test]
fn a_capture_at_the_only_reader_there_writes_the_frame_and_tells_its_quality() {
    let cardboard = Cardboard::start(readers);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("frame.png");
    let run = cardboard.ctl(&["sensor", "capture", "--out", out.to_str().unwrap(), "--wait", "3"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("quality 0; place a clean finger"), "{run:?}");
    assert_eq!(std::fs::read(&out).unwrap(), b"\x89PNG");
    let asked = cardboard.asked();
    assert_eq!(asked.last().unwrap().body, json!({"timeout_ms": 3000}));
    let json = cardboard.ctl(&["--json", "sensor", "capture", "--out", out.to_str().unwrap()]).json();
    assert_eq!((json.get("data"), &json["out"]), (None, &json!(out)));
}

#[test]
fn a_failed_test_fails_and_names_the_step() {
    let cardboard = Cardboard::start(readers);
    let run = cardboard.ctl(&["sensor", "test"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("bare     failed     3000 ms: the finger was not lifted"), "{run:?}");
    assert_eq!(cardboard.asked().last().unwrap().body, json!({}));
    cardboard.ctl(&["sensor", "test", "usb-05ba-000a-1-1", "--finger"]);
    assert_eq!(cardboard.asked().last().unwrap().body, json!({"timeout_ms": 15_000}));
}

#[test]
fn a_reader_that_was_removed_is_no_unreachable_box_and_nothing_is_written() {
    let cardboard = Cardboard::start(readers);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("frame.png");
    let run = cardboard.ctl(&["sensor", "capture", "serial-ttyS1", "--out", out.to_str().unwrap()]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("removed") && run.err.contains("Plug the reader in"), "{run:?}");
    assert!(!out.exists());
    let odd = cardboard.ctl(&["sensor", "test", "../subjects"]);
    assert_eq!(odd.code, 2, "a name is no path: {odd:?}");
}

#[test]
fn a_reader_is_adopted_as_it_was_shown_and_only_when_somebody_says_yes() {
    let cardboard = Cardboard::start(readers);
    let unasked = cardboard.ctl(&["sensor", "adopt"]);
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(
        unasked.err.contains("Adopt usb-05ba-000a-1-1: U.are.U, no serial number, at 1-1"),
        "{unasked:?}"
    );
    assert_eq!(cardboard.asked().len(), 1, "nothing was changed");
    let adopted = cardboard.ctl(&["sensor", "adopt", "--yes"]);
    assert_eq!(
        (adopted.code, adopted.out.starts_with("adopted usb-05ba-000a-1-1  adopted")),
        (0, true),
        "{adopted:?}"
    );
    assert_eq!(cardboard.asked().last().unwrap().body, json!({"model": "U.are.U", "port": "1-1"}));
    let absent = cardboard.ctl(&["sensor", "adopt", "serial-ttyS1", "--yes"]);
    assert!(absent.code == 1 && absent.err.contains("plug it in"), "{absent:?}");
    assert_eq!(cardboard.ctl(&["sensor", "resume", "serial-ttyS1"]).code, 0);
    let released = cardboard.ctl(&["--json", "sensor", "release", "serial-ttyS1", "--yes"]);
    assert_eq!(released.json(), json!({"released": "serial-ttyS1"}));
    assert_eq!(cardboard.ctl(&["sensor", "resume", "../subjects"]).code, 2, "a name is no path");
}

/// A box at whose reader somebody lays a finger.
fn telling(asked: &Asked) -> (u16, Vec<u8>) {
    let place = json!({"sensor": "usb-1", "impression": 1, "of": 1});
    let answer = json!({"decision": "refuse", "reason": "not-matched", "request_id": asked.body["request_id"],
        "nonce": asked.body["nonce"]});
    let last = match asked.line.as_str() {
        "POST /v1/verify" => format!("event: result\ndata: {answer}\n\n"),
        _ => {
            let kind = "urn:authenteon:problem:sensor-timeout";
            let problem =
                json!({"type": kind, "title": "No finger in time", "status": 408, "detail": "none"});
            format!("event: problem\ndata: {problem}\n\n")
        }
    };
    (200, format!(": still here\n\nevent: place-finger\ndata: {place}\n\n{last}").into_bytes())
}

#[test]
fn a_verification_at_a_reader_shows_what_to_do_and_ends_with_the_decision() {
    let cardboard = Cardboard::start(telling);
    let id = "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11";
    let verify = ["verify", id, "--sensor", "usb-1", "--wait", "7"];
    let run = cardboard.ctl(&[&["--json"], &verify[..]].concat());
    assert_eq!((run.code, &run.json()["reason"]), (4, &json!("not-matched")), "{run:?}");
    let told: Value = serde_json::from_str(run.err.trim()).unwrap();
    assert_eq!(told, json!({"event": "place-finger", "sensor": "usb-1", "impression": 1, "of": 1}));
    let asked = cardboard.asked();
    assert_eq!(asked[0].body["sample"], json!({"sensor": "usb-1", "timeout_ms": 7000}));
    // Nothing to look at where no terminal is.
    let quiet = cardboard.ctl(&verify);
    assert_eq!((quiet.code, quiet.err.as_str(), quiet.out.trim()), (4, "", "refused: not-matched"));
    let late = cardboard.ctl(&["finger", "enrol", id, "left-thumb", "--sensor", "usb-1"]);
    assert!(late.code == 1 && late.err.contains("--wait"), "{late:?}");
    let asked = cardboard.asked();
    assert_eq!(asked.last().unwrap().body["samples"].as_array().unwrap().len(), 3);
    for wrong in [&["verify", id][..], &["verify", id, "a.png", "--sensor", "usb-1"]] {
        assert_eq!(cardboard.ctl(wrong).code, 2, "{wrong:?}");
    }
}
