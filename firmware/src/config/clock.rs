//! `[clock]`: who tells how the clock is.

use std::path::PathBuf;

use serde::Deserialize;

/// How the clock is, for health; without this section that is the host's business.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClockSection {
    /// What `authenteond clock` writes (`clock.json`).
    pub report: PathBuf,
}
