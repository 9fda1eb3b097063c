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

pub(crate) use authenteon_tests::needs;
