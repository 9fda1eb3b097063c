//! The whole daemon as its clients meet it: the real binary with its own authority and store, on a free
//! port of this machine, asked over TLS. Nothing in here reaches into the library but `readers`, `updates`, `backup` and `certificates`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../update/support.rs"]
#[expect(dead_code, reason = "the tests of updates themselves use all of it")]
mod boxes;
mod support;

mod accounts;
mod adoption;
mod at_rest;
mod audit;
mod backup;
mod bad_bodies;
mod bad_samples;
mod certificates;
mod commands;
mod connections;
mod console;
mod demo;
mod directories;
mod factors;
mod first_boot;
mod forwarding;
mod health;
mod http3;
mod idle;
mod invitations;
mod job;
mod live;
mod lockout;
mod metrics;
mod other_clients;
mod policy;
mod readers;
mod reload;
mod request_ids;
mod roles;
mod serial_readers;
mod stations;
mod store;
mod support_bundle;
mod two_fingers;
mod updates;
mod watchdog;
mod wire_speed;
