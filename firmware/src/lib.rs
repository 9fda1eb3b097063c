//! The Authenteon daemon as a library.
//!
//! Data flows one way: sample -> template -> store and gallery -> score -> [`policy::decide`] ->
//! decision and audit. The services (samples, enrolment, verification, identification) are
//! the only way in; the server calls them and never the store.
#![forbid(unsafe_code)]

pub mod announce;
pub mod audit;
pub mod backup;
pub mod claim;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod credential;
mod demo;
pub mod directory;
mod enrol;
pub mod factor;
pub mod forward;
pub mod gallery;
pub mod heartbeat;
mod identify;
mod latest;
pub mod lock;
mod logging;
mod memory;
pub mod network;
pub mod network_time;
mod observe;
pub mod panel;
mod places;
pub mod policy;
pub mod radius;
pub mod reader;
mod replay;
pub mod request;
pub mod sample;
pub mod sensors;
pub mod server;
pub mod services;
pub mod store;
pub mod subject;
mod symbols;
pub mod update;
mod verify;
pub mod watchdog;

pub use enrol::{EnrolError, Enrolment};
pub use identify::IdentifyRequest;
pub use services::{Counts, DecideError, OpenError, Services, SubjectError};
pub use verify::VerifyRequest;
