//! What daemon and agent say to each other: one JSON request a connection, then lines of JSON until
//! a last one.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use super::{install::Progress, ledger::Pending, slots::Slot, version::Version};

/// Bytes of a line.
pub const LONGEST_LINE: u64 = 16 << 10;

/// What the daemon may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Install a bundle that lies in the update folder.
    Install {
        /// The file.
        path: PathBuf,
    },
    /// The self-test was passed: keep the slot that is on trial.
    Commit {},
    /// Restart, into a trial of the pending slot or as usual.
    Reboot {
        /// Into a trial.
        trial: bool,
    },
    /// Give up the pending slot.
    Discard {},
    /// How things are.
    Status {},
}

/// What the agent answers; the last line is not [`Reply::Progress`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It goes on.
    Progress(Progress),
    /// It was done; how things are now.
    Done(Status),
    /// It was not done.
    Error(Refusal),
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The slot that runs.
    pub slot: Slot,
    /// What is started when nothing else is asked for.
    pub committed: Slot,
    /// The slot that runs is not committed.
    pub trial: bool,
    /// What this board is called.
    pub board: String,
    /// What runs.
    pub version: Version,
    /// When it was built, in seconds since 1970.
    pub build: u64,
    /// The lowest version that is taken.
    pub floor: Version,
    /// The slot that waits for its trial, or whose trial was rolled back.
    pub pending: Option<Pending>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// For programs.
    pub kind: Kind,
    /// For people.
    pub detail: String,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No request.
    Request,
    /// Another one is being done.
    Busy,
    /// Not while a slot is on trial, or only then.
    State,
    /// The bundle's signature, or who signed it.
    Signature,
    /// The bundle is damaged, or none.
    Damaged,
    /// For another board.
    Board,
    /// It would go back.
    Older,
    /// It does not fit.
    TooLarge,
    /// The disk failed.
    Io,
}
