//! `policy` on the command line.

use clap::{Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show what holds for everybody, and all restrictions
    Show,
    /// Restrict a group, a station or an operation, in place of its restriction of before
    Set {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        values: Values,
        /// Keep nothing: check it, and say what would be in force
        #[arg(long)]
        dry_run: bool,
    },
    /// Take a restriction away
    Remove {
        #[command(flatten)]
        whom: Whom,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// For whom it holds.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whom {
    /// The subjects of a group
    #[arg(long, value_name = "NAME", value_parser = super::client_name)]
    group: Option<String>,
    /// A station
    #[arg(long, value_name = "NAME", value_parser = super::client_name)]
    station: Option<String>,
    /// Everybody, in an operation
    #[arg(long, value_enum)]
    operation: Option<Operation>,
}

impl Whom {
    /// Kind and name, as the API has them.
    pub(crate) fn place(&self) -> (&'static str, &str) {
        match (&self.group, &self.station, self.operation) {
            (Some(group), ..) => ("group", group),
            (_, Some(station), _) => ("station", station),
            (_, _, Some(Operation::Verify) | None) => ("operation", "verify"),
            (_, _, Some(Operation::Identify)) => ("operation", "identify"),
        }
    }
}

/// What is asked of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Is this the finger of that subject?
    Verify,
    /// Whose finger is this?
    Identify,
}

/// What is restricted; at least one of them.
#[derive(Debug, clap::Args, serde::Serialize)]
pub(crate) struct Values {
    /// At most one false match in so many verifications
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_one_in: Option<f64>,
    /// At most one false identification in so many searches
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    identify_one_in: Option<f64>,
    /// Accept only then: "mon-fri 07:00-19:30 +01:00"; may be given several times
    #[arg(long, value_name = "HOURS", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hours: Vec<String>,
    /// Different fingers of which a verification needs an impression each
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fingers: Option<u8>,
    /// A PIN is needed too
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pin: bool,
    /// Seconds after an accept in which the same station needs no finger of the same subject again
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<u32>,
    /// Failures for one subject before the first wait
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_failures: Option<u32>,
    /// Failures of one station before the first wait
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    station_failures: Option<u32>,
    /// Seconds of the first wait
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    first_wait_seconds: Option<u32>,
    /// Seconds of the longest wait
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_wait_seconds: Option<u32>,
}
