//! A box in an office's network, and whoever asks it: for tests that want all of the box, and no load.
//!
//! Invariant: the daemon runs in the network namespace that it is given, and is gone with the value.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use hyper::Method;
use rustix::process::Pid;
use serde_json::Value;

use super::{
    Http, LoadError, Sample,
    client::Client,
    daemon::{self, Daemon},
    finger, run,
};
use crate::{
    accuracy::TerminalBar,
    servers::namespace::{Entrance, Namespace},
};

/// A daemon, with a client of each role.
pub struct Served {
    daemon: Daemon,
    network: Entrance,
}

/// A finger: what is enrolled of it, and impressions to present, as the API takes them.
pub struct Hand {
    /// Three impressions.
    pub enrol: Vec<Value>,
    /// Others, no two alike.
    pub probes: Vec<Value>,
}

/// A finger with so many impressions to present, 25 at most.
///
/// # Errors
/// [`LoadError`].
pub fn hand(probes: usize) -> Result<Hand, LoadError> {
    let mut made = finger::people(probes.min(25), Sample::Image, &TerminalBar::new(false))?;
    let person = made.pop().ok_or_else(|| LoadError::Enrol("no finger was made".into()))?;
    Ok(Hand { enrol: person.enrol, probes: person.probes })
}

/// A program beside this test if it is newer than its sources; else it is built.
///
/// # Errors
/// [`LoadError`]: it cannot be built.
pub fn program(package: &str, name: &str, sources: &str) -> Result<PathBuf, LoadError> {
    let ours = std::env::current_exe().unwrap_or_default();
    let beside = ours.parent().and_then(Path::parent).map(|folder| folder.join(name));
    let made = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    let sources = newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(sources));
    match beside {
        Some(beside) if made(&beside).is_some_and(|made| Some(made) > sources) => Ok(beside),
        _ => Ok(daemon::build_of(package, name)?),
    }
}

/// When the newest file below a folder was changed.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries.map(|entry| match entry.path() {
        path if path.is_dir() => newest(&path),
        path => path.metadata().and_then(|data| data.modified()).ok(),
    });
    times.max().flatten()
}

impl Served {
    /// A box in this network with these lines in its configuration.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn start(network: Entrance, configuration: &str) -> Result<Self, LoadError> {
        let program = program("authenteon", "authenteond", "firmware/src")?;
        let started = network.within(|| Daemon::start(&program, configuration));
        let daemon = started.map_err(|why| LoadError::System { what: "its network", why })??;
        Ok(Self { daemon, network })
    }

    /// Asks as the client of a role: the status, and the answer, null where it is no JSON.
    ///
    /// # Errors
    /// [`LoadError`]: no answer.
    pub fn ask(
        &self,
        role: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), LoadError> {
        let asked = self.network.within(|| {
            let client = Client::new(self.daemon.address(), &self.daemon.pki(), role, Http::One)?;
            run::runtime()?.block_on(async {
                let mut connection = client.connect().await?;
                let (status, body) = client.ask(&mut connection, method, path, body.map(run::bytes)).await?;
                Ok((status.as_u16(), serde_json::from_slice(&body).unwrap_or_default()))
            })
        });
        asked.map_err(|why| LoadError::System { what: "its network", why })?
    }

    /// `authenteonctl` of this workspace, as the client of a role, in the network of the box.
    ///
    /// # Errors
    /// [`LoadError`]: it cannot be built.
    pub fn ctl(&self, network: &Namespace, role: &str) -> Result<Command, LoadError> {
        let program = program("authenteonctl", "authenteonctl", "clients/ctl/src")?;
        let mut command = network.command(&program.display().to_string());
        let file = |name: String| self.daemon.pki().join(name);
        command.arg("--server").arg(format!("https://{}", self.daemon.address()));
        command.arg("--cacert").arg(file("ca.pem".into()));
        command.arg("--cert").arg(file(format!("{role}.pem"))).arg("--key").arg(file(format!("{role}.key")));
        Ok(command)
    }

    /// Where it listens, in its network.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.daemon.address()
    }

    /// The folder with its authority, and with the certificate and key of each role.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.daemon.pki()
    }

    /// The number of its process.
    #[must_use]
    pub fn process(&self) -> Pid {
        self.daemon.process()
    }

    /// The end of its log.
    #[must_use]
    pub fn said(&self) -> String {
        self.daemon.said()
    }
}
