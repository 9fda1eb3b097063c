//! Exit codes: the part of the interface that scripts and PAM helpers depend on. Never renumber.

use std::process::ExitCode;

/// What `--help` says about exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done; for verify and identify: accepted
   1  failed; for verify and identify also: the print was not usable, try again
   2  wrong usage
   3  the box is locked or not provisioned
   4  no match
   5  not permitted: no client certificate, an unknown one, or one with another role
   6  the audit, or a proof, was changed or cut short
  69  the box cannot be reached, or did not answer in time
  78  wrong configuration: certificate or key files, a profile, or a box that is not the one expected
 130  interrupted; what was begun on the box goes on";

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    Failure = 1,
    Usage = 2,
    Locked = 3,
    NoMatch = 4,
    NotPermitted = 5,
    Tampered = 6,
    Unreachable = 69,
    Config = 78,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        use Exit::{
            Config, Failure, Interrupted, Locked, NoMatch, NotPermitted, Ok, Tampered, Unreachable, Usage,
        };
        let all =
            [Ok, Failure, Usage, Locked, NoMatch, NotPermitted, Tampered, Unreachable, Config, Interrupted];
        for exit in all {
            let code = format!("{:>4}  ", exit as u8);
            assert!(HELP.lines().any(|line| line.starts_with(&code)), "{exit:?} is missing");
        }
    }
}
