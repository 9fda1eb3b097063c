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

pub(crate) use authenteon_tests::needs;
