//! `[watchdog]`: what is fed while the daemon's loops turn.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

/// What is fed, and when a loop is missed. systemd's watchdog is fed in any case, where there is one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Watchdog {
    /// The machine's watchdog; or a file that is written anew each time, for who feeds it by that.
    pub device: Option<PathBuf>,
    /// Seconds between two meals: less than half of what the device waits.
    pub every_seconds: u64,
    /// Seconds in which a loop must come round.
    pub patience_seconds: u64,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { device: None, every_seconds: 4, patience_seconds: 30 }
    }
}

impl Watchdog {
    /// Time between two meals.
    #[must_use]
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds)
    }

    /// Time in which a loop must come round.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds)
    }

    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !(1..=60).contains(&self.every_seconds) {
            return Err(("every-seconds", "between 1 and 60; most watchdogs wait 15 seconds"));
        }
        if !(5..=600).contains(&self.patience_seconds) {
            return Err(("patience-seconds", "between 5 and 600; a slow disk may take a while for a change"));
        }
        Ok(())
    }
}
