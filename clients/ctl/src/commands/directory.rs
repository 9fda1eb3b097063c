//! `directory status|test|sync|diff|confirm|password`.

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{confirm, understand};
use crate::args::DirectoryCommand;
use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::passphrase;
use crate::transfer::waiting;

#[derive(Deserialize)]
struct All {
    directories: Vec<Value>,
}

#[derive(Deserialize)]
struct Directory {
    name: String,
    kind: Option<String>,
    state: String,
    stale: bool,
    read: Option<String>,
    swept: Option<String>,
    error: Option<String>,
    failing_since: Option<String>,
    people: People,
    last: Option<Last>,
    held: Option<Held>,
    #[serde(default)]
    collisions: Vec<Value>,
    #[serde(default)]
    unusable: Vec<Unusable>,
}

#[derive(Deserialize)]
struct People {
    active: usize,
    disabled: usize,
    expired: usize,
    gone: usize,
}

#[derive(Deserialize)]
struct Counts {
    created: usize,
    changed: usize,
    disabled: usize,
    gone: usize,
    enabled: usize,
    erased: usize,
}

#[derive(Deserialize)]
struct Last {
    at: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Deserialize)]
struct Held {
    confirm: String,
    disabled: usize,
    gone: usize,
    erased: usize,
    of: usize,
}

#[derive(Deserialize)]
struct Unusable {
    object: Option<String>,
    why: String,
}

#[derive(Deserialize)]
struct Found {
    done: bool,
    #[serde(flatten)]
    counts: Counts,
    held: Option<Held>,
    acts: Vec<Act>,
    left_out: usize,
    collisions: Vec<Value>,
    unusable: Vec<Unusable>,
}

#[derive(Deserialize)]
struct Act {
    act: String,
    name: String,
    login: Option<String>,
    changed: Vec<String>,
}

#[derive(Deserialize)]
struct Rights {
    method: String,
    deletions: bool,
    people: usize,
    advice: Vec<String>,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: DirectoryCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        DirectoryCommand::Status { name } => {
            let answer = connect().await?.get("/v1/directory").await?;
            let all: All = understand(&answer)?;
            let Some(name) = name else {
                return Ok(Outcome::done(table(&directories(&all.directories)?), answer));
            };
            let one = one(all.directories, &name)?;
            let text = details(&understand(&one)?);
            Ok(Outcome::done(text, one))
        }
        DirectoryCommand::Test { name } => {
            let progress = waiting("Asking the directory");
            let answer = connect().await?.post(&format!("/v1/directory/{name}/test"), &json!({})).await;
            progress.finish_and_clear();
            let answer = answer?;
            Ok(Outcome::done(rights(&understand(&answer)?), answer))
        }
        DirectoryCommand::Sync { name, dry_run } => {
            let progress = waiting("Reading the directory");
            let body = json!({ "dry_run": dry_run });
            let answer = connect().await?.post(&format!("/v1/directory/{name}/sync"), &body).await;
            progress.finish_and_clear();
            told(&name, answer?)
        }
        DirectoryCommand::Diff { name } => {
            let progress = waiting("Reading the directory");
            let answer = connect().await?.get(&format!("/v1/directory/{name}/diff")).await;
            progress.finish_and_clear();
            told(&name, answer?)
        }
        DirectoryCommand::Confirm { name, plan, yes } => confirmed(&name, plan, yes, connect).await,
        DirectoryCommand::Password { name, file } => {
            let password = passphrase::chosen(file.as_deref(), "Password of the account: ")?;
            let path = format!("/v1/directory/{name}/password");
            connect().await?.put(&path, &json!({ "password": password })).await?;
            let text =
                format!("the box has the password for {name}; see: authenteonctl directory test {name}\n");
            Ok(Outcome::done(text, json!({ "password": { "directory": name, "set": true } })))
        }
    }
}

async fn confirmed(
    name: &str,
    plan: Option<String>,
    yes: bool,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let mut client = connect().await?;
    let all: All = understand(&client.get("/v1/directory").await?)?;
    let directory: Directory = understand(&one(all.directories, name)?)?;
    let Some(held) = directory.held else {
        return Err(CtlError::Usage(format!("nothing of {name} waits to be confirmed")));
    };
    if plan.is_some_and(|plan| plan != held.confirm) {
        let text = format!("{} waits now: look at it with directory status {name}", held.confirm);
        return Err(CtlError::Usage(text));
    }
    confirm(&format!("{name}: {}. Have it done", harm(&held)), yes)?;
    let progress = waiting("Reading the directory");
    let body = json!({ "confirm": held.confirm });
    let answer = client.post(&format!("/v1/directory/{name}/sync"), &body).await;
    progress.finish_and_clear();
    told(name, answer?)
}

fn directories(all: &[Value]) -> Result<Vec<Directory>, CtlError> {
    all.iter().map(understand).collect()
}

fn one(all: Vec<Value>, name: &str) -> Result<Value, CtlError> {
    let found = all.into_iter().find(|directory| directory["name"] == name);
    found
        .ok_or_else(|| CtlError::Usage(format!("no directory is called {name}: directory status lists them")))
}

fn table(all: &[Directory]) -> String {
    if all.is_empty() {
        return "no directory is followed: the configuration has no [[directory]]\n".to_owned();
    }
    let line = |directory: &Directory| {
        let stale = if directory.stale { ", stale" } else { "" };
        let read =
            directory.read.as_deref().map_or_else(|| "never read".to_owned(), |at| format!("read {at}"));
        let error = directory.error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let held = match &directory.held {
            Some(held) => format!("; waits for directory confirm {}: {}", directory.name, harm(held)),
            None => String::new(),
        };
        let people = &directory.people;
        format!(
            "{:<16} {:<12} {} people, {} not let in; {read}{stale}{error}{held}\n",
            directory.name,
            directory.state,
            people.active,
            people.disabled + people.expired + people.gone,
        )
    };
    all.iter().map(line).collect()
}

fn details(directory: &Directory) -> String {
    let mut text = format!("name:       {}\n", directory.name);
    let mut say = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{:<11} {value}\n", format!("{what}:")));
        }
    };
    let People { active, disabled, expired, gone } = &directory.people;
    say("kind", directory.kind.clone());
    say("state", Some(directory.state.clone()));
    say("stale", directory.stale.then(|| "yes: no certificate rests on it until it is read".to_owned()));
    say("read", directory.read.clone());
    say("swept", directory.swept.clone());
    say("error", directory.error.clone());
    say("since", directory.failing_since.clone());
    say("people", Some(format!("{active} active, {disabled} disabled, {expired} expired, {gone} gone")));
    say("last", directory.last.as_ref().map(|last| format!("{}: {}", last.at, counts(&last.counts))));
    say("held", directory.held.as_ref().map(|held| format!("{}: {}", held.confirm, harm(held))));
    text.push_str(&findings(&directory.collisions, &directory.unusable));
    text
}

fn rights(rights: &Rights) -> String {
    let deletions = if rights.deletions { "at once" } else { "by the daily sweep" };
    let mut text =
        format!("{} people, read by {}, deletions seen {deletions}\n", rights.people, rights.method);
    for advice in &rights.advice {
        text.push_str(&format!("- {advice}\n"));
    }
    text
}

/// What was done, or would be.
fn told(name: &str, answer: Value) -> Result<Outcome, CtlError> {
    let found: Found = understand(&answer)?;
    let mut text = String::new();
    for Act { act, name, login, changed } in &found.acts {
        let login = login.as_ref().map_or_else(String::new, |login| format!(" ({login})"));
        text.push_str(&format!("{act:<7} {name}{login} {}\n", changed.join(", ")).replace(" \n", "\n"));
    }
    if found.left_out > 0 {
        text.push_str(&format!("and {} more\n", found.left_out));
    }
    text.push_str(&findings(&found.collisions, &found.unusable));
    let so = if found.done { "" } else { "not done: " };
    text.push_str(&format!("{name}: {so}{}\n", counts(&found.counts)));
    if let Some(held) = &found.held {
        let harm = harm(held);
        text.push_str(&format!(
            "An administrator has to confirm it: {harm}. authenteonctl directory confirm {name}\n"
        ));
    }
    Ok(Outcome::done(text, answer))
}

fn counts(counts: &Counts) -> String {
    let all = [
        (counts.created, "created"),
        (counts.changed, "changed"),
        (counts.disabled, "disabled"),
        (counts.gone, "gone"),
        (counts.enabled, "enabled"),
        (counts.erased, "erased"),
    ];
    let some: Vec<String> = all
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if some.is_empty() { "nothing to do".to_owned() } else { some.join(", ") }
}

fn harm(held: &Held) -> String {
    let Held { disabled, gone, erased, of, .. } = held;
    format!("of {of} people {disabled} would be disabled, {gone} are gone, {erased} would be erased")
}

fn findings(collisions: &[Value], unusable: &[Unusable]) -> String {
    let mut text = String::new();
    for collision in collisions {
        let who = |person: &Value| {
            let part = |key: &str| person[key].as_str().unwrap_or_default().to_owned();
            format!("{} of {}", part("object"), part("source"))
        };
        let line = match collision["shared"].as_str() {
            Some("identifier") => {
                let holder = &collision["holder"];
                let holder = if holder.is_null() { "nobody".to_owned() } else { who(holder) };
                let others = collision["withheld"]
                    .as_array()
                    .map_or_else(String::new, |all| all.iter().map(who).collect::<Vec<_>>().join(", "));
                let part = |key: &str| collision[key].as_str().unwrap_or_default();
                format!("{} {} is held by {holder} and withheld from {others}", part("which"), part("value"))
            }
            _ => format!(
                "subject {}, who was made here, has the name of {}",
                collision["subject"].as_str().unwrap_or_default(),
                who(&collision["person"])
            ),
        };
        text.push_str(&format!("collision: {line}\n"));
    }
    for Unusable { object, why } in unusable {
        text.push_str(&format!("unusable: {}: {why}\n", object.as_deref().unwrap_or("somebody")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(more: &Value) -> Value {
        let mut directory = json!({
            "name": "corp", "kind": "active-directory", "state": "following", "stale": false,
            "read": "2026-11-29T08:00:00Z", "people": {"active": 9, "disabled": 1, "expired": 0, "gone": 2},
            "collisions": [], "unusable": [],
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            directory[key] = value.clone();
        }
        directory
    }

    #[test]
    fn the_table_says_who_is_read_when_and_what_waits() {
        let held = json!({"state": "held", "stale": true,
            "held": {"confirm": "00112233", "disabled": 0, "gone": 7, "erased": 0, "of": 12}});
        let text = table(&[understand(&directory(&held)).unwrap()]);
        for part in ["held", "9 people, 3 not let in", "stale", "directory confirm corp", "7 are gone"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(table(&[]).contains("[[directory]]"));
    }

    #[test]
    fn all_there_is_to_know_of_one_has_its_collisions_and_who_cannot_be_taken() {
        let more = json!({
            "error": "no server answers", "failing_since": "2026-11-29T07:00:00Z",
            "collisions": [
                {"shared": "identifier", "which": "login", "value": "ada", "withheld": [{"source": "other", "object": "o2"}],
                    "holder": {"source": "corp", "object": "o1"}},
                {"shared": "name", "subject": "s1", "person": {"source": "corp", "object": "o3"}},
            ],
            "unusable": [{"why": "no name"}],
        });
        let text = details(&understand(&directory(&more)).unwrap());
        for part in [
            "login ada is held by o1 of corp and withheld from o2 of other",
            "subject s1, who was made here, has the name of o3 of corp",
            "unusable: somebody: no name",
            "9 active, 1 disabled, 0 expired, 2 gone",
            "no server answers",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_was_not_done_says_so_and_how_to_have_it_done() {
        let answer = json!({
            "done": false, "created": 1, "changed": 0, "disabled": 0, "gone": 0, "enabled": 0, "erased": 0,
            "acts": [{"act": "create", "object": "o", "name": "Ada", "login": "ada", "state": "active", "changed": []}],
            "left_out": 3, "collisions": [], "unusable": [],
            "held": {"confirm": "0011", "disabled": 0, "gone": 7, "erased": 0, "of": 12},
        });
        let outcome = told("corp", answer.clone()).unwrap();
        for part in ["create  Ada (ada)\n", "and 3 more", "not done: 1 created", "directory confirm corp"] {
            assert!(outcome.text.contains(part), "{part}: {}", outcome.text);
        }
        assert_eq!(outcome.json, answer);
    }
}
