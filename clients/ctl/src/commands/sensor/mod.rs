//! `sensor list|capture|test|adopt|release|resume`: the box's readers, or with `--local` this machine's; both speak the
//! API's JSON, so that a script need not know which it asked.

mod adoption;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "local")]
mod replay;
mod view;

use std::path::Path;
use std::time::Duration;

use authenteon_box::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::understand;
use crate::args::{OneReader, SensorCommand};
use crate::error::CtlError;
use crate::live::{Live, prompt};
use crate::outcome::Outcome;
use view::{Reader, Sensors};

/// A frame as the API gives it; of the rest the whole answer tells.
#[derive(Deserialize)]
struct Captured {
    data: String,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: SensorCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    #[cfg(feature = "local")]
    let command = match command {
        SensorCommand::Replay(recording) => return replay::run(recording),
        SensorCommand::List { place } if place.local => return local::list(&place),
        SensorCommand::Capture { reader, out, wait } if reader.place.local => {
            return local::capture(&reader, &out, Duration::from_secs(wait));
        }
        SensorCommand::Test { reader, finger } if reader.place.local => {
            return local::test(&reader, finger.map(Duration::from_secs));
        }
        remote => remote,
    };
    let mut client = connect().await?;
    match command {
        SensorCommand::List { .. } => view::list(client.get("/v1/sensors").await?),
        SensorCommand::Capture { reader, out, wait } => {
            let sensor = choose(&mut client, &reader).await?;
            let path = format!("/v1/sensors/{sensor}/capture");
            let mut answer = live.ask(&mut client, &path, &json!({"timeout_ms": wait * 1000})).await?;
            let captured: Captured = understand(&answer)?;
            let png = STANDARD.decode(captured.data);
            write(&out, &png.map_err(|error| CtlError::Answer(error.to_string()))?)?;
            if let Some(fields) = answer.as_object_mut() {
                fields.remove("data");
                fields.insert("out".to_owned(), json!(out));
            }
            view::captured(answer)
        }
        SensorCommand::Test { reader, finger } => {
            let sensor = choose(&mut client, &reader).await?;
            let what = if finger.is_some() { "keep off, then place and lift a finger" } else { "keep off" };
            let waiting = prompt(&format!("Testing {sensor} of the box: {what}"));
            let body = finger.map_or_else(|| json!({}), |seconds| json!({"timeout_ms": seconds * 1000}));
            let answer = client.post(&format!("/v1/sensors/{sensor}/test"), &body).await;
            waiting.finish_and_clear();
            view::tested(answer?)
        }
        SensorCommand::Adopt { sensor, yes } => adoption::adopt(&mut client, sensor, yes).await,
        SensorCommand::Release { sensor, yes } => adoption::release(&mut client, &sensor, yes).await,
        SensorCommand::Resume { sensor } => adoption::resume(&mut client, &sensor).await,
        #[cfg(feature = "local")]
        SensorCommand::Replay(recording) => replay::run(recording),
    }
}

/// A reader's name, which stands in a path.
fn name(text: &str) -> Result<&str, CtlError> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if plain { Ok(text) } else { Err(CtlError::Usage(format!("{text:?} names no reader"))) }
}

/// The reader that was named, or the only one that is there.
async fn choose(client: &mut Client, reader: &OneReader) -> Result<String, CtlError> {
    if let Some(sensor) = &reader.sensor {
        return Ok(name(sensor)?.to_owned());
    }
    let listed: Sensors = understand(&client.get("/v1/sensors").await?)?;
    only(listed.sensors.into_iter().filter(|reader| reader.present).collect())
}

/// The only one.
fn only(mut readers: Vec<Reader>) -> Result<String, CtlError> {
    match (readers.pop(), readers.len()) {
        (None, _) => Err(CtlError::Sensor("no reader is there".to_owned())),
        (Some(reader), 0) => Ok(reader.sensor),
        (Some(reader), _) => {
            let mut names: Vec<String> = readers.into_iter().map(|reader| reader.sensor).collect();
            names.push(reader.sensor);
            Err(CtlError::Usage(format!("say which reader: {}", names.join(", "))))
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CtlError> {
    std::fs::write(path, bytes)
        .map_err(|error| CtlError::File { path: path.to_path_buf(), reason: error.to_string() })
}
