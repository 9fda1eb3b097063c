//! `clock`: the program that sets the clock and has no other right.

use std::{io, path::PathBuf, thread, time::Duration};

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use tracing::warn;

use super::{exit::Failure, log_to_stderr};
use crate::{
    clock::Timestamp,
    config::Log,
    network_time::keeper::{Files, Keeper, ThisMachine},
    update::boot::Boot,
};

/// How long a server that came with the network waits at most to be asked.
const TICK: Duration = Duration::from_secs(5);

/// Where things are.
#[derive(clap::Args)]
pub(super) struct ClockArguments {
    /// Files with a time server a line; the first that names any is followed.
    #[arg(long, default_values = ["/run/authenteon/time-servers.told", "/run/authenteon/time-servers.offered"])]
    servers: Vec<PathBuf>,
    /// What init wrote about this start: no time is believed before the version that runs was built.
    #[arg(long, default_value = "/run/authenteon/boot.json")]
    boot: PathBuf,
    /// Where it tells how the clock is.
    #[arg(long, default_value = "/run/authenteon/clock.json")]
    report: PathBuf,
    /// A file that it makes once the clock has been set.
    #[arg(long, default_value = "/run/authenteon/clock-synchronised")]
    synchronised: PathBuf,
    /// The folder where the time is remembered.
    #[arg(long, default_value = "/data/system")]
    state: PathBuf,
    /// Once this file exists nothing is remembered any more.
    #[arg(long, default_value = "/run/authenteon/clock-forget")]
    forget: PathBuf,
}

pub(super) fn run(arguments: ClockArguments) -> Result<bool, Failure> {
    log_to_stderr(&Log::default());
    let boot = Boot::read(&arguments.boot)?;
    only_the_clock().map_err(|why| Failure::io(&why))?;
    let files = Files {
        servers: arguments.servers,
        report: arguments.report,
        synchronised: arguments.synchronised,
        remembered: arguments.state.join("clock"),
        certain: arguments.state.join("clock-certain"),
        forget: arguments.forget,
    };
    let mut keeper = Keeper::new(ThisMachine, files, Timestamp::from_millis(boot.build.saturating_mul(1000)));
    loop {
        if let Err(why) = keeper.tick() {
            warn!(%why, "what is known of the time cannot be written");
        }
        thread::sleep(TICK);
    }
}

/// What reads from the network keeps one right of root's, and can get no other.
fn only_the_clock() -> io::Result<()> {
    set_no_new_privs(true)?;
    let clock = CapabilitySet::SYS_TIME;
    set_capabilities(
        None,
        CapabilitySets { effective: clock, permitted: clock, inheritable: CapabilitySet::empty() },
    )?;
    Ok(())
}
