//! Samples that are none: each is refused with what is wrong with it, at verification, identification and
//! enrolment alike, in bounded memory, and the daemon goes on.

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Daemon, blank, encoded, enrolled, fixture, identification, png_announcing, sample,
    subject, verification,
};

/// What the three routes make of a sample.
struct Refusals {
    verify: Answer,
    identify: Answer,
    enrol: Answer,
}

async fn refusals(daemon: &Daemon, bad: &Value) -> Refusals {
    let (officer, station) = (Client::named(daemon, "officer"), Client::named(daemon, "station"));
    let id = subject(&officer, "somebody").await;
    let path = format!("/v1/subjects/{id}/fingers");
    let samples = json!([sample(&fixture("125_1")), bad, sample(&fixture("125_3"))]);
    let refusals = Refusals {
        verify: station.post("/v1/verify", &verification(&id, bad.clone())).await,
        identify: station.post("/v1/identify", &identification(bad.clone())).await,
        enrol: officer.post(&path, &json!({ "position": "left-thumb", "samples": samples })).await,
    };
    assert_eq!(officer.get(&path).await.body, json!({ "fingers": [] }), "nothing of it is kept");
    assert_eq!(station.get("/v1/health/ready").await.status, 200);
    refusals
}

/// A sample that is refused for what it is, whoever presents it.
async fn is_refused(daemon: &Daemon, bad: &Value, problem: &str, detail: &str) {
    let Refusals { verify, identify, enrol } = refusals(daemon, bad).await;
    for answer in [verify, identify] {
        assert_eq!((answer.status, answer.problem()), (422, problem), "{:?}", answer.body);
        assert!(answer.detail().contains(detail), "{}", answer.detail());
    }
    assert_eq!((enrol.status, enrol.problem()), (422, problem), "{:?}", enrol.body);
    assert!(
        enrol.detail().starts_with("sample 1: ") && enrol.detail().contains(detail),
        "{}",
        enrol.detail()
    );
}

/// An image without a usable finger: a person tries again, and an enrolment says which one it was.
async fn is_tried_again(daemon: &Daemon, bad: &Value) {
    let Refusals { verify, identify, enrol } = refusals(daemon, bad).await;
    for answer in [verify, identify] {
        assert_eq!((answer.status, &answer.body["decision"]), (200, &json!("retry")), "{:?}", answer.body);
        assert!(answer.body["hint"].as_str().is_some_and(|h| h.contains("finger")), "{:?}", answer.body);
    }
    assert_eq!((enrol.status, enrol.problem()), (422, "no-template"), "{:?}", enrol.body);
    assert!(enrol.detail().starts_with("sample 1: "), "{}", enrol.detail());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_image_are_refused() {
    let daemon = Daemon::start();
    for bytes in [&b"not an image"[..], b"", b"\xff\xd8\xff\xe0 a jpeg begins so", b"\x89PNG"] {
        is_refused(&daemon, &sample(bytes), "not-an-image", "not a PNG, TIFF, BMP or WSQ image").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_template_are_refused() {
    let daemon = Daemon::start();
    let not_ours = encoded("template", b"FMR\0 20\0", 500);
    is_refused(&daemon, &not_ours, "not-a-template", "not an Authenteon template").await;
    let image = encoded("minutiae-record", &fixture("125_2"), 500);
    is_refused(&daemon, &image, "not-a-template", "not a minutiae record").await;
    let cut = encoded("minutiae-record", b"FMR\0 20\0\0\0\x01\0\0\0\x01\x2c\x01\x2c", 500);
    is_refused(&daemon, &cut, "not-a-template", "bytes early").await;
    let empty = encoded("template", b"AUTM\x01\x01\x2c\x01\x2c\0", 500);
    is_tried_again(&daemon, &empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_one_pixel_is_refused_for_its_size() {
    let daemon = Daemon::start();
    is_refused(&daemon, &sample(&blank(1, 1, 0)), "not-an-image", "1x1 pixels").await;
    let raw = json!({ "format": "raw-grey", "data": "AA==", "width": 1, "height": 1 });
    is_refused(&daemon, &raw, "not-a-frame", "1x1 pixels").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_png_of_20000_by_20000_is_refused_before_it_costs_memory() {
    let daemon = Daemon::start();
    let before = daemon.peak_memory();
    is_refused(&daemon, &sample(&png_announcing(20_000, 20_000)), "not-an-image", "20000x20000").await;
    // 400 MB it would be; an extraction of the good first sample of an enrolment is in the figure.
    if let (Some(before), Some(after)) = (before, daemon.peak_memory()) {
        assert!(after < before + (64 << 10), "{before} KiB before, {after} KiB after");
    } else {
        println!("skipped: no /proc to read the memory from");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_png_is_refused_as_damaged() {
    let daemon = Daemon::start();
    let whole = fixture("125_2");
    for length in [40, whole.len() / 2, whole.len() - 1] {
        is_refused(&daemon, &sample(&whole[..length]), "not-an-image", "damaged image").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_one_colour_asks_for_a_finger() {
    let daemon = Daemon::start();
    for grey in [255, 0, 128] {
        is_tried_again(&daemon, &sample(&blank(388, 374, grey))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_that_no_reader_has_is_refused() {
    let daemon = Daemon::start();
    for dpi in [0, 50, 100_000] {
        let bad = encoded("png", &fixture("125_2"), dpi);
        is_refused(&daemon, &bad, "not-a-frame", &dpi.to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_with_a_wrong_resolution_is_never_accepted() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let one = enrolled(&officer, "125").await;
    for dpi in [125, 250, 1000, 2000] {
        let bad = encoded("png", &fixture("125_4"), dpi);
        let answer = station.post("/v1/verify", &verification(&one, bad)).await;
        let told = answer.status == 422
            && (answer.detail().contains("resolution") || answer.detail().contains("500 dpi"));
        assert!(
            told || answer.body["decision"] == "retry" || answer.body["decision"] == "refuse",
            "{dpi}: {:?}",
            answer.body
        );
    }
    let right = station.post("/v1/verify", &verification(&one, sample(&fixture("125_4")))).await;
    assert_eq!(right.body["decision"], "accept", "the daemon is as it was: {:?}", right.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_frame_of_another_length_than_it_says_is_refused() {
    let daemon = Daemon::start();
    let raw = |width: u32, height: u32| json!({ "format": "raw-grey", "data": "A".repeat(400), "width": width, "height": height });
    is_refused(&daemon, &raw(100, 100), "not-a-frame", "pixels").await;
    is_refused(&daemon, &raw(u32::MAX, u32::MAX), "not-a-frame", "pixels").await;
}
