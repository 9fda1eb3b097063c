//! The same made-up readers as devices of the system: played by umockdev, driven through libusb by the
//! code that a plugged-in reader meets. Skipped where umockdev is missing.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use authenteon_hal::clock::SystemClock;
use authenteon_hal::models::UsbModel;
use authenteon_hal::transport::usb_device::{UsbDevice, list};
use authenteon_hal::uru4000::{Config, Uru4000};
use authenteon_hal::{Dpi, FingerprintSensor, Wait};

use crate::reader::{BLOCKS_V2, FINGER_ON, FIRST_SEED, KEYBOARD, SCAN_POWER, Session, Skin};
use crate::usbmon::Layout;

/// Set for the copy of this program that runs inside umockdev: the file with the pixels to expect.
const INSIDE: &str = "AUTHENTEON_TEST_EXPECTED_PIXELS";

/// Does nothing unless it runs inside umockdev, where the tests below start it.
#[test]
fn inside_umockdev_the_frame_is_the_picture() {
    let Some(picture) = std::env::var_os(INSIDE) else { return };
    let readers = list().unwrap();
    assert_eq!(readers.len(), 1, "{readers:?}");
    let (vendor, product) = readers[0].ids;
    let Some(UsbModel::Uru4000(model)) = UsbModel::find(vendor, product) else { unreachable!() };
    let config = Config { model, dpi: Dpi::STANDARD, seeds: Box::new(|| FIRST_SEED) };
    let wait = Wait::up_to(Duration::from_secs(5));
    let usb = UsbDevice::open(vendor, product).unwrap();
    let mut sensor = Uru4000::open(usb, config, Arc::new(SystemClock::new()), &wait).unwrap();
    sensor.wait_for_finger(&wait).unwrap();
    let frame = sensor.capture(&wait).unwrap();
    sensor.wait_for_lift(&wait).unwrap();
    assert!(frame.pixels() == std::fs::read(picture).unwrap(), "the frame differs from the picture");
}

fn plays(ids: (u16, u16), authenticates: bool) {
    let (skin, mut session) = (Skin::new(11), Session::of(ids, Layout::default()));
    session.start(3, authenticates);
    session.mode(0x10);
    session.interrupt(SCAN_POWER);
    session.interrupt(SCAN_POWER);
    session.interrupt(FINGER_ON);
    session.image(&skin, BLOCKS_V2);
    session.lift();
    session.close();

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("device"), session.description()).unwrap();
    std::fs::write(file("capture.pcapng"), session.finish()).unwrap();
    std::fs::write(file("pixels"), skin.picture(BLOCKS_V2, false)).unwrap();
    let capture =
        format!("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2={}", file("capture.pcapng").display());
    let output = Command::new("timeout")
        .args(["20".as_ref(), "umockdev-run".as_ref(), "-d".as_ref(), file("device").as_os_str()])
        .args(["-p", &capture, "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "played::inside_umockdev_the_frame_is_the_picture", "--nocapture"])
        .env(INSIDE, file("pixels"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn umockdev_is_missing() -> bool {
    let missing = Command::new("umockdev-run").arg("--version").output().is_err();
    if missing {
        println!("skipped: umockdev-run is not installed");
    }
    missing
}

#[test]
fn a_played_reader_v2_gives_its_picture_through_libusb() {
    if umockdev_is_missing() {
        return;
    }
    plays((0x045E, 0x00CA), true);
}

#[test]
fn a_reader_inside_a_keyboard_gives_its_picture_through_libusb() {
    if umockdev_is_missing() {
        return;
    }
    plays(KEYBOARD, false);
}
