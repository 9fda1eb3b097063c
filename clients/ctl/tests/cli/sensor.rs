//! `sensor replay`, and `sensor list|capture|test --local`, as their users meet them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use authenteon_hal::zfm::emulator::Emulator;
use authenteon_hal::zfm::pty::PluggedIn;
use authenteon_hal::{Dpi, Frame, decode::decode};
use serde_json::json;

use crate::support::{Run, ctl};

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

const PASSWORD: u32 = 0x0BAD_CAFE;

/// A module at a port of its own, the port's name, and the reader's.
fn module() -> (tempfile::TempDir, PluggedIn, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("reader");
    let module = PluggedIn::at(port.clone(), Emulator::new().with_password(PASSWORD)).unwrap();
    let port = port.to_str().unwrap().to_owned();
    let name = format!("serial{}", port.replace('/', "-"));
    (folder, module, port, name)
}

/// The middle of a synthetic print, as large as the module sees it.
fn finger() -> Frame {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/fixtures/prints/125_1.png");
    let print = decode(&std::fs::read(file).unwrap(), Dpi::STANDARD).unwrap();
    let (width, left, top) =
        (print.width() as usize, (print.width() as usize - 256) / 2, (print.height() as usize - 288) / 2);
    let rows = print.pixels().chunks(width).skip(top).take(288);
    let pixels = rows.flat_map(|row| &row[left..left + 256]).copied().collect();
    Frame::new(256, 288, Dpi::STANDARD, pixels).unwrap()
}

fn at(port: &str, arguments: &[&str]) -> Run {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{PASSWORD:08x}\n")).unwrap();
    let file = file.path().to_str().unwrap();
    ctl(&[arguments, &["--local", "--port", port, "--password-file", file]].concat())
}

#[test]
fn a_module_at_a_named_port_is_listed_and_one_that_is_not_there_too() {
    let (_folder, module, port, name) = module();
    let find = |run: &Run| {
        let listed = run.json();
        let all = listed["sensors"].as_array().unwrap().clone();
        all.into_iter().find(|reader| reader["sensor"] == *name).unwrap()
    };
    let there = at(&port, &["--json", "sensor", "list"]);
    assert_eq!((there.code, &find(&there)["present"]), (0, &json!(true)), "{there:?}");
    let refused = ctl(&["--json", "sensor", "list", "--local", "--port", &port]);
    assert!(find(&refused)["last_error"].as_str().unwrap().contains("password"), "{refused:?}");
    drop(module);
    let gone = at(&port, &["sensor", "list"]);
    assert!(gone.out.contains(&format!("{name}  absent")), "{gone:?}");
}

#[test]
fn a_finger_on_a_module_becomes_a_picture_with_its_quality() {
    let (folder, module, port, name) = module();
    module.module().place(&finger());
    let out = folder.path().join("frame.png");
    let run = at(&port, &["--json", "sensor", "capture", &name, "--out", out.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
    let answer = run.json();
    assert_eq!(
        (&answer["sensor"], &answer["width"], &answer["dpi"]),
        (&json!(name), &json!(256), &json!(500))
    );
    assert!(answer["quality"].as_u64().unwrap() > 20 && answer.get("data").is_none(), "{answer}");
    let written = decode(&std::fs::read(&out).unwrap(), Dpi::STANDARD).unwrap();
    // The module sends the upper four bits of every pixel.
    assert!(written.pixels().iter().zip(finger().pixels()).all(|(got, sent)| got >> 4 == sent >> 4));

    module.module().lift();
    let began = Instant::now();
    let none = at(&port, &["sensor", "capture", &name, "--out", "never.png", "--wait", "1"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("timed out waiting for a finger"), "{none:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_test_names_every_step_and_fails_on_a_reader_that_sees_what_is_not_there() {
    let (_folder, module, port, name) = module();
    let good = at(&port, &["--json", "sensor", "test", &name]);
    assert_eq!((good.code, &good.json()["passed"]), (0, &json!(true)), "{good:?}");
    assert_eq!(good.json()["steps"].as_array().unwrap().len(), 6);
    module.module().place(&finger());
    let dirty = at(&port, &["sensor", "test", &name, "--finger", "1"]);
    assert_eq!(dirty.code, 1, "{dirty:?}");
    assert!(dirty.out.contains("bare     failed") && dirty.out.contains("finger   skipped"), "{dirty:?}");
}

#[test]
fn a_reader_that_is_not_there_or_not_a_name_is_said_so() {
    let missing = ctl(&["sensor", "test", "no-such", "--local", "--port", "/dev/no-such-port"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("no such reader on this machine"), "{missing:?}");
    for wrong in [&["sensor", "list", "--port", "/dev/x"][..], &["sensor", "capture", "x", "--local"]] {
        assert_eq!(ctl(wrong).code, 2, "{wrong:?}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "12\n").unwrap();
    let file = file.path().to_str().unwrap();
    let password = ctl(&["sensor", "list", "--local", "--port", "/dev/x", "--password-file", file]);
    assert!(password.code == 78 && password.err.contains("eight hexadecimal digits"), "{password:?}");
}

/// Through libusb, over a device that umockdev plays.
#[test]
fn a_reader_on_usb_is_found_and_gives_its_picture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sensors/nb1010");
    if !folder.exists() || Command::new("umockdev-run").arg("--version").output().is_err() {
        println!("skipped: umockdev-run or the recording is not there");
        return;
    }
    let description = std::fs::read_to_string(folder.join("device")).unwrap();
    let node = description.lines().find_map(|line| line.strip_prefix("E: DEVNAME=")).unwrap();
    let recording = format!("{node}={}", folder.join("capture.ioctl").display());
    let out: PathBuf = tempfile::tempdir().unwrap().path().with_extension("png");
    let run = Command::new("timeout")
        .args(["20", "umockdev-run", "-d"])
        .arg(folder.join("device"))
        .args(["-i", &recording, "--", env!("CARGO_BIN_EXE_authenteonctl"), "--json"])
        .args(["sensor", "capture", "--local", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let answer: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(answer["sensor"].as_str().unwrap().starts_with("usb-298d-1010-"), "{answer}");
    let dpi = Dpi::new(385).unwrap();
    let [got, expected] = [&out, &folder.join("capture.png")].map(|path| {
        let file = std::fs::read(path).unwrap();
        decode(&file, dpi).unwrap()
    });
    std::fs::remove_file(out).unwrap();
    assert!(got == expected);
}
