//! Why a disk could not be made, booted or tested, with what to do about it.

use std::{io, path::Path, process::Command};

use crate::{
    host::{self, Tool},
    sbom::SbomError,
};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Programs of the host are missing.
    #[error("missing on this host: {}\non Debian: {}", names(.0), host::install_command(.0))]
    Missing(Vec<Tool>),
    /// No compiler for the board.
    #[error(
        "no Rust standard library for {0}: run `rustup target add {0}`, or on Debian \
         `dpkg --add-architecture arm64 && apt-get update && \
         apt-get install rustc-web cargo-web libstd-rust-web-dev:arm64`, or install `cross`"
    )]
    NoToolchain(&'static str),
    /// A program that was called failed.
    #[error("{program} failed ({status}): {said}")]
    Program {
        /// Which.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        said: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// Why.
        why: io::Error,
    },
    /// The bill of materials cannot be made.
    #[error("the bill of materials: {0}")]
    Sbom(#[from] SbomError),
    /// What was made is not what it must be.
    #[error("{0}")]
    Wrong(String),
}

fn names(tools: &[Tool]) -> String {
    tools.iter().map(|tool| tool.program).collect::<Vec<_>>().join(" ")
}

/// A failure at a path.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.display().to_string();
    move |why| Failure::File { path: path.clone(), why }
}

/// Runs a program to its end and gives what it printed to standard output.
pub(crate) fn run(command: &mut Command) -> Result<String, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = command.output().map_err(|why| Failure::Program {
        program: program.clone(),
        status: why.to_string(),
        said: String::new(),
    })?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let from = said.char_indices().rev().nth(1500).map_or(0, |(at, _)| at);
    Err(Failure::Program { program, status: ended.status.to_string(), said: said[from..].trim().to_owned() })
}
