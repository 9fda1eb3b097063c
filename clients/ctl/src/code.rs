//! Codes that are good once: from the command line, or from standard input so that no list of processes shows them.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use crate::error::CtlError;

/// More than any code has.
const CODE: u64 = 512;

/// The code from the command line, or from standard input so that no list of processes shows it.
pub(crate) fn typed(given: Option<&str>, question: &str) -> Result<String, CtlError> {
    let code = match given {
        Some(code) if code != "-" => code.to_owned(),
        _ => {
            let input = io::stdin();
            if input.is_terminal() {
                // Whoever cannot see the question can still answer it.
                let _ = write!(io::stderr().lock(), "{question}");
            }
            let mut line = String::new();
            let read = input.lock().take(CODE).read_line(&mut line);
            read.map_err(|error| CtlError::System(error.to_string()))?;
            line
        }
    };
    match code.trim() {
        "" => Err(CtlError::Missing("no code: give it on the command line, or in standard input")),
        code => Ok(code.to_owned()),
    }
}
