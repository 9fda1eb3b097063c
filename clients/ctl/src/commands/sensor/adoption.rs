//! `sensor adopt|release|resume`: which of the box's readers are used.

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{name, view};
use crate::commands::{confirm, understand};
use crate::error::CtlError;
use crate::outcome::Outcome;

#[derive(Deserialize)]
struct Listed {
    sensors: Vec<Seen>,
}

/// A reader as it is now.
#[derive(Deserialize)]
struct Seen {
    sensor: String,
    model: String,
    serial: Option<String>,
    port: Option<String>,
    state: String,
}

/// Adopts a reader as the box sees it now, after showing that.
pub(super) async fn adopt(
    client: &mut Client,
    named: Option<String>,
    yes: bool,
) -> Result<Outcome, CtlError> {
    let listed: Listed = understand(&client.get("/v1/sensors").await?)?;
    let seen = choose(listed.sensors, named.as_deref())?;
    let port = seen.port.as_deref().ok_or_else(|| {
        CtlError::Sensor(format!(
            "{} is not there: plug it in, and look at it before you adopt it",
            seen.sensor
        ))
    })?;
    let serial = seen
        .serial
        .as_deref()
        .map_or("no serial number".to_owned(), |serial| format!("serial number {serial}"));
    confirm(&format!("Adopt {}: {}, {serial}, at {port} ({})", seen.sensor, seen.model, seen.state), yes)?;
    let mut body = json!({"model": seen.model, "port": port});
    if let Some(serial) = &seen.serial {
        body["serial"] = json!(serial);
    }
    let answer = client.post(&format!("/v1/sensors/{}/adopt", seen.sensor), &body).await?;
    done("adopted", answer)
}

/// The reader of that name, or the only one that is there and not used.
fn choose(readers: Vec<Seen>, named: Option<&str>) -> Result<Seen, CtlError> {
    let Some(named) = named else {
        let mut waiting: Vec<Seen> = readers
            .into_iter()
            .filter(|reader| reader.port.is_some() && matches!(reader.state.as_str(), "unknown" | "moved"))
            .collect();
        return match (waiting.pop(), waiting.len()) {
            (Some(reader), 0) => Ok(reader),
            (Some(reader), _) => {
                let mut names: Vec<String> = waiting.into_iter().map(|reader| reader.sensor).collect();
                names.push(reader.sensor);
                Err(CtlError::Usage(format!("say which reader: {}", names.join(", "))))
            }
            (None, _) => Err(CtlError::Sensor("no reader is there that waits to be adopted".to_owned())),
        };
    };
    let found = readers.into_iter().find(|reader| reader.sensor == named);
    found.ok_or_else(|| CtlError::Sensor(format!("{named}: no such reader at the box")))
}

/// Ends an adoption.
pub(super) async fn release(client: &mut Client, sensor: &str, yes: bool) -> Result<Outcome, CtlError> {
    let sensor = name(sensor)?;
    confirm(&format!("Release {sensor}: no finger is taken there any more"), yes)?;
    client.delete(&format!("/v1/sensors/{sensor}/adopt")).await?;
    Ok(Outcome::done(format!("released {sensor}"), json!({"released": sensor})))
}

/// Ends a suspension.
pub(super) async fn resume(client: &mut Client, sensor: &str) -> Result<Outcome, CtlError> {
    let sensor = name(sensor)?;
    let answer = client.post(&format!("/v1/sensors/{sensor}/resume"), &json!({})).await?;
    done("resumed", answer)
}

fn done(what: &str, answer: Value) -> Result<Outcome, CtlError> {
    Ok(Outcome::done(format!("{what} {}", view::line(&understand(&answer)?)), answer))
}
