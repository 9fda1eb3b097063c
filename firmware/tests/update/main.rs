//! Updates from bundle to commit, on slots that are ordinary files and a machine that only notes its
//! restarts: no root, no tool of the system, no key but those made here and thrown away.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod bundles;
mod install;
mod interop;
mod power;
mod socket;
mod trial;
