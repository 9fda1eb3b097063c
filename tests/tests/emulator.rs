//! Our driver against the emulated module on a pseudo-terminal: a real serial port of the system, real
//! time, and what goes wrong on wires.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use authenteon_hal::clock::SystemClock;
use authenteon_hal::sensor::Signal;
use authenteon_hal::transport::serial::{Port, SerialLine as _};
use authenteon_hal::zfm::emulator::Emulator;
use authenteon_hal::zfm::packet::{Decoder, Kind, Packet};
use authenteon_hal::zfm::{Config, Model, Zfm};
use authenteon_hal::{Dpi, FingerprintSensor, Frame, SensorError, Wait, encode};
use authenteon_tests::emulator::schedule::{Schedule, Touch};
use authenteon_tests::emulator::{Fault, Module};

const OPTICAL: (u32, u32) = (256, 288);
const ROUND: (u32, u32) = (192, 192);

/// A frame in the sixteen shades that these modules know.
fn print_of((width, height): (u32, u32), seed: u32) -> Frame {
    let pixels = (0..width * height).map(|at| ((at * 7 + at / width + seed) % 15 + 1) as u8 * 17);
    Frame::new(width, height, Dpi::STANDARD, pixels.collect()).unwrap()
}

fn wait() -> Wait {
    Wait::up_to(Duration::from_secs(30))
}

fn open_path(path: &str, config: Config) -> Result<Zfm<Port>, SensorError> {
    let port = Port::open(path, config.baud)?;
    Zfm::open(port, config, Arc::new(SystemClock::new()), &wait())
}

fn open(module: &Module, config: Config) -> Zfm<Port> {
    open_path(module.path().to_str().unwrap(), config).unwrap()
}

fn lying(frame: &Frame) -> Module {
    Module::start(Emulator::new(), Schedule::always(frame.clone()), false).unwrap()
}

#[test]
fn fingers_of_a_schedule_are_waited_for_captured_and_lifted() {
    let frames = [print_of(OPTICAL, 1), print_of(OPTICAL, 2)];
    let touch = |frame: &Frame| Touch {
        frame: frame.clone(),
        lies: Duration::from_millis(1500),
        lifted: Duration::from_millis(700),
    };
    let schedule = Schedule::of(frames.iter().map(touch).collect()).after(Duration::from_secs(1));
    let module = Module::start(Emulator::new(), schedule, false).unwrap();
    let mut sensor = open(&module, Config::default());
    for frame in &frames {
        sensor.wait_for_finger(&wait()).unwrap();
        assert!(sensor.capture(&wait()).as_ref() == Ok(frame), "another frame");
        sensor.wait_for_lift(&wait()).unwrap();
    }
    let second = Wait::up_to(Duration::from_secs(1));
    assert_eq!(sensor.wait_for_finger(&second), Err(SensorError::TimedOut("a finger")));
}

#[test]
fn a_round_module_gives_its_size_shows_its_ring_and_tells_its_touch_by_a_wire() {
    let frame = print_of(ROUND, 3);
    let module = Module::start(Emulator::new(), Schedule::empty(), false).unwrap();
    let config = Config { model: Model::R503, ..Config::default() };
    let mut sensor = open(&module, config).with_touch_line(module.touch_line());
    sensor.indicate(Signal::Ready).unwrap();
    assert_eq!(module.with(|emulator| emulator.ring()), [1, 100, 2, 0]);
    let short = Wait::up_to(Duration::from_millis(300));
    assert_eq!(sensor.wait_for_finger(&short), Err(SensorError::TimedOut("a finger")));
    module.with(|emulator| emulator.place(&frame));
    sensor.wait_for_finger(&wait()).unwrap();
    assert_eq!(sensor.capture(&wait()), Ok(frame));
    assert_eq!(sensor.wait_for_lift(&short), Err(SensorError::StuckFinger));
    module.with(Emulator::lift);
    assert_eq!(sensor.wait_for_lift(&wait()), Ok(()));
}

#[test]
fn a_paced_module_takes_the_time_of_the_wire_at_the_speed_that_was_agreed() {
    let frame = print_of(ROUND, 4);
    let module = Module::start(Emulator::new(), Schedule::always(frame.clone()), true).unwrap();
    for (fastest, seconds) in [(57_600, 3.48), (115_200, 1.74)] {
        let mut sensor = open(&module, Config { model: Model::R503, fastest, ..Config::default() });
        assert_eq!((sensor.parameters().baud, module.with(|emulator| emulator.baud())), (fastest, fastest));
        sensor.wait_for_finger(&wait()).unwrap();
        let began = Instant::now();
        assert!(sensor.capture(&wait()).as_ref() == Ok(&frame), "another frame");
        let took = began.elapsed().as_secs_f64();
        // 18,432 bytes in packets of 128 with 11 around each; a busy machine adds to it.
        assert!((seconds * 0.99..seconds * 2.0).contains(&took), "{took} s instead of {seconds}");
    }
}

/// Sends a command at a speed, and says whether a whole answer comes.
fn is_answered(port: &mut Port, baud: u32, command: &[u8]) -> bool {
    use embedded_io::{Read as _, Write as _};
    port.set_baud(baud).unwrap();
    port.discard_input().unwrap();
    let packet = Packet::new(u32::MAX, Kind::Command, command).unwrap();
    port.write_all(&packet.encode()).unwrap();
    port.set_read_limit(Duration::from_millis(100)).unwrap();
    let (mut decoder, mut bytes) = (Decoder::new(), [0; 64]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(600) {
        if let Ok(count) = port.read(&mut bytes) {
            decoder.push(&bytes[..count]);
        }
        if let Some(Ok(answer)) = decoder.next_packet() {
            return answer.payload.as_slice() == [0];
        }
    }
    false
}

#[test]
fn at_another_speed_than_the_module_s_only_garbage_arrives() {
    const VERIFY: &[u8] = &[0x13, 0, 0, 0, 0];
    let module = Module::start(Emulator::new(), Schedule::empty(), true).unwrap();
    let mut port = Port::open(module.path().to_str().unwrap(), 57_600).unwrap();
    assert!(is_answered(&mut port, 57_600, VERIFY));
    for wrong in [9_600, 38_400, 115_200] {
        assert!(!is_answered(&mut port, wrong, VERIFY), "{wrong}");
    }
    assert!(is_answered(&mut port, 57_600, VERIFY));
    // The last word at the old speed is the answer to the change.
    assert!(is_answered(&mut port, 57_600, &[0x0E, 4, 12]));
    assert!(!is_answered(&mut port, 57_600, VERIFY));
    assert!(is_answered(&mut port, 115_200, VERIFY));
    drop(port);
    // And our driver finds it, wherever it looks first.
    assert_eq!(open(&module, Config { baud: 9_600, ..Config::default() }).parameters().baud, 115_200);
}

#[test]
fn faults_of_the_wire_cost_time_and_no_pixel() {
    let frame = print_of(ROUND, 5);
    for fault in
        [Fault::Late(Duration::from_millis(400)), Fault::Partial(20), Fault::Garbage, Fault::WrongSum]
    {
        let module = lying(&frame);
        let mut sensor = open(&module, Config { model: Model::R503, ..Config::default() });
        sensor.wait_for_finger(&wait()).unwrap();
        // Packet 0 is the answer to the upload, and 77 one of 144 with pixels.
        for number in [0, 77, 144] {
            module.spoil(number..number + 1, fault);
            assert!(sensor.capture(&wait()).as_ref() == Ok(&frame), "{fault:?} at {number}");
        }
        module.heal();
        assert!(sensor.capture(&wait()).is_ok());
    }
}

#[test]
fn faults_that_last_are_told_apart() {
    let module = lying(&print_of(ROUND, 6));
    let mut sensor = open(&module, Config { model: Model::R503, ..Config::default() });
    sensor.wait_for_finger(&wait()).unwrap();
    module.spoil(0..usize::MAX, Fault::WrongSum);
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::Checksum(_))));
    module.spoil(0..usize::MAX, Fault::Late(Duration::from_secs(5)));
    assert!(matches!(sensor.capture(&wait()), Err(SensorError::TimedOut(_))));
}

#[test]
fn an_unplugged_module_is_removed_and_its_path_is_gone() {
    let module = lying(&print_of(OPTICAL, 7));
    let path = module.path().to_str().unwrap().to_owned();
    let mut sensor = open(&module, Config::default());
    assert!(sensor.capture(&wait()).is_ok());
    module.unplug();
    assert_eq!(sensor.capture(&wait()), Err(SensorError::Removed));
    assert_eq!(sensor.wait_for_finger(&wait()), Err(SensorError::Removed));
    drop(sensor);
    assert!(matches!(open_path(&path, Config::default()).err(), Some(SensorError::NotPresent(_))));
}

#[test]
fn the_terminal_outlives_the_programs_that_open_and_close_it() {
    let frame = print_of(OPTICAL, 8);
    let module = lying(&frame);
    for _ in 0..5 {
        assert!(open(&module, Config::default()).capture(&wait()).as_ref() == Ok(&frame));
    }
}

/// The program, ended when the test is.
struct Program(Child, String);

impl Program {
    fn start(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_zfm-emulator"))
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut path = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut path).unwrap();
        Self(child, path.trim_end().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_prints_its_port_and_serves_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    // Larger than the module's frames by sixteen on each side.
    let (large, file) = (print_of((288, 320), 9), dir.path().join("print.png"));
    std::fs::write(&file, encode::png(&large).unwrap()).unwrap();
    let program = Program::start(&["--image", file.to_str().unwrap(), "--password", "0xCAFE"]);
    assert_eq!(open_path(&program.1, Config::default()).err(), Some(SensorError::WrongPassword));
    let mut sensor = open_path(&program.1, Config { password: 0xCAFE, ..Config::default() }).unwrap();
    let frame = sensor.capture(&wait()).unwrap();
    let rows = large.pixels().chunks_exact(288).skip(16).take(288);
    let middle: Vec<u8> = rows.flat_map(|row| row[16..272].to_vec()).collect();
    assert!(frame.pixels() == middle);
}

#[test]
fn the_program_lays_the_pictures_of_a_folder_on_the_module_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let frames = [print_of(ROUND, 10), print_of(ROUND, 11)];
    for (name, frame) in ["a.png", "b.png"].into_iter().zip(&frames) {
        std::fs::write(dir.path().join(name), encode::png(frame).unwrap()).unwrap();
    }
    let folder = dir.path().to_str().unwrap();
    let program =
        Program::start(&["--frames", folder, "--model", "r503", "--lies", "1.5", "--lifted", "0.5"]);
    let mut sensor = open_path(&program.1, Config { model: Model::R503, ..Config::default() }).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        sensor.wait_for_finger(&wait()).unwrap();
        let frame = sensor.capture(&wait()).unwrap();
        seen.push(frames.iter().position(|known| *known == frame).unwrap());
        sensor.wait_for_lift(&wait()).unwrap();
    }
    assert!(seen == [0, 1, 0] || seen == [1, 0, 1], "{seen:?}");
}

#[test]
fn the_program_s_help_and_its_refusals_have_their_exit_codes() {
    let run = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_zfm-emulator")).args(options).output().unwrap();
        (output.status.code(), [output.stdout, output.stderr].concat())
    };
    let (code, text) = run(&["--help"]);
    assert_eq!(code, Some(0));
    let text = String::from_utf8(text).unwrap();
    for option in ["--frames", "--image", "--model", "--password", "--pace", "first line"] {
        assert!(text.contains(option), "{option}");
    }
    for options in [&[][..], &["--image", "a", "--frames", "b"], &["--image", "a", "--password", "xyz"]] {
        assert_eq!(run(options).0, Some(64), "{options:?}");
    }
    let (code, text) = run(&["--image", "/no/such/print.png"]);
    assert_eq!(code, Some(66));
    assert!(String::from_utf8(text).unwrap().contains("/no/such/print.png"));
}
