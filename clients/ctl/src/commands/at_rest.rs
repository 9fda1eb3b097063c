//! `unlock`, and `at-rest show|key-file|tpm|passphrase`: who can read what the box stores when its disk is taken.
//!
//! Invariant: a passphrase comes from a file or from the terminal, where it is not shown; it is never an
//! argument, which every list of processes shows, and never part of an answer.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::understand;
use crate::args::AtRestCommand;
use crate::client::Client;
use crate::error::CtlError;
use crate::outcome::Outcome;

const PATH: &str = "/v1/system/at-rest";
/// Bytes of the longest passphrase, and more.
const LONGEST: u64 = 8192;

#[derive(Deserialize)]
struct State {
    mode: String,
    snapshot: bool,
}

/// Gives the passphrase to a box that waits for it.
pub(crate) async fn unlock(
    file: Option<&Path>,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let passphrase = passphrase(file, "Passphrase: ")?;
    let answer = connect().await?.post("/v1/system/unlock", &json!({"passphrase": passphrase})).await?;
    Ok(Outcome::done("unlocked\n".to_owned(), answer))
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: AtRestCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let body = match &command {
        AtRestCommand::Show => None,
        AtRestCommand::KeyFile { current } => {
            Some(json!({"mode": "key-file", "current": present(current.as_deref())?}))
        }
        AtRestCommand::Tpm { current } => {
            Some(json!({"mode": "tpm", "current": present(current.as_deref())?}))
        }
        AtRestCommand::Passphrase { new, current } => {
            let current = present(current.as_deref())?;
            let new = chosen(new.as_deref())?;
            Some(json!({"mode": "passphrase", "passphrase": new, "current": current}))
        }
    };
    let mut client = connect().await?;
    let answer = match body {
        None => client.get(PATH).await?,
        Some(body) => client.put(PATH, &body).await?,
    };
    let text = describe(&understand(&answer)?);
    Ok(Outcome::done(text, answer))
}

fn describe(state: &State) -> String {
    let mut text = match state.mode.as_str() {
        "passphrase" => {
            "encrypted with a passphrase; after every start: authenteonctl unlock\n\
                         Nobody can read what is stored without it: keep it where the box is not.\n"
        }
        "key-file" => {
            "encrypted, with the key in a file: whoever takes the box with its disk has the key too\n"
        }
        "tpm" => {
            "encrypted, with the key sealed by the machine's TPM: the box starts by itself, and its disk is worth \
             nothing elsewhere\nNobody can read what is stored when the TPM is broken or cleared, or the machine starts \
             otherwise than its PCRs say: change to a key file or a passphrase before.\n"
        }
        _ => "not encrypted: the store keeps the format of the version before until the update is kept\n",
    }
    .to_owned();
    if state.snapshot {
        text.push_str(
            "What was stored before the encryption still lies beside in clear: until somebody is deleted, a \
             passphrase is chosen, or thirty days have gone.\n",
        );
    }
    text
}

/// The present passphrase, where there is one.
fn present(file: Option<&Path>) -> Result<Option<String>, CtlError> {
    file.map(|file| passphrase(Some(file), "")).transpose()
}

/// A passphrase that is to be: asked for twice at a terminal.
fn chosen(file: Option<&Path>) -> Result<String, CtlError> {
    let first = passphrase(file, "New passphrase (12 characters or more): ")?;
    if file.is_none() && io::stdin().is_terminal() && passphrase(None, "The same again: ")? != first {
        return Err(CtlError::Usage("the two are not the same: nothing was changed".to_owned()));
    }
    Ok(first)
}

/// The first line of a file, of standard input, or of what is typed.
fn passphrase(file: Option<&Path>, question: &str) -> Result<String, CtlError> {
    let failed = |error: io::Error| CtlError::System(error.to_string());
    let stdin = io::stdin();
    let mut text = String::new();
    match file.filter(|file| *file != Path::new("-")) {
        Some(path) => {
            let bad =
                |error: io::Error| CtlError::File { path: path.to_path_buf(), reason: error.to_string() };
            std::fs::File::open(path).map_err(bad)?.take(LONGEST).read_to_string(&mut text).map_err(bad)?;
        }
        None if file.is_none() && stdin.is_terminal() => {
            write!(io::stderr().lock(), "{question}").map_err(failed)?;
            text = rpassword::read_password().map_err(failed)?;
        }
        None => {
            stdin.lock().take(LONGEST).read_to_string(&mut text).map_err(failed)?;
        }
    }
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(CtlError::Missing("no passphrase: type it, or give a file of one line")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_of_its_file_with_its_spaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        std::fs::write(&path, " four words of it \r\nnotes\n").unwrap();
        assert_eq!(passphrase(Some(&path), "").unwrap(), " four words of it ");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(passphrase(Some(&path), ""), Err(CtlError::Missing(_))));
    }

    #[test]
    fn what_is_not_encrypted_says_why_and_a_copy_in_clear_is_named() {
        let text = describe(&State { mode: "key-file".to_owned(), snapshot: true });
        assert!(text.contains("has the key too") && text.contains("in clear"), "{text}");
        let text = describe(&State { mode: "tpm".to_owned(), snapshot: false });
        assert!(text.contains("TPM") && !text.contains("in clear"), "{text}");
        let text = describe(&State { mode: "not-encrypted".to_owned(), snapshot: false });
        assert!(text.contains("not encrypted") && !text.contains("in clear"), "{text}");
    }
}
