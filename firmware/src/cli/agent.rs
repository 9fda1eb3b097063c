//! `system-agent`: the privileged half of updates.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{exit::Failure, log_to_stderr};
use crate::{
    config::Log,
    update::{
        agent::{self, Agent, Settings},
        boot::Boot,
        machine::ThisMachine,
    },
};

/// What the agent takes.
#[derive(clap::Args)]
pub(super) struct AgentArguments {
    /// Where it listens.
    #[arg(long, default_value = "/run/authenteon/system.sock")]
    socket: PathBuf,
    /// What init wrote about this start.
    #[arg(long, default_value = "/run/authenteon/boot.json")]
    boot: PathBuf,
    /// Certificates that bundles are trusted by (PEM).
    #[arg(long, default_value = "/etc/authenteon/keyring.pem")]
    keyring: PathBuf,
    /// Where it keeps the version floor and the slot that waits.
    #[arg(long, default_value = "/data/system")]
    state: PathBuf,
    /// Where bundles lie, and nowhere else.
    #[arg(long, default_value = "/data/update")]
    folder: PathBuf,
    /// A file that is made when a version on trial is kept.
    #[arg(long, default_value = "/run/authenteon/committed")]
    committed: PathBuf,
    /// A file that exists once the clock has been set.
    #[arg(long, default_value = "/run/authenteon/clock-synchronised")]
    synchronised: PathBuf,
    /// Seconds from the machine's start in which a trial must be committed.
    #[arg(long, default_value_t = 180)]
    trial_seconds: u64,
    /// Number of the group that may ask: the daemon's.
    #[arg(long)]
    group: Option<u32>,
}

pub(super) fn run(arguments: AgentArguments) -> Result<bool, Failure> {
    log_to_stderr(&Log::default());
    let boot = Boot::read(&arguments.boot)?;
    let disk = Box::new(boot.devices.clone());
    let settings = Settings {
        boot,
        keyring: arguments.keyring,
        state: arguments.state,
        folder: arguments.folder,
        committed: arguments.committed,
        trial: Duration::from_secs(arguments.trial_seconds),
    };
    let machine = Box::new(ThisMachine { synchronised: arguments.synchronised });
    let agent = Arc::new(Agent::new(settings, disk, machine)?);
    agent::serve(&agent, &arguments.socket, arguments.group)?;
    Ok(true)
}
