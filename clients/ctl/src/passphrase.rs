//! Passphrases: from a file, from standard input, or typed at the terminal, where they are not shown.
//!
//! Invariant: a passphrase is never an argument, which every list of processes shows, and never part of an answer.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use crate::error::CtlError;

/// Bytes of the longest passphrase, and more.
const LONGEST: u64 = 8192;

/// One that is to be: asked for twice at a terminal.
pub(crate) fn chosen(file: Option<&Path>, question: &str) -> Result<String, CtlError> {
    let first = given(file, question)?;
    if file.is_none() && io::stdin().is_terminal() && given(None, "The same again: ")? != first {
        return Err(CtlError::Usage("the two are not the same: nothing was changed".to_owned()));
    }
    Ok(first)
}

/// The first line of a file, of standard input, or of what is typed.
pub(crate) fn given(file: Option<&Path>, question: &str) -> Result<String, CtlError> {
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
        assert_eq!(given(Some(&path), "").unwrap(), " four words of it ");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(given(Some(&path), ""), Err(CtlError::Missing(_))));
    }
}
