//! The whole way to real hardware, short of the hardware: libusb over devices that umockdev plays
//! from recordings. Skipped where umockdev or the recordings are missing.
#![cfg(feature = "usb")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use authenteon_hal::clock::{Clock, SystemClock};
use authenteon_hal::discovery::{ReaderId, Source, UsbReaders};
use authenteon_hal::models::UsbModel;
use authenteon_hal::transport::usb_device::{UsbDevice, list};
use authenteon_hal::uru4000::{Config, Uru4000};
use authenteon_hal::{Dpi, FingerprintSensor, Frame, Wait, decode};

/// Set for the copy of this program that runs inside umockdev: the picture to expect.
const INSIDE: &str = "AUTHENTEON_TEST_EXPECTED_PICTURE";

fn capture() -> Frame {
    let readers = list().unwrap();
    let [reader] = &readers[..] else { panic!("one reader is played, and {} are found", readers.len()) };
    let (clock, wait): (Arc<dyn Clock>, _) =
        (Arc::new(SystemClock::new()), Wait::up_to(Duration::from_secs(5)));
    let mut sensor: Box<dyn FingerprintSensor> = match reader.model {
        // As the daemon finds it, by name.
        UsbModel::Nb1010 => {
            let found = UsbReaders::new(&clock).find().unwrap();
            let name = ReaderId::usb(reader.ids, &reader.socket);
            assert_eq!(found.iter().map(|found| &found.id).collect::<Vec<_>>(), [&name]);
            found[0].open(&wait).unwrap()
        }
        // The keys of its recording fit the seeds of that day only.
        UsbModel::Uru4000(model) => {
            let usb = UsbDevice::open(reader.ids.0, reader.ids.1).unwrap();
            let config = Config { model, dpi: Dpi::STANDARD, seeds: Box::new(|| 0x51EA_2124) };
            Box::new(Uru4000::open(usb, config, clock, &wait).unwrap())
        }
    };
    sensor.wait_for_finger(&wait).unwrap();
    let frame = sensor.capture(&wait).unwrap();
    if reader.model != UsbModel::Nb1010 {
        // Its recording goes on until the finger is lifted.
        sensor.wait_for_lift(&wait).unwrap();
    }
    frame
}

/// Does nothing unless it runs inside umockdev, where the test below starts it.
#[test]
fn inside_umockdev_the_frame_is_the_picture() {
    let Some(picture) = std::env::var_os(INSIDE) else { return };
    let frame = capture();
    let picture = decode::decode(&std::fs::read(picture).unwrap(), frame.dpi()).unwrap();
    assert!(frame == picture, "the frame differs from the picture");
}

fn recordings() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sensors");
    let missing = if !folder.exists() {
        "the recordings are not there"
    } else if Command::new("umockdev-run").arg("--version").output().is_err() {
        "umockdev-run is not installed"
    } else {
        return Some(folder);
    };
    println!("skipped: {missing}");
    None
}

fn play(folder: &Path, recording: &str, option: &str, node: &str) -> Output {
    let capture = format!("{node}={}", folder.join(recording).display());
    Command::new("timeout")
        .args(["20", "umockdev-run"])
        .args(["-d".as_ref(), folder.join("device").as_os_str()])
        .args([option, &capture, "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside_umockdev_the_frame_is_the_picture", "--nocapture"])
        .env(INSIDE, folder.join("capture.png"))
        .output()
        .unwrap()
}

fn field(folder: &Path, key: &str) -> String {
    let description = std::fs::read_to_string(folder.join("device")).unwrap();
    description.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned()
}

fn succeeded(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

#[test]
fn a_played_uru4500_gives_its_picture_through_libusb() {
    let Some(folder) = recordings() else { return };
    let folder = folder.join("uru4000-4500");
    let node = format!("/sys{}", field(&folder, "P: "));
    succeeded(&play(&folder, "capture.pcapng", "-p", &node));
}

#[test]
fn a_played_nb1010_gives_its_picture_through_libusb() {
    let Some(folder) = recordings() else { return };
    let folder = folder.join("nb1010");
    let node = field(&folder, "E: DEVNAME=");
    succeeded(&play(&folder, "capture.ioctl", "-i", &node));
}
