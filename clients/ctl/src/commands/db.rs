//! `db stats|verify|compact|rotate-keys`: the store of the box, and the tasks that keep it.
//!
//! Invariant: a task is the box's. Whoever waits for it here and goes away, changes nothing of it, and is told so.

use std::collections::BTreeMap;
use std::time::Duration;

use authenteon_box::{Client, Problem};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;

use super::understand;
use crate::args::DbCommand;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;

const PATH: &str = "/v1/system/store";
/// How often the box is asked how far it is: soon at first, for small stores.
const SOONEST: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct Store {
    people: u64,
    templates: u64,
    values: BTreeMap<String, u64>,
    bytes: Bytes,
    #[serde(default)]
    bytes_per_person: Option<Bytes>,
    #[serde(default)]
    bytes_per_template: Option<u64>,
    free_bytes: u64,
    indexed: bool,
    #[serde(default)]
    task: Option<Task>,
}

#[derive(Deserialize)]
struct Bytes {
    total: u64,
    snapshot: u64,
    journal: u64,
    keys: u64,
    index: u64,
}

#[derive(Deserialize)]
struct Task {
    number: u64,
    task: String,
    state: String,
    by: String,
    begun: String,
    done: u64,
    all: u64,
    #[serde(default)]
    indexing: bool,
    #[serde(default)]
    verified: Option<Verified>,
    #[serde(default)]
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Verified {
    values: u64,
    differences: u64,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: DbCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let job = match command {
        DbCommand::Stats => {
            let answer = connect().await?.get(PATH).await?;
            let text = describe(&understand(&answer)?);
            return Ok(Outcome::done(text, answer));
        }
        DbCommand::Verify => "verify",
        DbCommand::Compact => "compact",
        DbCommand::RotateKeys => "rotate-keys",
    };
    let mut client = connect().await?;
    let mut answer = client.post(&format!("{PATH}/{job}"), &Value::Null).await?;
    let begun: Task = understand(&answer)?;
    let bar = bar();
    let ended = tokio::select! {
        ended = ended(&mut client, begun.number, &bar, &mut answer) => ended,
        _ = tokio::signal::ctrl_c() => {
            bar.finish_and_clear();
            let text = format!("{job} goes on at the box; how far it is: authenteonctl db stats\n");
            return Ok(Outcome { exit: Exit::Interrupted, text, json: answer });
        }
    };
    bar.finish_and_clear();
    ended?;
    let task: Task = understand(&answer)?;
    match task.problem {
        Some(problem) => Err(CtlError::Problem(problem)),
        None => Ok(Outcome::done(came_to(&task), answer)),
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{msg:14} [{wide_bar}] {percent:>3} % {eta:>4}") {
        bar.set_style(style);
    }
    bar
}

/// Asks until the task has ended; `last` is what the box said of it last.
async fn ended(
    client: &mut Client,
    number: u64,
    bar: &ProgressBar,
    last: &mut Value,
) -> Result<(), CtlError> {
    let mut pause = SOONEST;
    loop {
        let task: Task = understand(last)?;
        if task.number != number {
            return Err(CtlError::Answer(
                "another task was begun meanwhile; authenteonctl db stats".to_owned(),
            ));
        }
        if task.state != "running" {
            return Ok(());
        }
        bar.set_length(task.all.max(1));
        bar.set_position(task.done);
        bar.set_message(if task.indexing { "index".to_owned() } else { task.task });
        tokio::time::sleep(pause).await;
        pause = PAUSE.min(pause * 2);
        let mut answer = client.get(&format!("{PATH}/task")).await?;
        *last = answer.get_mut("task").map(Value::take).ok_or_else(|| {
            CtlError::Answer("it was started anew meanwhile, and the task has ended".to_owned())
        })?;
    }
}

/// What a task did.
fn came_to(task: &Task) -> String {
    match (&task.verified, task.task.as_str()) {
        (Some(Verified { values, differences: 0 }), _) => format!("{values} values are whole\n"),
        (Some(Verified { values, differences }), _) => format!(
            "{values} values are whole\nthe index had another copy of {differences}: it is made anew, and nothing is \
             lost\n"
        ),
        (None, "compact") => "the store is as small as it can be; see: authenteonctl db stats\n".to_owned(),
        (None, "rotate-keys") => {
            "everything has other keys: what was copied before opens nothing that is written from now on\n"
                .to_owned()
        }
        (None, other) => format!("{other}: done\n"),
    }
}

/// A table of what is there.
fn describe(store: &Store) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<24} {value:>12}\n"));
    line("people", store.people.to_string());
    line("templates", store.templates.to_string());
    line("values", store.values.values().sum::<u64>().to_string());
    for (table, count) in store.values.iter().filter(|(_, count)| **count > 0) {
        line(&format!("  {table}"), count.to_string());
    }
    let human = |bytes: u64| HumanBytes(bytes).to_string();
    line("on the disk", human(store.bytes.total));
    for (name, bytes) in store.bytes.parts() {
        line(name, human(bytes));
    }
    if let Some(each) = &store.bytes_per_person {
        line("bytes per person", each.total.to_string());
        for (name, bytes) in each.parts() {
            line(name, bytes.to_string());
        }
    }
    if let Some(each) = store.bytes_per_template {
        line("bytes per template", each.to_string());
    }
    line("free", human(store.free_bytes));
    if !store.indexed {
        text.push_str("the index is being made: nobody is listed, enrolled or removed until it is there\n");
    }
    if let Some(task) = &store.task {
        text.push_str(&going_on(task));
    }
    text
}

/// How the present or last task is.
fn going_on(task: &Task) -> String {
    let Task { task: name, state, by, begun, done, all, problem, .. } = task;
    let mut text = format!("{name}, begun by {by} at {begun}: {state}");
    if state == "running" {
        let percent = done * 100 / (*all).max(1);
        text.push_str(&format!(", {percent} %{}", if task.indexing { " of the index" } else { "" }));
    }
    if let Some(problem) = problem {
        text.push_str(&format!(": {}", problem.detail));
    }
    text.push('\n');
    text
}

impl Bytes {
    fn parts(&self) -> [(&'static str, u64); 4] {
        [
            ("  journal: snapshot", self.snapshot),
            ("  journal: since then", self.journal),
            ("  keys", self.keys),
            ("  index", self.index),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_differed_is_said_and_is_no_loss() {
        let mut task: Task = serde_json::from_value(serde_json::json!({
            "number": 1, "task": "verify", "state": "done", "by": "boss", "begun": "now", "done": 7, "all": 7,
            "verified": {"values": 7, "differences": 0},
        }))
        .unwrap();
        assert_eq!(came_to(&task), "7 values are whole\n");
        task.verified = Some(Verified { values: 7, differences: 2 });
        assert!(came_to(&task).contains("nothing is lost"), "{}", came_to(&task));
    }
}
