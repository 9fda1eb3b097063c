//! The load that a box carries: the real daemon in a process of its own, on loopback, asked at fixed moments.
//!
//! Invariant: the loop is open. A request is due at its moment whether the ones before were answered or not, and its
//! time counts from that moment: a daemon that falls behind is seen to.

mod client;
pub mod daemon;
mod figures;
mod finger;
mod run;
pub mod served;
mod soak;

use std::{num::NonZeroU32, path::PathBuf};

pub use client::ClientError;
pub use daemon::DaemonError;
pub use figures::Figures;
pub(crate) use figures::quantile;
pub use run::{Highest, IdleConnections, highest, idle, run};
pub use soak::{SoakOrder, Soaked, soak};

use crate::accuracy::TerminalBar;

/// What a probe is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sample {
    /// A PNG file of 388 by 374 pixels: the box extracts the template.
    Image,
    /// An ISO/IEC 19794-2 record.
    Template,
}

/// Which HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// 1.1 over TLS.
    One,
    /// 2 over TLS.
    Two,
    /// 3 over QUIC.
    Three,
}

impl std::str::FromStr for Http {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1" => Ok(Self::One),
            "2" => Ok(Self::Two),
            "3" => Ok(Self::Three),
            _ => Err("1, 2 or 3"),
        }
    }
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Order {
    /// Requests a second.
    pub rate: NonZeroU32,
    /// For so many seconds.
    pub seconds: NonZeroU32,
    /// What a probe is sent as.
    pub sample: Sample,
    /// Over which protocol.
    pub http: Http,
    /// Connections that are kept.
    pub connections: NonZeroU32,
    /// The program to start; without one it is built.
    pub daemon: Option<PathBuf>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The daemon does not run.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// It cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The box did not take a finger that is to be verified.
    #[error("the daemon did not enrol: {0}")]
    Enrol(String),
    /// The audit is not what it must be.
    #[error("the audit: {0}")]
    Audit(String),
    /// A probe cannot be made.
    #[error("a print cannot be made: {0}")]
    Print(String),
    /// Decisions went wrong: what was measured is no verification.
    #[error(
        "of {decided} fingers that are the person's, {accepted} were accepted: this is no load of verifications"
    )]
    Refused {
        /// Answers.
        decided: usize,
        /// Accepted ones.
        accepted: usize,
    },
    /// Even the lowest rate is too much.
    #[error("the lowest rate that was tried is too much already")]
    Overloaded,
    /// The system says no.
    #[error("{what}: {why}")]
    System {
        /// To what.
        what: &'static str,
        /// What it said.
        why: std::io::Error,
    },
}

/// Where progress is shown.
pub type Bar = TerminalBar;
