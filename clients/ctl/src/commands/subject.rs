//! `subject create|list|show|rename|groups|pin|recovery-code|delete|export|erase|unlock`.

use authenteon_box::{BoxError, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{confirm, lockout, understand};
use crate::args::SubjectCommand;
use crate::chain;
use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::passphrase;
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
    groups: Vec<String>,
    #[serde(default)]
    fingers: Vec<Finger>,
    /// Absent for who was made on the box.
    directory: Option<Followed>,
}

/// The directory that somebody is followed in.
#[derive(Deserialize)]
struct Followed {
    name: String,
    state: String,
    since: String,
    login: Option<String>,
    upn: Option<String>,
    #[serde(default)]
    withheld: Vec<String>,
}

/// A finger as the box describes it.
#[derive(Deserialize)]
pub(crate) struct Finger {
    position: String,
    impressions: u64,
    quality: u64,
    #[serde(default)]
    duress: bool,
}

#[derive(Deserialize)]
struct Given {
    recovery_code: String,
    expires: String,
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
        SubjectCommand::Create { name, groups } => {
            let mut body = json!({"name": name});
            if !groups.is_empty() {
                body["groups"] = json!(groups);
            }
            let answer = connect().await?.post("/v1/subjects", &body).await?;
            let subject: Subject = understand(&answer)?;
            Ok(Outcome::done(subject.subject_id, answer))
        }
        SubjectCommand::List => list(connect().await?).await,
        SubjectCommand::Show { subject } => {
            let answer = connect().await?.get(&format!("/v1/subjects/{subject}")).await?;
            Ok(Outcome::done(details(&understand(&answer)?), answer))
        }
        SubjectCommand::Rename { subject, name } => changed(subject, json!({"name": name}), connect).await,
        SubjectCommand::Groups { subject, groups } => {
            changed(subject, json!({"groups": groups}), connect).await
        }
        SubjectCommand::Pin { subject, remove: true, .. } => {
            connect().await?.delete(&format!("/v1/subjects/{subject}/pin")).await?;
            Ok(Outcome::done(
                format!("{subject} has no PIN"),
                json!({"pin": {"subject": subject, "set": false}}),
            ))
        }
        SubjectCommand::Pin { subject, file, .. } => {
            let pin = passphrase::chosen(file.as_deref(), "PIN: ")?;
            connect().await?.put(&format!("/v1/subjects/{subject}/pin"), &json!({"pin": pin})).await?;
            Ok(Outcome::done(
                format!("{subject} has a PIN"),
                json!({"pin": {"subject": subject, "set": true}}),
            ))
        }
        SubjectCommand::RecoveryCode { subject, revoke: true, .. } => {
            connect().await?.delete(&format!("/v1/subjects/{subject}/recovery-code")).await?;
            let json = json!({"revoked": {"subject": subject}});
            Ok(Outcome::done(format!("no recovery code of {subject} is good"), json))
        }
        SubjectCommand::RecoveryCode { subject, valid_hours, .. } => {
            let path = format!("/v1/subjects/{subject}/recovery-code");
            let answer = connect().await?.post(&path, &json!({"valid_hours": valid_hours})).await?;
            let given: Given = understand(&answer)?;
            Ok(Outcome::done(format!("{}\ngood once, until {}", given.recovery_code, given.expires), answer))
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
                Err(BoxError::Problem(problem)) if problem.slug() == "unknown-subject" => {}
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
        SubjectCommand::Unlock { subject } => lockout::subject_unlocked(subject, connect).await,
    }
}

async fn changed(
    subject: Uuid,
    change: Value,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let answer = connect().await?.patch(&format!("/v1/subjects/{subject}"), &change).await?;
    Ok(Outcome::done(details(&understand(&answer)?), answer))
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
            let followed = subject.directory.as_ref().map_or_else(String::new, brief);
            let Subject { subject_id, name, .. } = &subject;
            text.push_str(&format!("{subject_id}  {fingers:>2} fingers  {name}{followed}\n"));
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
    let groups = match subject.groups.as_slice() {
        [] => String::new(),
        groups => format!("groups:  {}\n", groups.join(", ")),
    };
    format!(
        "id:      {}\nname:    {}\ncreated: {created}\n{groups}{}{}",
        subject.subject_id,
        subject.name,
        subject.directory.as_ref().map_or_else(String::new, account),
        table(&subject.fingers)
    )
}

/// Whose somebody is, in a list; and how he stands, if he is not let in.
fn brief(followed: &Followed) -> String {
    let login = followed.login.as_deref().unwrap_or_default();
    let state = if followed.state == "active" { String::new() } else { format!(", {}", followed.state) };
    format!("  ({login}@{}{state})", followed.name)
}

fn account(followed: &Followed) -> String {
    let Followed { name, state, since, login, upn, withheld } = followed;
    let mut text = format!("follows: {name}, {state} since {since}\n");
    for (what, value) in [("login", login), ("upn", upn)] {
        if let Some(value) = value {
            let held =
                if withheld.iter().any(|one| one == what) { ", which somebody else holds" } else { "" };
            text.push_str(&format!("{:<8} {value}{held}\n", format!("{what}:")));
        }
    }
    text
}

/// Fingers, one a line.
pub(crate) fn table(fingers: &[Finger]) -> String {
    if fingers.is_empty() {
        return "no fingers enrolled\n".to_owned();
    }
    let line = |f: &Finger| {
        let duress = if f.duress { ", for duress" } else { "" };
        format!("{:<13} {} impressions, quality {}{duress}\n", f.position, f.impressions, f.quality)
    };
    fingers.iter().map(line).collect()
}
