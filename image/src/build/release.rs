//! Which release an image is: in its root, and in what an update compares.

use std::{path::Path, process::Command};

use serde::Serialize;

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Release {
    /// Of the daemon.
    pub(crate) version: String,
    /// Seconds since 1970 of what it was built from: the clock's floor, and every time stamp inside.
    #[serde(rename = "build")]
    pub(crate) moment: u64,
    /// Updates are signed by a throw-away key.
    pub(crate) test: bool,
}

impl Release {
    /// Of this source tree: SOURCE_DATE_EPOCH, else the moment of the last commit, else a fixed one.
    pub(crate) fn of_this_tree(version: Option<String>, test: bool) -> Self {
        let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
        let committed = || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let log =
                Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root).output().ok()?;
            String::from_utf8(log.stdout).ok()?.trim().parse().ok()
        };
        let moment = given.or_else(committed).unwrap_or(1_767_225_600);
        Self { version: version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()), moment, test }
    }
}
