//! `authenteonctl`: one command, one or a few requests to the box on port 3411, one answer.
//!
//! Invariant: standard output carries the answer and nothing else (one JSON value with `--json`),
//! and the exit code alone tells a script what happened.
#![forbid(unsafe_code)]

mod args;
mod chain;
mod code;
mod commands;
#[cfg(test)]
mod conventions;
mod csv;
mod error;
mod exit;
mod invitation;
mod keys;
mod live;
mod outcome;
mod passphrase;
mod pin;
mod problem;
mod profile;
mod sample;
mod tls;
mod transfer;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Form};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;

fn main() -> ExitCode {
    let args = Args::parse();
    let form = if args.json { Form::Json } else { args.output };
    let json = form == Form::Json;
    let exit = match run(Args { json, ..args }) {
        Ok(outcome) => print(&outcome, form),
        Err(error) => complain(&error, json),
    };
    exit.into()
}

fn run(args: Args) -> Result<Outcome, CtlError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CtlError::System(error.to_string()))?;
    runtime.block_on(commands::run(args))
}

fn print(outcome: &Outcome, form: Form) -> Exit {
    // A command that followed something has said all of it already.
    if outcome.text.is_empty() && outcome.json.is_null() {
        return outcome.exit;
    }
    let text = match form {
        Form::Json => outcome.json.to_string(),
        Form::Csv => csv::of(&outcome.json).trim_end().to_owned(),
        Form::Table => outcome.text.trim_end().to_owned(),
    };
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => outcome.exit,
        // Whoever read our output has gone, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => outcome.exit,
        Err(_) => Exit::Failure,
    }
}

fn complain(error: &CtlError, json: bool) -> Exit {
    if json {
        let _ = writeln!(io::stdout().lock(), "{}", error.to_json());
    } else {
        let _ = writeln!(io::stderr().lock(), "authenteonctl: {error}");
        if let Some(advice) = error.advice() {
            let _ = writeln!(io::stderr().lock(), "  {advice}");
        }
    }
    error.exit()
}
