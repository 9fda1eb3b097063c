//! What the appliance ships of Rust, as a CycloneDX 1.6 bill of materials.
//!
//! [`graph`] asks cargo which crates are linked into the programs, [`document`] writes them down.
//! Invariant: the same `Cargo.lock` gives the same bytes; only `SOURCE_DATE_EPOCH` adds a time.

mod document;
mod graph;

use std::{io, path::PathBuf};

/// What to describe.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Folder of the workspace.
    pub(crate) workspace: PathBuf,
    /// Packages whose programs are shipped; the first gives the document its version.
    pub(crate) packages: Vec<String>,
    /// What they are compiled for.
    pub(crate) target: String,
    /// Seconds since 1970 that the document says it was made at.
    pub(crate) moment: Option<i64>,
}

/// Why there is no bill.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SbomError {
    /// The program cannot be run.
    #[error("cargo cannot be run: {0}")]
    Run(io::Error),
    /// It ran, and failed.
    #[error("cargo {command}: {said}")]
    Cargo {
        /// Its first argument.
        command: String,
        /// What it said.
        said: String,
    },
    /// What it answered is not understood.
    #[error("cargo's answer is not understood: {0}")]
    Answer(String),
    /// The file of locked versions cannot be read.
    #[error("Cargo.lock: {0}")]
    Lock(String),
    /// The moment is none.
    #[error("SOURCE_DATE_EPOCH is no time")]
    Moment,
}

/// The document, as JSON text with a newline at its end.
pub(crate) fn text(request: &Request) -> Result<String, SbomError> {
    let graph = graph::of(request)?;
    document::write(&graph, request.moment)
}

/// Whole lines of what a cargo command says, or why not.
fn cargo(request: &Request, arguments: &[&str]) -> Result<String, SbomError> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ended = std::process::Command::new(program)
        .args(arguments)
        .current_dir(&request.workspace)
        .output()
        .map_err(SbomError::Run)?;
    if !ended.status.success() {
        let command = arguments.first().copied().unwrap_or_default().to_owned();
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        return Err(SbomError::Cargo { command, said });
    }
    String::from_utf8(ended.stdout).map_err(|why| SbomError::Answer(why.to_string()))
}
