//! A TPM 2.0 in software: `swtpm` on two ports of this machine, started for one test and ended with it.
//!
//! Invariant: what it keeps lies in the folder that it is given; the same folder makes the same TPM again, with
//! its registers as after a reset, and another folder another TPM.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ports that somebody else took meanwhile.
const ATTEMPTS: usize = 20;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum SwtpmError {
    /// The program is not there.
    #[error("swtpm is not installed")]
    NotInstalled,
    /// It does not start.
    #[error("swtpm does not start: {0}")]
    Start(#[from] io::Error),
    /// It ends at once, or does not listen.
    #[error("swtpm does not listen")]
    Deaf,
}

/// A TPM.
#[derive(Debug)]
pub struct Swtpm {
    child: Child,
    port: u16,
}

impl Swtpm {
    /// The TPM whose state lies in a folder, after a reset.
    ///
    /// # Errors
    /// [`SwtpmError`].
    pub fn start(state: &Path) -> Result<Self, SwtpmError> {
        for _ in 0..ATTEMPTS {
            let Some(port) = two_ports()? else { continue };
            let mut started = Self { child: spawn(state, port)?, port };
            if started.listens() {
                return Ok(started);
            }
        }
        Err(SwtpmError::Deaf)
    }

    /// The first of its two ports; the second is the next one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As the TPM software stack names it.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Whether it comes to listen, at the port of control where a visit disturbs nothing.
    fn listens(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port + 1)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(state: &Path, port: u16) -> Result<Child, SwtpmError> {
    let spawned = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .arg("--tpmstate")
        .arg(format!("dir={}", state.display()))
        .arg("--server")
        .arg(format!("type=tcp,port={port}"))
        .arg("--ctrl")
        .arg(format!("type=tcp,port={}", port + 1))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    spawned.map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => SwtpmError::NotInstalled,
        _ => why.into(),
    })
}

/// A port that is free, and so is the next one.
fn two_ports() -> io::Result<Option<u16>> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = first.local_addr()?.port();
    let next = port.checked_add(1).map(|next| TcpListener::bind((Ipv4Addr::LOCALHOST, next)));
    Ok(matches!(next, Some(Ok(_))).then_some(port))
}
