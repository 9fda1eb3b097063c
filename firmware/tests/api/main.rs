//! The whole daemon as its clients meet it: the real binary with its own authority and store, on a free
//! port of this machine, asked over TLS. Nothing in here reaches into the library but `readers`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

mod bad_bodies;
mod bad_samples;
mod commands;
mod connections;
mod demo;
mod first_boot;
mod job;
mod readers;
mod roles;
mod serial_readers;
mod stations;
mod wire_speed;
