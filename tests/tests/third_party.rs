//! Clients that others wrote for modules of the 0xEF01 family, against our emulator: they must find a
//! module and take its picture, and our driver the same picture from the same module. Skipped where
//! they cannot be installed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says why")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use authenteon_hal::clock::SystemClock;
use authenteon_hal::transport::serial::Port;
use authenteon_hal::zfm::emulator::Emulator;
use authenteon_hal::zfm::{Config, Model, Zfm};
use authenteon_hal::{Dpi, FingerprintSensor, Frame, Wait};
use authenteon_tests::emulator::Module;
use authenteon_tests::emulator::schedule::Schedule;

/// The clients and what they import. Adafruit's library asks for more, for hardware of its maker.
const PACKAGES: [&str; 6] = [
    "adafruit-circuitpython-fingerprint==2.2.25",
    "Adafruit-Blinka==8.57.0",
    "Adafruit-PlatformDetect==3.89.1",
    "pyfingerprint==1.5",
    "pyserial==3.5",
    "Pillow==13.0.0",
];

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Result<Output, String> {
    let name = Path::new(program.as_ref()).display().to_string();
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed and said nothing");
    Err(format!("{} {}: {last}", name, arguments.first().unwrap_or(&"")))
}

/// A Python that has the clients, made once for this build folder and these versions.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("third-party-clients");
    std::fs::create_dir_all(&folder).unwrap();
    // Tests run side by side, and one of them makes it.
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let (venv, made) = (folder.join("venv"), folder.join("made"));
    let python = venv.join("bin/python");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&made).is_ok_and(|has| has == wanted) && python.exists() {
        return Ok(python);
    }
    run("python3", &["-m", "venv", "--clear", venv.to_str().unwrap()])?;
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--retries", "1", "--timeout", "20"];
    run(&python, &[&pip[..], &PACKAGES].concat())?;
    std::fs::write(&made, wanted).unwrap();
    Ok(python)
}

/// Runs a client against a module, and compares what it took with what our driver takes.
fn agree(script: &str, model: Model, then: impl FnOnce(&Module) -> Config) {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            println!("skipped: the third-party clients cannot be installed: {reason}");
            return;
        }
    };
    let (width, height) = model.size();
    let pixels = (0..width * height).map(|at| ((at * 11 / 7 + at / width) % 15 + 1) as u8 * 17).collect();
    let finger = Frame::new(width, height, Dpi::STANDARD, pixels).unwrap();
    let module = Module::start(Emulator::new(), Schedule::always(finger.clone()), false).unwrap();
    let (port, dir) = (module.path().to_str().unwrap(), tempfile::tempdir().unwrap());
    let out = dir.path().join("pixels");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/third_party").join(script);
    let size = [width.to_string(), height.to_string()];
    let arguments = [script.to_str().unwrap(), port, out.to_str().unwrap(), &size[0], &size[1]];
    if let Err(reason) = run(&python, &arguments) {
        panic!("{reason}");
    }
    assert!(std::fs::read(&out).unwrap() == finger.pixels(), "the client took another picture");

    let config = then(&module);
    let clock = Arc::new(SystemClock::new());
    let wait = Wait::up_to(Duration::from_secs(20));
    let mut sensor = Zfm::open(Port::open(port, config.baud).unwrap(), config, clock, &wait).unwrap();
    assert!(sensor.capture(&wait).unwrap() == finger, "our driver took another picture");
}

#[test]
fn adafruit_s_library_and_our_driver_take_the_same_picture() {
    agree("adafruit.py", Model::Optical, |_| Config::default());
}

#[test]
fn adafruit_s_library_takes_the_smaller_picture_of_a_round_module_and_lights_its_ring() {
    agree("adafruit.py", Model::R503, |module| {
        assert_eq!(module.with(|emulator| emulator.ring()), [2, 40, 3, 5]);
        Config { model: Model::R503, ..Config::default() }
    });
}

#[test]
fn pyfingerprint_and_our_driver_take_the_same_picture_and_the_password_it_set_is_asked_for() {
    agree("pyfingerprint_client.py", Model::Optical, |module| {
        module.with(Emulator::power_cut);
        Config { password: 0xBEEF, ..Config::default() }
    });
}
