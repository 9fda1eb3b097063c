//! `authenteon-agent`: holds a machine's key, and asks the box for the programs of this machine whether a finger is somebody's.
//!
//! Invariant: it says that somebody was accepted only to root or to him, only when the box said so to the question that it
//! asked just then, and never about an account of the system that its configuration does not name.
#![forbid(unsafe_code)]

mod args;
mod ask;
mod check;
mod config;
mod conversation;
mod error;
mod serve;
mod ticket;
mod who;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};
use crate::config::Config;
use crate::error::AgentError;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody else to tell.
            let _ = writeln!(io::stderr().lock(), "authenteon-agent: {error}");
            if let Some(advice) = error.advice() {
                let _ = writeln!(io::stderr().lock(), "  {advice}");
            }
            error.exit()
        }
    }
}

fn run(command: Command) -> Result<(), AgentError> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match command {
        Command::Serve { config } => {
            let config = Config::read(&config)?;
            let colours = io::stderr().is_terminal();
            tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(colours).with_target(false).init();
            runtime()?.block_on(serve::run(config))
        }
        Command::Check { config } => {
            let said = runtime()?.block_on(check::run(&Config::read(&config)?))?;
            Ok(writeln!(io::stdout().lock(), "{said}")?)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "authenteon-agent", &mut script);
            Ok(io::stdout().lock().write_all(&script)?)
        }
    }
}
