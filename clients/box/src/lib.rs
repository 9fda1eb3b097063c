//! How our clients reach a box: where it is, which authority vouches for it, one TLS connection, and its answers.
//!
//! Invariant: nobody but the box that its authority vouches for is sent anything, every wait has an end, and nothing that
//! comes back is longer than it may be. No secret is in an error or in what is printed of a value.
#![forbid(unsafe_code)]

mod client;
mod error;
mod events;
mod fingerprint;
mod problem;
mod server;
pub mod tls;

pub use client::{Client, Outgoing};
pub use error::BoxError;
pub use events::Event;
pub use fingerprint::Fingerprint;
pub use problem::Problem;
pub use server::{BOX_ID, Server};
