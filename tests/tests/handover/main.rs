//! Passing the result on, against real servers: from a finger to what lets its person in. Each test has servers and networks of
//! its own; where they cannot be had, it prints `skipped: WHY`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]
#![allow(clippy::print_stdout, reason = "figures, and why a test is skipped")]

mod assertion;
mod chain;
mod kerberos;
mod machine;
mod office;
mod pam;
mod radius;
mod reader;
mod tickets;

/// Ends a test with the reason why the server that it needs cannot be had here.
macro_rules! needs {
    ($wanted:ident) => {
        if let Err(why) = authenteon_tests::servers::ready(authenteon_tests::servers::Wanted::$wanted) {
            println!("skipped: {why}");
            return;
        }
    };
}
pub(crate) use needs;
