//! A request that waits for a finger at an emulated reader of the box.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use authenteon_hal::{Dpi, Frame, zfm::emulator::Emulator};
use authenteon_tests::{
    emulator::{
        Module,
        schedule::{Schedule, fit},
    },
    load::served::hand,
    synthetic::{Conditions, Finger},
};
use hyper::Method;
use serde_json::{Value, json};

use super::{BOX, DESK, OTHER_SECRET, Office, Told, network, radclient};
use crate::needs;

/// What the emulated module sees of a finger.
fn touch(finger: u64, impression: u64) -> Frame {
    let print = Finger::new(finger).impression(impression, &Conditions::good());
    let frame = Frame::new(print.width, print.height, Dpi::STANDARD, print.pixels).unwrap();
    fit(&frame, (256, 288)).unwrap()
}

/// Waits until a reader is as it should be.
fn reader(office: &Office, fits: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let (_, listed) = office.ask("station", &Method::GET, "/v1/sensors", None);
        if fits(&listed["sensors"][0]) {
            return listed["sensors"][0].clone();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{listed}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn frames(reader: &Value) -> u64 {
    reader["frames"].as_u64().unwrap_or_default()
}

#[test]
fn handover_radius_a_request_waits_while_the_person_touches_the_reader() {
    needs!(Radius);
    let network = network();
    let module = Module::start(Emulator::new(), Schedule::empty(), false).unwrap();
    let port: &Path = module.path();
    let sensor = format!("serial-{}", port.strip_prefix("/dev").unwrap().display()).replace('/', "-");
    let office = Office::start(
        &network,
        &format!("[sensors]\nusb = false\n[[sensors.serial]]\nport = {port:?}\n"),
        &format!(
            "[[radius.client]]\nname = \"desk\"\naddresses = [\"{DESK}\"]\nsecret-file = \"OTHER_SECRET\"\nmode = \
             \"push\"\nsensor = \"{sensor}\"\nwait-seconds = 8\n"
        ),
    );
    let there = reader(&office, |reader| reader["present"] == true);
    assert_eq!(there["sensor"], sensor.as_str());
    let fingers = hand(1).unwrap();
    let ada = office.person("Ada", &fingers);
    let lines =
        format!("User-Name = \"{ada}\"\nUser-Password = \"not looked at\"\nMessage-Authenticator = 0x00");
    let ask = || radclient(&network, DESK, BOX, OTHER_SECRET, &lines);
    let (answer, said) = ask();
    assert!(answer == Told::Reject && said.contains("adopted"), "{said}");
    let path = format!("/v1/sensors/{sensor}/adopt");
    let known = json!({ "model": there["model"], "serial": there["serial"], "port": there["port"] });
    let (status, adopted) = office.ask("administrator", &Method::POST, &path, Some(&known));
    assert_eq!(status, 200, "{adopted} {there}");
    let touched = |finger: u64, impression: u64| {
        thread::scope(|scope| {
            let asked = scope.spawn(ask);
            let before = frames(&reader(&office, |reader| reader["busy"] == true));
            module.with(|emulator| emulator.place(&touch(finger, impression)));
            let began = Instant::now();
            reader(&office, |reader| frames(reader) > before);
            module.with(Emulator::lift);
            let answer = asked.join().unwrap();
            println!(
                "finger {finger}: {:?}, {} ms after it was laid down",
                answer.0,
                began.elapsed().as_millis()
            );
            reader(&office, |reader| reader["busy"] == false);
            answer
        })
    };
    let answers: Vec<(Told, String)> = (30..33).map(|impression| touched(1, impression)).collect();
    assert!(answers.iter().any(|(told, _)| *told == Told::Accept), "{answers:?}\n{}", office.served.said());
    let (answer, said) = touched(77, 1);
    assert_eq!(answer, Told::Reject, "{said}");
    // Nobody comes. The client asks again after three seconds, and is not answered while it is waited for.
    let (answer, said) = ask();
    assert_eq!(answer, Told::Nothing, "eight seconds are longer than it waits: {said}");
    reader(&office, |reader| reader["busy"] == false);
    let began = Instant::now();
    let unanswered = loop {
        let unanswered = office.audit("push-unanswered");
        if !unanswered.is_empty() || began.elapsed() > Duration::from_secs(10) {
            break unanswered;
        }
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(unanswered.len(), 1, "what came again was not waited for again");
    assert_eq!(unanswered[0]["what"]["claimed"], ada.as_str());
    // Two at once for the same person: neither is accepted.
    let both = thread::scope(|scope| {
        let first = scope.spawn(ask);
        reader(&office, |reader| reader["busy"] == true);
        let second = ask();
        [first.join().unwrap(), second]
    });
    assert!(
        both.iter().all(|(told, said)| *told == Told::Reject && said.contains("two requests")),
        "{both:?}"
    );
    // Two for others at the same reader: the second is told that it is in use.
    let other = lines.replace(&ada, "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11");
    let (answer, said) = thread::scope(|scope| {
        let first = scope.spawn(ask);
        reader(&office, |reader| reader["busy"] == true);
        let second = radclient(&network, DESK, BOX, OTHER_SECRET, &other);
        first.join().unwrap();
        second
    });
    assert!(answer == Told::Reject && said.contains("in use"), "{said}");
}
