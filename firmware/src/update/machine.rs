//! What the agent needs of the machine: its clocks, and its end. Tests have a machine that only
//! notes that it was restarted.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use authenteon_hal::sys;
use tracing::warn;

/// What a runner that models the Pi's firmware reads on the console before a trial.
pub const TRYBOOT_LINE: &str = "authenteon: tryboot requested";

/// A machine that can be restarted.
pub trait Machine: Send + Sync {
    /// Restarts it, into a trial or as usual. Returns only if it could not.
    fn restart(&self, trial: bool) -> io::Error;
    /// How long it has run, by a clock that nobody sets.
    fn uptime(&self) -> Duration;
    /// Seconds since 1970, as far as the machine knows.
    fn now(&self) -> u64;
    /// Whether its clock was set by somebody who knows.
    fn synchronised(&self) -> bool;
}

/// The machine that we run on.
pub struct ThisMachine {
    /// Exists from when the clock is set on.
    pub synchronised: PathBuf,
}

impl Machine for ThisMachine {
    fn restart(&self, trial: bool) -> io::Error {
        if trial {
            // Without a console the Pi still gets the argument.
            let said = OpenOptions::new()
                .write(true)
                .open("/dev/console")
                .and_then(|mut console| writeln!(console, "{TRYBOOT_LINE}"));
            if let Err(why) = said {
                warn!(%why, "the console does not take the request for a trial");
            }
        }
        rustix::fs::sync();
        sys::restart(trial.then_some(c"0 tryboot"))
    }

    fn uptime(&self) -> Duration {
        // Counts while the machine sleeps, too; where it cannot be read, the time is not up.
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
    }

    fn synchronised(&self) -> bool {
        self.synchronised.exists()
    }
}
