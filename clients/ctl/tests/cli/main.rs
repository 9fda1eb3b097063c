//! The client as its users meet it: the binary, its output and its exit codes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod at_rest;
mod audit;
mod backup;
mod box_sensors;
mod claim;
mod db;
mod directories;
#[cfg(feature = "local")]
mod files;
mod join;
mod login;
mod operation;
mod profiles;
mod remote;
#[cfg(feature = "local")]
mod sensor;
mod station;
mod support;
mod ticket;
mod updates;
