//! Readers, frames and tests in words; the JSON is the API's.

use serde::Deserialize;
use serde_json::Value;

use crate::commands::understand;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;

#[derive(Deserialize)]
pub(super) struct Sensors {
    pub(super) sensors: Vec<Reader>,
}

#[derive(Deserialize)]
pub(super) struct Reader {
    pub(super) sensor: String,
    model: String,
    /// This machine's readers have none.
    state: Option<String>,
    port: Option<String>,
    serial: Option<String>,
    pub(super) present: bool,
    width: Option<u32>,
    height: Option<u32>,
    dpi: Option<u32>,
    last_error: Option<String>,
}

#[derive(Deserialize)]
struct Captured {
    sensor: String,
    width: u32,
    height: u32,
    dpi: u32,
    quality: u8,
    hint: Option<String>,
    out: String,
}

#[derive(Deserialize)]
struct Tested {
    sensor: String,
    passed: bool,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    result: String,
    detail: Option<String>,
    ms: u64,
}

/// One line a reader.
pub(super) fn list(answer: Value) -> Result<Outcome, CtlError> {
    let listed: Sensors = understand(&answer)?;
    let mut text = String::new();
    for reader in &listed.sensors {
        text.push_str(&line(reader));
        text.push('\n');
    }
    if listed.sensors.is_empty() {
        text.push_str("no readers\n");
    }
    Ok(Outcome::done(text, answer))
}

/// A reader in a line.
pub(super) fn line(reader: &Reader) -> String {
    let mut text = reader.sensor.clone();
    if let Some(state) = &reader.state {
        text.push_str(&format!("  {state}"));
    }
    let there = if reader.present { "present" } else { "absent" };
    text.push_str(&format!("  {there}  {}", reader.model));
    if let (Some(width), Some(height)) = (reader.width, reader.height) {
        text.push_str(&format!("  {width}x{height}"));
    }
    if let Some(dpi) = reader.dpi {
        text.push_str(&format!("  {dpi} dpi"));
    }
    if let Some(serial) = &reader.serial {
        text.push_str(&format!("  serial {serial}"));
    }
    if let Some(port) = &reader.port {
        text.push_str(&format!("  at {port}"));
    }
    if let Some(error) = &reader.last_error {
        text.push_str(&format!("  ({error})"));
    }
    text
}

/// A frame that was written.
pub(super) fn captured(answer: Value) -> Result<Outcome, CtlError> {
    let Captured { sensor, width, height, dpi, quality, hint, out } = understand(&answer)?;
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    let text = format!("{sensor}: {width}x{height} at {dpi} dpi, quality {quality}{hint}; written to {out}");
    Ok(Outcome::done(text, answer))
}

/// One line a step; a failed one fails the command.
pub(super) fn tested(answer: Value) -> Result<Outcome, CtlError> {
    let Tested { sensor, passed, steps } = understand(&answer)?;
    let mut text = String::new();
    for Step { step, result, detail, ms } in steps {
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        text.push_str(&format!("{step:<8} {result:<8} {ms:>6} ms{detail}\n"));
    }
    text.push_str(&format!("{sensor}: {}\n", if passed { "passed" } else { "failed" }));
    let exit = if passed { Exit::Ok } else { Exit::Failure };
    Ok(Outcome { exit, text, json: answer })
}
