//! What a hang-up does to the configuration: it is read again, and what can be used without a start is used at once.
//!
//! Invariant: a configuration that cannot be used changes nothing; what takes a start is named.

use std::path::PathBuf;

use tracing::{error, info, warn};

use crate::{
    config::{self, ConfigError, Loaded},
    logging::Logging,
    server::{Reloader, Settings},
};

/// The configuration that the daemon was started with, and where it came from.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    pub(super) started: Loaded,
    pub(super) logging: Logging,
}

impl Reload {
    /// Reads it again.
    pub(super) fn again(&self, reloader: &Reloader) {
        match self.read() {
            Ok(now) => {
                let waiting = now.waiting(&self.started);
                self.logging.filter(&now.config.log.filter);
                info!("configuration read again");
                if !waiting.is_empty() {
                    warn!(keys = waiting.join(", "), "used after the next start of the daemon");
                }
                reloader.settings(now.config.limits, Settings { shown: now.shown(), waiting, refused: None });
            }
            Err(why) => {
                error!(%why, "configuration not read; what was before stays");
                reloader.settings_refused(why.to_string());
            }
        }
    }

    /// By the code that a start has.
    fn read(&self) -> Result<Loaded, ConfigError> {
        let loaded = config::load(&self.path, std::env::vars())?;
        for warning in loaded.check()? {
            warn!(place = warning.place, "{}", warning.why);
        }
        Ok(loaded)
    }
}
