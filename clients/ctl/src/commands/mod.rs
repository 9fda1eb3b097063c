//! One file for each group of commands; each turns arguments into requests and answers into an
//! [`Outcome`].

mod at_rest;
mod audit;
mod backup;
mod claim;
#[cfg(feature = "local")]
mod convert;
mod db;
mod decide;
mod diagnose;
mod finger;
mod health;
#[cfg(feature = "local")]
mod inspect;
mod sensor;
mod station;
mod subject;
mod support;
mod update;

use std::io::{self, BufRead, IsTerminal, Write};

use clap::CommandFactory;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::{Args, Command};
use crate::client::Client;
use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::tls;

/// A bundle, or a piece of a backup, on its way over a slow line.
const UPLOAD_SECONDS: u64 = 600;

/// Runs the command that was asked for; only those that ask the box connect to it.
pub(crate) async fn run(Args { mut connection, json, command, .. }: Args) -> Result<Outcome, CtlError> {
    if let Command::Sensor(command) = &command {
        connection.timeout = connection.timeout.max(command.patience());
    }
    if let Command::Update(_) | Command::Backup(_) | Command::Restore(_) = &command {
        connection.timeout = connection.timeout.max(UPLOAD_SECONDS);
    }
    let identified = connection.cert.is_some();
    let (server, limit) = (connection.server.clone(), connection.limit());
    let connect = async || {
        let tls = tls::config(&connection)?;
        Client::connect(connection.server.clone(), tls, limit).await
    };
    match command {
        Command::Health => health::run(connect().await?, identified).await,
        Command::Diagnose => diagnose::run(connect).await,
        Command::Claim(asked) => claim::run(asked, server, limit).await,
        Command::Subject(command) => subject::run(command, connect).await,
        Command::Station(command) => station::run(command, connect).await,
        Command::Finger(command) => finger::run(command, connect).await,
        Command::Verify { subject, image } => decide::verify(subject, &image, connect).await,
        Command::Identify { image } => decide::identify(&image, connect).await,
        Command::Sensor(command) => sensor::run(command, connect).await,
        Command::Unlock { passphrase_file } => at_rest::unlock(passphrase_file.as_deref(), connect).await,
        Command::AtRest(command) => at_rest::run(command, connect).await,
        Command::Audit(command) => audit::run(command, json, connect).await,
        Command::Backup(asked) => backup::take(asked, connect).await,
        Command::Restore(asked) => backup::restore(asked, connect).await,
        Command::Db(command) => db::run(command, connect).await,
        Command::SupportBundle { file } => support::run(&file, connect).await,
        Command::Update(command) => update::run(command, connect).await,
        #[cfg(feature = "local")]
        Command::Inspect { image, out } => inspect::run(&image, &out),
        #[cfg(feature = "local")]
        Command::Convert(asked) => convert::run(&asked),
        Command::Completions { shell } => Ok(completions(shell)),
    }
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "authenteonctl", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Outcome::done(script.clone(), Value::String(script))
}

/// Reads the part of an answer that a command shows; the whole of it is kept for `--json`.
fn understand<T: DeserializeOwned>(answer: &Value) -> Result<T, CtlError> {
    T::deserialize(answer).map_err(|error| CtlError::Answer(error.to_string()))
}

/// Deleting cannot be undone: somebody has to say yes, at the terminal or on the command line.
fn confirm(what: &str, yes: bool) -> Result<(), CtlError> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(CtlError::Usage(format!("{what}: say --yes when nobody is there to ask")));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr().lock(), "{what}? This cannot be undone. [y/N] ")
        .and_then(|()| stdin.lock().read_line(&mut answer));
    match asked {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        Ok(_) => Err(CtlError::Usage("nothing was done".to_owned())),
        Err(error) => Err(CtlError::System(error.to_string())),
    }
}
