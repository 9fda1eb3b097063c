//! One file for each group of commands; each turns arguments into requests and answers into an
//! [`Outcome`].

mod account;
mod at_rest;
mod audit;
mod backup;
mod claim;
#[cfg(feature = "local")]
mod convert;
mod db;
mod decide;
mod diagnose;
mod directory;
mod finger;
mod handover;
mod health;
#[cfg(feature = "local")]
mod inspect;
mod lockout;
mod man;
mod policy;
mod profile;
mod sensor;
mod station;
mod subject;
mod support;
mod ticket;
mod token;
mod update;

use std::io::{self, BufRead, IsTerminal, Write};

use authenteon_box::Client;
use clap::CommandFactory;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::{Args, Command};
use crate::error::CtlError;
use crate::live::Live;
use crate::outcome::Outcome;
use crate::profile::{Target, target};
use crate::tls;

/// Runs the command that was asked for; only those that ask the box connect to it.
pub(crate) async fn run(Args { mut connection, json, command, .. }: Args) -> Result<Outcome, CtlError> {
    connection.timeout = connection.timeout.max(command.patience());
    let limit = connection.limit();
    let live = Live { json };
    let connect = async || {
        let target = target(&connection)?;
        let tls = tls::config(&target)?;
        let token = target.token.as_deref().map(tls::token).transpose()?;
        Ok(Client::connect(target.server, tls, limit).await?.showing(token))
    };
    // As nobody that the box knows: who signs in is not signed in yet.
    let unknown = async || {
        let target = Target { cert: None, key: None, token: None, ..target(&connection)? };
        let tls = tls::config(&target)?;
        Ok(Client::connect(target.server, tls, limit).await?)
    };
    match command {
        Command::Health => {
            let target = target(&connection)?;
            let identified = target.cert.is_some() || target.token.is_some();
            health::run(connect().await?, identified).await
        }
        Command::Claim(asked) => claim::run(asked, &connection).await,
        Command::Profile(command) => profile::run(command, &connection),
        Command::Openapi => openapi(connect().await?).await,
        Command::Man { folder } => man::run(&folder),
        Command::Diagnose => diagnose::run(connect).await,
        Command::Subject(command) => subject::run(command, connect).await,
        Command::Station(command) => station::run(command, &connection, connect).await,
        Command::Account(command) => account::run(command, connect).await,
        Command::Login(asked) if asked.ticket.kinit => ticket::run(&asked, connect, live).await,
        Command::Login(asked) => account::login(asked, connection.token_file.clone(), unknown).await,
        Command::Logout => account::logout(connection.token_file.clone(), connect).await,
        Command::Token(command) => token::run(command, connect).await,
        Command::Finger(command) => finger::run(command, connect, live).await,
        Command::Verify(asked) => decide::verify(&asked, connect, live).await,
        Command::Identify(asked) => decide::identify(&asked, connect, live).await,
        Command::Assertion(command) => handover::assertion(command, connect).await,
        Command::Certificate(command) => handover::certificate(command, connect).await,
        Command::Policy(command) => policy::run(command, connect).await,
        Command::Lockout(command) => lockout::run(command, connect).await,
        Command::Directory(command) => directory::run(command, connect).await,
        Command::Sensor(command) => sensor::run(command, connect, live).await,
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

async fn openapi(mut client: Client) -> Result<Outcome, CtlError> {
    let answer = client.get("/v1/openapi.json").await?;
    let text = serde_json::to_string_pretty(&answer).map_err(|error| CtlError::Answer(error.to_string()))?;
    Ok(Outcome::done(text, answer))
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
        Ok(_) => Err(CtlError::Declined),
        Err(error) => Err(CtlError::System(error.to_string())),
    }
}
