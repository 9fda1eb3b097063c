//! Following directories, against real servers: Samba as a domain controller, and OpenLDAP. Each test has servers and networks
//! of its own; where they cannot be had, it prints `skipped: WHY`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]
#![allow(clippy::print_stdout, reason = "figures, and why a test is skipped")]

mod active_directory;
mod ldap;
mod office;
mod refused;
mod scripted;
mod whole;

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
