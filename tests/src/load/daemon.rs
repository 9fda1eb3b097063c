//! The daemon under load: `authenteond` as it is shipped, set up by its own command line in a folder of its own.
//!
//! Invariant: it listens on loopback only, and is gone with the value.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use rustix::process::Pid;
use tempfile::TempDir;

/// Its configuration, in its folder.
const CONFIG: &str = "authenteon.toml";
/// Bytes of its log that are kept.
const KEPT: usize = 64 << 10;
/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// There is no program to start.
    #[error("it was not built: {0}; build it, and name it with --daemon")]
    Build(String),
    /// A command failed.
    #[error("authenteond {command}: {why}")]
    Command {
        /// Its first words.
        command: String,
        /// What it said.
        why: String,
    },
    /// It does not say where it listens.
    #[error("the daemon did not start within {} s; it said: {said}", PATIENCE.as_secs())]
    Silent {
        /// The end of its log.
        said: String,
    },
}

/// The program of this workspace, built by the cargo that runs us and in the same profile; without one, that beside us.
///
/// # Errors
/// [`DaemonError::Build`].
pub fn build() -> Result<PathBuf, DaemonError> {
    build_of("authenteon", "authenteond")
}

/// The same of any program of this workspace.
///
/// # Errors
/// [`DaemonError::Build`].
pub fn build_of(package: &str, name: &str) -> Result<PathBuf, DaemonError> {
    built(&["--package", package, "--bin", name], name)
}

/// The same of any file that cargo builds of this workspace, when it is asked so.
///
/// # Errors
/// [`DaemonError::Build`].
pub fn built(what: &[&str], file: &str) -> Result<PathBuf, DaemonError> {
    let fails = |why: &dyn std::fmt::Display| DaemonError::Build(why.to_string());
    let ours = std::env::current_exe().map_err(|why| fails(&why))?;
    let folder = ours.parent().ok_or_else(|| fails(&"this program has no folder"))?;
    // A test lies among what it was linked from, one below the programs.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let program = folder.join(file);
    let cargo = match std::env::var_os("CARGO") {
        None if program.exists() => return Ok(program),
        cargo => cargo.unwrap_or_else(|| "cargo".into()),
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--locked"]).args(what);
    if folder.file_name() == Some(OsStr::new("release")) {
        command.arg("--release");
    }
    let built = command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdout(Stdio::null())
        .status()
        .map_err(|why| fails(&why))?;
    if built.success() && program.exists() { Ok(program) } else { Err(fails(&built)) }
}

/// A daemon that runs.
pub struct Daemon {
    program: PathBuf,
    folder: TempDir,
    child: Child,
    pub(super) address: SocketAddr,
    said: Log,
}

/// The end of a daemon's log. Cheap to clone.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn push(&self, line: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(line);
        said.push('\n');
        if said.len() > 2 * KEPT {
            let from = said.floor_char_boundary(said.len() - KEPT);
            said.drain(..from);
        }
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Daemon {
    /// Starts it with an officer, a station, an auditor and an administrator, and more lines in its configuration.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub fn start(program: &Path, configuration: &str) -> Result<Self, DaemonError> {
        let fails = |why: std::io::Error| DaemonError::Command {
            command: program.display().to_string(),
            why: why.to_string(),
        };
        let folder = tempfile::Builder::new().prefix("authenteon-load-").tempdir().map_err(fails)?;
        let (pki, store) = (folder.path().join("pki"), folder.path().join("store"));
        let dir = pki.display().to_string();
        run(program, &["pki", "init", "--dir", &dir])?;
        for role in ["officer", "station", "auditor", "administrator"] {
            run(program, &["client", "add", "--dir", &dir, "--name", role, "--role", role, "--out", &dir])?;
        }
        let config = folder.path().join(CONFIG);
        let text = format!(
            "version = 1\nserver.listen = \"127.0.0.1:0\"\npki.folder = {pki:?}\nstore.folder = {store:?}\nlog.json = true\n{configuration}"
        );
        fs::write(&config, text).map_err(fails)?;
        let (child, address, said) = serve(program, &config)?;
        Ok(Self { program: program.to_owned(), folder, child, address, said })
    }

    /// Ends it as a power cut would.
    pub(super) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same folder, after it ended.
    pub(super) fn start_again(&mut self) -> Result<(), DaemonError> {
        (self.child, self.address, self.said) = serve(&self.program, &self.folder.path().join(CONFIG))?;
        Ok(())
    }

    /// Its process.
    pub(super) fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Descriptors that it has open, where the system tells.
    pub(super) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The end of its log.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.text()
    }

    /// The authority's folder, with the clients' certificates and keys.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    /// Resident memory in bytes, where the system tells.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the program and waits until it says where it listens.
fn serve(program: &Path, config: &Path) -> Result<(Child, SocketAddr, Log), DaemonError> {
    let fails =
        |why: std::io::Error| DaemonError::Command { command: "serve".to_owned(), why: why.to_string() };
    let mut child = clean(program)
        .args([OsStr::new("serve"), OsStr::new("--config"), config.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fails)?;
    let (tell, told) = mpsc::channel();
    let said = Log::default();
    if let Some(log) = child.stderr.take() {
        let kept = said.clone();
        // Reads on to the end, so that the daemon never waits for us.
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                kept.push(&line);
                // Nobody listens any more once the address is known.
                let _ = tell.send(line);
            }
        });
    }
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(line) => {
                if let Some(address) = listening(&line) {
                    return Ok((child, address, said));
                }
            }
            Err(_) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err(DaemonError::Silent { said: said.text() });
            }
        }
    }
}

/// The address in a line of the log that says where it listens.
fn listening(line: &str) -> Option<SocketAddr> {
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    entry["fields"]["address"].as_str()?.parse().ok()
}

/// The program, which no variable of ours reaches from outside.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AUTHENTEON_"))
    {
        command.env_remove(name);
    }
    command
}

fn run(program: &Path, arguments: &[&str]) -> Result<(), DaemonError> {
    let failed = |why: String| DaemonError::Command {
        command: arguments.iter().take(2).copied().collect::<Vec<_>>().join(" "),
        why,
    };
    let done = clean(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|why| failed(why.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}
