//! `update apply|status|trial|discard`: a bundle goes to the box, and the box says what it makes of it.

use std::path::Path;
use std::time::{Duration, Instant};

use authenteon_box::Client;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};

use super::understand;
use crate::args::UpdateCommand;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;

const PATH: &str = "/v1/system/update";
/// How often the box is asked how far it is.
const PAUSE: Duration = Duration::from_millis(250);
/// A trial ends after three minutes at the latest, and a start takes less than another two.
const TRIAL: Duration = Duration::from_secs(300);
/// No bundle is larger.
const LARGEST: u64 = 256 << 20;

/// What the box says; of the rest the whole answer tells.
#[derive(Deserialize)]
struct State {
    state: String,
    version: String,
    #[serde(default)]
    pending: Option<String>,
    #[serde(default)]
    step: Option<String>,
    #[serde(default)]
    percent: Option<u64>,
    #[serde(default)]
    error: Option<String>,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: UpdateCommand,
    connect: impl AsyncFn() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        UpdateCommand::Status => {
            let answer = connect().await?.get(PATH).await?;
            let text = describe(&understand(&answer)?);
            Ok(Outcome::done(text, answer))
        }
        UpdateCommand::Trial => {
            let answer = connect().await?.post(&format!("{PATH}/trial"), &Value::Null).await?;
            let text = format!("{}the box restarts into it now\n", describe(&understand(&answer)?));
            Ok(Outcome::done(text, answer))
        }
        UpdateCommand::Discard => {
            connect().await?.delete(PATH).await?;
            Ok(Outcome::done("nothing waits any more", json!({"discarded": true})))
        }
        UpdateCommand::Apply { file, no_reboot, wait } => {
            let bundle = read(&file)?;
            let mut client = connect().await?;
            let sending = ProgressBar::new_spinner();
            sending.set_message("Sending the bundle");
            sending.enable_steady_tick(PAUSE);
            client.upload(PATH, bundle).await?;
            sending.finish_and_clear();
            let answer = installed(&mut client).await?;
            let state: State = understand(&answer)?;
            if state.state != "ready" || state.error.is_some() {
                return Ok(Outcome { exit: Exit::Failure, text: describe(&state), json: answer });
            }
            if no_reboot {
                return Ok(Outcome::done(describe(&state), answer));
            }
            client.post(&format!("{PATH}/trial"), &Value::Null).await?;
            if !wait {
                let text = format!("{}the box restarts into it now\n", describe(&state));
                return Ok(Outcome::done(text, answer));
            }
            tried(&state, connect).await
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CtlError> {
    let bad = |reason: String| CtlError::File { path: file.to_path_buf(), reason };
    let length = std::fs::metadata(file).map_err(|error| bad(error.to_string()))?.len();
    if length > LARGEST {
        return Err(bad(format!("larger than a bundle may be ({LARGEST} bytes)")));
    }
    std::fs::read(file).map_err(|error| bad(error.to_string()))
}

/// Asks until the installation has ended, well or badly.
async fn installed(client: &mut Client) -> Result<Value, CtlError> {
    let bar = ProgressBar::new(100);
    if let Ok(style) = ProgressStyle::with_template("{msg:14} [{wide_bar}] {percent:>3} %") {
        bar.set_style(style);
    }
    loop {
        let answer = client.get(PATH).await?;
        let state: State = understand(&answer)?;
        if !matches!(state.state.as_str(), "receiving" | "installing") {
            bar.finish_and_clear();
            return Ok(answer);
        }
        bar.set_message(state.step.unwrap_or(state.state));
        bar.set_position(state.percent.unwrap_or_default());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the box has kept the new version or gone back. While it restarts nobody answers.
async fn tried(
    before: &State,
    connect: impl AsyncFn() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let waiting = ProgressBar::new_spinner();
    waiting.set_message("The box restarts and tests itself");
    waiting.enable_steady_tick(PAUSE);
    let began = Instant::now();
    loop {
        tokio::time::sleep(PAUSE * 4).await;
        let answer = match connect().await {
            Ok(mut client) => client.get(PATH).await.map_err(CtlError::from),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                let state: State = understand(&answer)?;
                let kept = state.state == "idle" && Some(&state.version) == before.pending.as_ref();
                if kept
                    || state.state == "rolled-back"
                        && state.version == before.version
                        && booted(&state, began)
                {
                    waiting.finish_and_clear();
                    let exit = if kept { Exit::Ok } else { Exit::Failure };
                    return Ok(Outcome { exit, text: describe(&state), json: answer });
                }
            }
            Err(error) if began.elapsed() > TRIAL => return Err(error),
            Err(CtlError::Problem(problem)) if problem.slug() == "locked" => {
                // It is kept only after it has read what is stored.
                waiting.set_message(
                    "The box waits for its passphrase, at most three minutes: authenteonctl unlock",
                );
            }
            Err(_) => {}
        }
        if began.elapsed() > TRIAL {
            return Err(CtlError::Answer("neither kept nor rolled back in time".to_owned()));
        }
    }
}

/// In the moments before the restart a trial that was asked for looks like one that failed.
fn booted(state: &State, began: Instant) -> bool {
    state.pending.is_some() && began.elapsed() > Duration::from_secs(10)
}

fn describe(state: &State) -> String {
    let mut text = format!("{}: version {} runs\n", state.state, state.version);
    if let Some(pending) = &state.pending {
        text.push_str(&format!("in the other slot: {pending}\n"));
    }
    if let Some(error) = &state.error {
        text.push_str(&format!("the last bundle was not installed: {error}\n"));
    }
    text
}
