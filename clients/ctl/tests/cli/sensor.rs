//! `sensor replay` as its users meet it.

use std::path::Path;

use crate::support::ctl;

#[test]
fn recorded_traffic_becomes_the_picture_of_the_recording() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sensors");
    for (reader, capture) in [("uru4000-4500", "capture.pcapng"), ("nb1010", "capture.ioctl")] {
        let folder = shared.join(reader);
        if !folder.exists() {
            println!("skipped: {} is not there", folder.display());
            return;
        }
        let out = tempfile::tempdir().unwrap();
        let files = [folder.join("device"), folder.join(capture), out.path().join("frame.png")];
        let [device, capture, frame] = files.each_ref().map(|path| path.to_str().unwrap());
        let run =
            ctl(&["--json", "sensor", "replay", "--device", device, "--capture", capture, "--out", frame]);
        assert_eq!(run.code, 0, "{run:?}");
        let pixels = |path: &Path| {
            let file = std::fs::read(path).unwrap();
            authenteon_hal::decode::decode(&file, authenteon_hal::Dpi::STANDARD).unwrap()
        };
        assert!(pixels(&files[2]) == pixels(&folder.join("capture.png")), "{reader}");
        assert!(run.json()["width"].is_u64());
    }
}

#[test]
fn what_is_no_recording_is_refused_and_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["device", "capture", "frame.png"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "E: PRODUCT=5ba/a/103\n").unwrap();
    std::fs::write(&paths[1], "not a recording").unwrap();
    let [device, capture, frame] = paths.each_ref().map(|path| path.to_str().unwrap());
    let run = ctl(&["sensor", "replay", "--device", device, "--capture", capture, "--out", frame]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("not a recording"), "{run:?}");
    assert!(!paths[2].exists());
}
