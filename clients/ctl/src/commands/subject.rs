//! `subject create|list|show|delete|export|erase`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{confirm, understand};
use crate::args::SubjectCommand;
use crate::chain;
use crate::client::Client;
use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::transfer::{Download, bar};

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
        SubjectCommand::Export { subject, file, templates, force } => {
            let mut download = Download::create(&file, force)?;
            let with = if templates { "?templates=true" } else { "" };
            let progress = bar("Exporting", None);
            let mut bytes = 0;
            let mut take = |piece: &[u8]| {
                bytes += piece.len();
                progress.inc(piece.len() as u64);
                download.write(piece)
            };
            let path = format!("/v1/subjects/{subject}/export{with}");
            connect().await?.fetch(&path, &mut take).await?;
            progress.finish_and_clear();
            download.keep()?;
            let text = format!("all that is kept about {subject} is in {}\n", file.display());
            Ok(Outcome::done(
                text,
                json!({"subject": subject, "file": file, "bytes": bytes, "templates": templates}),
            ))
        }
        SubjectCommand::Erase { subject, proof, yes, force } => {
            // Before anything is done that cannot be undone.
            let mut download = Download::create(&proof, force)?;
            confirm(&format!("Erase subject {subject} and all that is kept of the person"), yes)?;
            let mut client = connect().await?;
            match client.delete(&format!("/v1/subjects/{subject}")).await {
                // Erased before, and the proof was not kept.
                Err(CtlError::Problem(problem)) if problem.slug() == "unknown-subject" => {}
                done => done?,
            }
            let answer = client.get(&format!("/v1/system/erasures/{subject}")).await?;
            download.write(answer.to_string().as_bytes())?;
            let found = chain::Proof::parse(&answer)?;
            found.check(None).map_err(|why| CtlError::Answer(why.to_owned()))?;
            download.keep()?;
            let (number, file) = (found.statement.number, proof.display());
            let text = format!("erased {subject}: record {number} of the audit; the proof is in {file}\n");
            Ok(Outcome::done(text, json!({"erased": subject, "record": number, "proof": proof})))
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
