//! The readers of this machine, without a box: found, asked for a frame, tested.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authenteon_hal::clock::{Clock, SystemClock};
use authenteon_hal::discovery::{Found, SerialPorts, SerialReader, Source, UsbReaders, find_all};
use authenteon_hal::selftest::{self, Checked, Extent, Step, Verdict};
use authenteon_hal::sensor::Signal;
use authenteon_hal::{CancelToken, FingerprintSensor, Frame, SensorError, Wait, encode};
use authenteon_matcher::{Dpi, Image, extract};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{view, write};
use crate::args::{OneReader, Place};
use crate::error::CtlError;
use crate::live::prompt;
use crate::outcome::Outcome;
use crate::passphrase;

/// Starting a reader; a silent port has all speeds tried.
const OPEN: Duration = Duration::from_secs(15);
/// A serial module at 9600 takes 42 s.
const CAPTURE: Duration = Duration::from_secs(60);

/// What is plugged in; whether something answers at a named port only opening tells.
pub(super) fn list(place: &Place) -> Result<Outcome, CtlError> {
    let sensors: Vec<Value> = find(place)?.iter().map(describe).collect();
    view::list(json!({"sensors": sensors}))
}

fn describe(found: &Found) -> Value {
    let mut reader = json!({"sensor": found.id, "model": found.model, "present": false});
    match found.open(&Wait::up_to(OPEN)) {
        Ok(sensor) => {
            let info = sensor.describe();
            reader["present"] = json!(true);
            reader["model"] = json!(info.model);
            reader["dpi"] = json!(info.dpi.get());
            if let Some((width, height)) = info.geometry {
                reader["width"] = json!(width);
                reader["height"] = json!(height);
            }
        }
        Err(error) => reader["last_error"] = json!(error.to_string()),
    }
    reader
}

/// The next finger.
pub(super) fn capture(reader: &OneReader, out: &Path, limit: Duration) -> Result<Outcome, CtlError> {
    let found = choose(reader)?;
    let failed = |error: SensorError| failed(&found, &error);
    let mut sensor = found.open(&Wait::up_to(OPEN)).map_err(failed)?;
    let waiting = prompt(&format!("Place a finger on {}", found.id));
    let frame = take(&mut *sensor, limit);
    waiting.finish_and_clear();
    // What it shows is no part of the frame.
    let _ = sensor.indicate(Signal::Off);
    let frame = frame.map_err(failed)?;
    let png = encode::png(&frame).map_err(|error| CtlError::System(error.to_string()))?;
    write(out, &png)?;
    let (width, height, dpi) = (frame.width(), frame.height(), frame.dpi().get());
    let (quality, hint) = quality(frame);
    let mut answer = json!({
        "sensor": found.id, "format": "png", "width": width, "height": height, "dpi": dpi,
        "quality": quality, "out": out,
    });
    if let Some(hint) = hint {
        answer["hint"] = json!(hint);
    }
    view::captured(answer)
}

fn take(sensor: &mut dyn FingerprintSensor, limit: Duration) -> Result<Frame, SensorError> {
    sensor.indicate(Signal::Ready)?;
    sensor.wait_for_finger(&Wait::up_to(limit))?;
    sensor.indicate(Signal::Busy)?;
    sensor.capture(&Wait::up_to(CAPTURE))
}

/// From 0 to 100, and what the person can do when no template can be made of it.
fn quality(frame: Frame) -> (u8, Option<String>) {
    let (width, height) = (frame.width(), frame.height());
    let image = Dpi::new(u32::from(frame.dpi().get()))
        .and_then(|dpi| Image::new(width, height, dpi, frame.into_pixels()));
    match image.map(|image| extract(&image)) {
        Ok(Ok(extraction)) => (extraction.quality, None),
        Ok(Err(why)) => (0, Some(format!("{why}; {}", why.hint()))),
        Err(why) => (0, Some(why.to_string())),
    }
}

/// The self-test, step by step.
pub(super) fn test(reader: &OneReader, finger: Option<Duration>) -> Result<Outcome, CtlError> {
    let found = choose(reader)?;
    let failed = |error: SensorError| failed(&found, &error);
    let mut sensor = found.open(&Wait::up_to(OPEN)).map_err(failed)?;
    let bar = ProgressBar::new(Step::ALL.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("[{bar:12}] {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let extent = Extent { finger, cancel: CancelToken::new() };
    let mut on_step = |step: Step, ended: Option<&Checked>| match ended {
        None => bar.set_message(format!("{}: {}", step.name(), step.prompt())),
        Some(_) => bar.inc(1),
    };
    let tested = selftest::run(&mut *sensor, &SystemClock::new(), &extent, &mut on_step);
    bar.finish_and_clear();
    let (checked, _) = tested.map_err(failed)?;
    let steps: Vec<Value> = checked.iter().map(step).collect();
    view::tested(json!({"sensor": found.id, "passed": selftest::passed(&checked), "steps": steps}))
}

fn step(checked: &Checked) -> Value {
    let (result, detail) = match &checked.verdict {
        Verdict::Passed => ("passed", None),
        Verdict::Failed(why) => ("failed", Some(why)),
        Verdict::Skipped(why) => ("skipped", Some(why)),
    };
    let ms = u64::try_from(checked.took.as_millis()).unwrap_or(u64::MAX);
    let mut step = json!({"step": checked.step.name(), "result": result, "ms": ms});
    if let Some(detail) = detail {
        step["detail"] = json!(detail);
    }
    step
}

fn find(place: &Place) -> Result<Vec<Found>, CtlError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let password = place.password_file.as_deref().map(password).transpose()?.unwrap_or_default();
    let ports = place.ports.iter().map(|port| {
        let mut reader = SerialReader::new(port);
        reader.module.password = password;
        reader
    });
    let mut sources: Vec<Box<dyn Source>> =
        vec![Box::new(SerialPorts::new(ports, &clock)), Box::new(UsbReaders::new(&clock))];
    match find_all(&mut sources) {
        // Without a port named the USB bus was all there was to ask.
        (found, errors) if found.is_empty() && !errors.is_empty() => {
            let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(CtlError::Sensor(why.join("; ")))
        }
        (found, _) => Ok(found),
    }
}

/// The modules' password in a file.
fn password(file: &Path) -> Result<u32, CtlError> {
    let text = passphrase::given(Some(file), "")?;
    let plain = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let parsed = u32::from_str_radix(&text, 16).ok().filter(|_| plain);
    parsed.ok_or_else(|| {
        let reason = "a password has eight hexadecimal digits, such as 00000000".to_owned();
        CtlError::Config { path: file.to_path_buf(), reason }
    })
}

fn choose(reader: &OneReader) -> Result<Found, CtlError> {
    let mut found = find(&reader.place)?;
    match &reader.sensor {
        Some(name) => {
            let named = found.into_iter().find(|found| found.id.as_str() == name);
            named.ok_or_else(|| CtlError::Sensor(format!("{name}: no such reader on this machine")))
        }
        None if found.len() > 1 => {
            let names: Vec<String> = found.iter().map(|found| found.id.to_string()).collect();
            Err(CtlError::Usage(format!("say which reader: {}", names.join(", "))))
        }
        None => found.pop().ok_or_else(|| CtlError::Sensor("no reader is there".to_owned())),
    }
}

fn failed(found: &Found, error: &SensorError) -> CtlError {
    CtlError::Sensor(format!("{}: {error}", found.id))
}
