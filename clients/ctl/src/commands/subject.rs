//! `subject create|list|show|delete`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{confirm, understand};
use crate::args::SubjectCommand;
use crate::client::Client;
use crate::error::CtlError;
use crate::outcome::Outcome;

/// How many subjects are asked for at once.
const PAGE: usize = 200;

#[derive(Deserialize)]
struct Subject {
    subject_id: String,
    name: String,
    #[serde(default)]
    created: Value,
    #[serde(default)]
    fingers: Vec<Finger>,
}

/// A finger as the box describes it.
#[derive(Deserialize)]
pub(crate) struct Finger {
    position: String,
    impressions: u64,
    quality: u64,
}

#[derive(Deserialize)]
struct Page {
    subjects: Vec<Value>,
    /// Absent on the last page.
    next: Option<String>,
}

/// Runs one of the commands; connects only when the arguments make sense.
pub(crate) async fn run(
    command: SubjectCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        SubjectCommand::Create { name } => {
            let answer = connect().await?.post("/v1/subjects", &json!({"name": name})).await?;
            let subject: Subject = understand(&answer)?;
            Ok(Outcome::done(subject.subject_id, answer))
        }
        SubjectCommand::List => list(connect().await?).await,
        SubjectCommand::Show { subject } => {
            let answer = connect().await?.get(&format!("/v1/subjects/{subject}")).await?;
            Ok(Outcome::done(details(&understand(&answer)?), answer))
        }
        SubjectCommand::Delete { subject, yes } => {
            confirm(&format!("Delete subject {subject} and all its fingers"), yes)?;
            connect().await?.delete(&format!("/v1/subjects/{subject}")).await?;
            Ok(Outcome::done(format!("deleted {subject}"), json!({"deleted": subject})))
        }
    }
}

async fn list(mut client: Client) -> Result<Outcome, CtlError> {
    let mut all = Vec::new();
    let mut text = String::new();
    let mut path = format!("/v1/subjects?limit={PAGE}");
    let mut previous = None;
    loop {
        let page: Page = understand(&client.get(&path).await?)?;
        for answer in page.subjects {
            let subject: Subject = understand(&answer)?;
            let fingers = subject.fingers.len();
            text.push_str(&format!("{}  {fingers:>2} fingers  {}\n", subject.subject_id, subject.name));
            all.push(answer);
        }
        let Some(next) = page.next else { break };
        if previous.as_ref() == Some(&next) {
            return Err(CtlError::Answer("the same page of subjects came twice".to_owned()));
        }
        path = format!("/v1/subjects?limit={PAGE}&after={next}");
        previous = Some(next);
    }
    if all.is_empty() {
        text.push_str("no subjects yet\n");
    }
    Ok(Outcome::done(text, json!({"subjects": all})))
}

fn details(subject: &Subject) -> String {
    let created = subject.created.as_str().map_or_else(|| subject.created.to_string(), str::to_owned);
    format!(
        "id:      {}\nname:    {}\ncreated: {created}\n{}",
        subject.subject_id,
        subject.name,
        table(&subject.fingers)
    )
}

/// Fingers, one a line.
pub(crate) fn table(fingers: &[Finger]) -> String {
    if fingers.is_empty() {
        return "no fingers enrolled\n".to_owned();
    }
    let line =
        |f: &Finger| format!("{:<13} {} impressions, quality {}\n", f.position, f.impressions, f.quality);
    fingers.iter().map(line).collect()
}
