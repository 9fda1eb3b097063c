//! `finger enrol|duress|list|delete`.

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::subject::{Finger, table};
use super::{confirm, understand};
use crate::args::FingerCommand;
use crate::error::CtlError;
use crate::live::Live;
use crate::outcome::Outcome;
use crate::sample;

#[derive(Deserialize)]
struct Fingers {
    fingers: Vec<Finger>,
}

/// Runs one of the commands; images are read before the box is asked for anything.
pub(crate) async fn run(
    command: FingerCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    match command {
        FingerCommand::Enrol { subject, position, prints } => {
            let path = format!("/v1/subjects/{subject}/fingers");
            let body = |samples: Vec<Value>| json!({"position": position.name(), "samples": samples});
            let answer = match &prints.place.sensor {
                Some(sensor) => {
                    let samples = (0..prints.impressions).map(|_| prints.place.sample(sensor)).collect();
                    live.ask(&mut connect().await?, &path, &body(samples)).await?
                }
                None => {
                    let samples = sample::read_all(&prints.files, prints.dpi)?;
                    connect().await?.post(&path, &body(samples)).await?
                }
            };
            let finger: Finger = understand(&answer)?;
            Ok(Outcome::done(format!("enrolled {}", table(&[finger])), answer))
        }
        FingerCommand::Duress { subject, position, off } => {
            let position = position.name();
            let path = format!("/v1/subjects/{subject}/fingers/{position}/duress");
            connect().await?.put(&path, &json!({"duress": !off})).await?;
            let json = json!({"duress": {"subject": subject, "position": position, "on": !off}});
            let what = if off { "no finger" } else { "a finger" };
            Ok(Outcome::done(format!("{position} of {subject} is {what} for duress"), json))
        }
        FingerCommand::List { subject } => {
            let answer: Value = connect().await?.get(&format!("/v1/subjects/{subject}/fingers")).await?;
            let fingers: Fingers = understand(&answer)?;
            Ok(Outcome::done(table(&fingers.fingers), answer))
        }
        FingerCommand::Delete { subject, position, yes } => {
            let position = position.name();
            confirm(&format!("Delete {position} of subject {subject}"), yes)?;
            connect().await?.delete(&format!("/v1/subjects/{subject}/fingers/{position}")).await?;
            let json = json!({"deleted": {"subject": subject, "position": position}});
            Ok(Outcome::done(format!("deleted {position} of {subject}"), json))
        }
    }
}
