//! An emulated reader of a box, and fingers that are laid on it.

use std::{
    thread,
    time::{Duration, Instant},
};

use authenteon_hal::{Dpi, Frame, zfm::emulator::Emulator};
use authenteon_tests::{
    emulator::{Module, schedule::Schedule},
    load::served::Served,
    synthetic::{Conditions, Finger},
};
use hyper::Method;
use serde_json::{Value, json};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What the module sees of a finger.
const SIZE: (u32, u32) = (256, 288);

/// A serial reader.
pub(crate) struct Reader {
    module: Module,
    sensor: String,
}

/// Asks a box, which has to do what it is asked for.
pub(crate) fn asked(served: &Served, role: &str, method: &Method, path: &str, body: Option<&Value>) -> Value {
    let (status, answer) = served.ask(role, method, path, body).unwrap();
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    answer
}

/// What the module sees of the finger of this number, pressed for the so-and-so-manieth time.
pub(crate) fn print(finger: u64, impression: u64) -> Frame {
    let conditions = Conditions { width: SIZE.0, height: SIZE.1, ..Conditions::good() };
    let seen = Finger::new(finger).impression(impression, &conditions);
    Frame::new(SIZE.0, SIZE.1, Dpi::STANDARD, seen.pixels).unwrap()
}

impl Reader {
    /// One that is plugged in, and that no box knows yet. `paced`: a frame takes as long as on its wire, some seconds.
    pub(crate) fn plugged_in(paced: bool) -> Self {
        let module = Module::start(Emulator::new(), Schedule::empty(), paced).unwrap();
        Self { module, sensor: String::new() }
    }

    /// Where it is, in the configuration of a box.
    pub(crate) fn section(&self) -> String {
        format!("[sensors]\nusb = false\n[[sensors.serial]]\nport = {:?}\n", self.module.path())
    }

    /// The box takes it as its own.
    pub(crate) fn adopt(&mut self, served: &Served) {
        let seen = self.is(served, "there", |reader| reader["present"] == true);
        seen["sensor"].as_str().unwrap().clone_into(&mut self.sensor);
        let mut body = json!({ "model": seen["model"], "port": seen["port"] });
        if let Some(serial) = seen.get("serial") {
            body["serial"] = serial.clone();
        }
        let path = format!("/v1/sensors/{}/adopt", self.sensor);
        asked(served, "administrator", &Method::POST, &path, Some(&body));
    }

    /// As the box calls it.
    pub(crate) fn sensor(&self) -> &str {
        &self.sensor
    }

    /// Waits until it is as it should be.
    pub(crate) fn is(&self, served: &Served, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let listed = asked(served, "administrator", &Method::GET, "/v1/sensors", None);
            let reader = listed["sensors"][0].clone();
            if fits(&reader) {
                return reader;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {reader}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A finger becomes that of a subject.
    pub(crate) fn enrol(&self, served: &Served, subject: &str, finger: u64) {
        let at = json!({ "sensor": self.sensor, "timeout_ms": 60_000 });
        let body = json!({ "position": "right-index", "samples": [at, at, at] });
        let path = format!("/v1/subjects/{subject}/fingers");
        thread::scope(|scope| {
            let enrolling = scope.spawn(|| asked(served, "officer", &Method::POST, &path, Some(&body)));
            for impression in 1..=3 {
                self.touch(served, &print(finger, impression));
            }
            enrolling.join().unwrap();
        });
    }

    /// Lays a finger on it once it waits for one, and lifts it when it was seen. Says when it was laid down.
    pub(crate) fn touch(&self, served: &Served, print: &Frame) -> Instant {
        let before = self.is(served, "asked for a finger", |reader| reader["busy"] == true);
        // Bare for long enough to be seen so.
        thread::sleep(Duration::from_millis(500));
        let laid_down = Instant::now();
        self.place(print);
        self.is(served, "done with the finger", |reader| {
            reader["frames"] != before["frames"] || reader["busy"] == false
        });
        self.lift();
        laid_down
    }

    /// Lays a finger down, whether the box waits for one or not.
    pub(crate) fn place(&self, print: &Frame) {
        self.module.with(|module| module.place(print));
    }

    /// Lifts it.
    pub(crate) fn lift(&self) {
        self.module.with(Emulator::lift);
    }
}
