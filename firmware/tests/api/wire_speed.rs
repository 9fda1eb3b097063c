//! From a finger on a serial reader to a decision on 3411, at the speed of a real wire: the emulated
//! module paces its bytes as a UART does, and the daemon has agreed on the module's fastest speed.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use authenteon_hal::{Dpi, Frame, decode::decode, zfm::emulator::Emulator};
use authenteon_tests::emulator::{
    Module,
    schedule::{Schedule, fit},
};
use serde_json::{Value, json};

use crate::support::{Client, Daemon, administrator, adopt, fixture, subject, verification};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the module of the family's first size sends.
const SIZE: (u32, u32) = (256, 288);

fn print(name: &str) -> Frame {
    fit(&decode(&fixture(name), Dpi::STANDARD).unwrap(), SIZE).unwrap()
}

/// The reader, when it is as it should be.
async fn reader(client: &Client, fits: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let listed = client.get("/v1/sensors").await;
        let reader = &listed.body["sensors"][0];
        if fits(reader) {
            return reader.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{reader}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn frames(reader: &Value) -> u64 {
    reader["frames"].as_u64().unwrap_or(0)
}

/// Lays a finger on the bare module, and lifts it once its frame is taken. How long that took.
async fn touch(client: &Client, module: &Module, name: &str) -> Duration {
    let before = frames(&reader(client, |reader| reader["busy"] == true).await);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let began = Instant::now();
    module.with(|emulator| emulator.place(&print(name)));
    reader(client, |reader| frames(reader) > before).await;
    let taken = began.elapsed();
    module.with(Emulator::lift);
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_finger_on_a_serial_reader_to_a_decision_the_upload_takes_longest() {
    let module = Module::start(Emulator::new(), Schedule::empty(), true).unwrap();
    let port: PathBuf = module.path().to_owned();
    let daemon =
        Daemon::with(&format!("[sensors]\nusb = false\n[[sensors.serial]]\nport = {:?}", Path::new(&port)));
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let there = reader(&station, |reader| reader["present"] == true).await;
    let keeper = administrator(&daemon).await;
    assert_eq!(adopt(&keeper, there["sensor"].as_str().unwrap()).await.status, 200);
    let sample = json!({ "sensor": there["sensor"], "timeout_ms": 60_000 });

    let one = subject(&officer, "one").await;
    let path = format!("/v1/subjects/{one}/fingers");
    let body = json!({ "position": "right-index", "samples": [sample, sample, sample] });
    let enrolling = tokio::spawn({
        let officer = officer.clone();
        async move { officer.post(&path, &body).await }
    });
    for name in ["125_1", "125_2", "125_3"] {
        touch(&station, &module, name).await;
    }
    let enrolled = enrolling.await.unwrap();
    assert_eq!(enrolled.status, 201, "{:?}", enrolled.body);

    for (name, decision) in [("125_4", "accept"), ("127_1", "refuse")] {
        reader(&station, |reader| reader["busy"] != true).await;
        let asked = tokio::spawn({
            let (station, body) = (station.clone(), verification(&one, sample.clone()));
            async move {
                let answer = station.post("/v1/verify", &body).await;
                (answer, Instant::now())
            }
        });
        let began = Instant::now();
        let taken = touch(&station, &module, name).await;
        let bare = began.elapsed() - taken;
        let (answer, answered) = asked.await.unwrap();
        assert_eq!((answer.status, &answer.body["decision"]), (200, &json!(decision)), "{:?}", answer.body);

        let baud = module.with(|emulator| emulator.baud());
        // A byte is ten bits on the wire; a packet of 128 bytes has 11 around them.
        let bytes = SIZE.0 * SIZE.1 / 2;
        let wire = Duration::from_secs_f64(f64::from(bytes + bytes / 128 * 11) * 10.0 / f64::from(baud));
        let whole = answered - began - bare;
        println!(
            "{decision}: {:.2} s from finger to decision: {:.2} s on the wire ({bytes} bytes of picture at {baud} baud), \
             {:.2} s finger found and told, {:.2} s template, comparison, store and answer",
            whole.as_secs_f64(),
            wire.as_secs_f64(),
            taken.saturating_sub(wire).as_secs_f64(),
            whole.saturating_sub(taken).as_secs_f64(),
        );
        assert_eq!(baud, 115_200, "the fastest of the family");
        assert!(taken >= wire, "{taken:?} for what takes {wire:?}");
    }
}
