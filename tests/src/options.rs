//! How the programs of the bench take their options.

use std::process::ExitCode;

use clap::Parser;

/// Exit code of wrong options.
const USAGE: u8 = 64;

/// The options on the command line; or, once it was said why there are none, how the program exits: 64 after wrong
/// options, 0 after help that was asked for.
///
/// # Errors
/// The exit code.
pub fn options<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|why| {
        // The reader of the message may be gone; the exit code remains.
        let _ = why.print();
        ExitCode::from(if why.use_stderr() { USAGE } else { 0 })
    })
}
