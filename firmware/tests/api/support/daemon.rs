//! A running `authenteond`: set up by its own command line, stopped when dropped.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a daemon may take to listen: many start at a time on few cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the program to its end. No variable of ours reaches it from outside.
pub(crate) fn authenteond(arguments: &[&str]) -> Output {
    command().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authenteond"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTHENTEON_")) {
        command.env_remove(name);
    }
    command
}

/// What a program printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A daemon and its folder.
pub(crate) struct Daemon {
    folder: TempDir,
    child: Child,
    pub(crate) address: SocketAddr,
    said: Said,
}

/// What a daemon has written so far, standard output and the log apart.
#[derive(Clone, Default)]
pub(crate) struct Said {
    out: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
}

impl Said {
    /// Standard output: the console of a box without one.
    pub(crate) fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    /// The log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The log, once this text is in it.
    pub(crate) async fn wait_for(&self, text: &str) -> String {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "{text:?} is not in the log");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.log()
    }
}

impl Daemon {
    /// A daemon with an officer, a station, and the limits that it has by default.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// A daemon with more lines in its configuration.
    pub(crate) fn with(configuration: &str) -> Self {
        Self::configured(configuration, "info", &[])
    }

    /// The same, whose log is filtered so.
    pub(crate) fn logging(filter: &str, configuration: &str) -> Self {
        Self::configured(configuration, filter, &[])
    }

    /// The same, with variables in its environment.
    pub(crate) fn with_environment(configuration: &str, environment: &[(&str, &str)]) -> Self {
        Self::configured(configuration, "info", environment)
    }

    fn configured(configuration: &str, filter: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        let made = authenteond(&["pki", "init", "--dir", pki.to_str().unwrap()]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        for role in ["officer", "station"] {
            add_client(&pki, role, role);
        }
        configure(folder.path(), &format!("{configuration}\n[log]\nfilter = {filter:?}\njson = true\n"));
        let (child, address, said) = spawn_with(folder.path(), environment);
        Self { folder, child, address, said }
    }

    /// A daemon that starts for the first time and makes its own authority, logging all that it can;
    /// `provision` is the text of its `provision.toml`.
    pub(crate) fn unclaimed(provision: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("provision.toml");
        if let Some(text) = provision {
            fs::write(&file, text).unwrap();
        }
        configure(
            folder.path(),
            &format!("[claim]\nprovision = {file:?}\n[log]\nfilter = \"trace\"\njson = true\n"),
        );
        let (child, address, said) = spawn(folder.path());
        Self { folder, child, address, said }
    }

    /// What it has written since it was started last.
    pub(crate) fn said(&self) -> &Said {
        &self.said
    }

    /// Registers one more client; the daemon learns of it by [`Daemon::hang_up`].
    pub(crate) fn add_client(&self, name: &str, role: &str) {
        add_client(&self.pki(), name, role);
    }

    /// The authority's folder, in which the clients' certificates are too.
    pub(crate) fn pki(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> String {
        self.folder.path().join("authenteon.toml").to_str().unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Lets it read the registry of clients again. It says nothing back: ask until it knows.
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Stops every loop of it, as a hang would.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Leaves it to itself for as long as it takes to answer, and ends it: its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.terminate();
        self.wait().code()
    }

    /// Starts it again on the same folder, after it ended.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.address, self.said) = spawn(self.folder.path());
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory that it has ever held, in KiB; `None` where the system does not tell.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// The memory that it holds, in KiB; `None` where the system does not tell.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, line: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        status.lines().find_map(|l| l.strip_prefix(line))?.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Registers a client in an authority's folder, where its certificate and key go too.
pub(crate) fn add_client(pki: &Path, name: &str, role: &str) {
    let dir = pki.to_str().unwrap();
    let added = authenteond(&["client", "add", "--dir", dir, "--name", name, "--role", role, "--out", dir]);
    assert!(added.status.success(), "{}", text(&added.stderr));
}

/// Writes the configuration of a daemon that keeps everything in `folder`.
pub(crate) fn configure(folder: &Path, more: &str) {
    let (pki, store) = (folder.join("pki"), folder.join("store"));
    let config = format!(
        "version = 1\nserver.listen = \"127.0.0.1:0\"\npki.folder = {pki:?}\nstore.folder = {store:?}\n{more}",
    );
    fs::write(folder.join("authenteon.toml"), config).unwrap();
}

/// Starts the program, and nothing more.
pub(crate) fn launch(folder: &Path) -> Child {
    launch_with(folder, &[])
}

fn launch_with(folder: &Path, environment: &[(&str, &str)]) -> Child {
    command()
        .envs(environment.iter().copied())
        .args(["serve", "--config", folder.join("authenteon.toml").to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts the program and reads its log until it says where it listens.
fn spawn(folder: &Path) -> (Child, SocketAddr, Said) {
    spawn_with(folder, &[])
}

fn spawn_with(folder: &Path, environment: &[(&str, &str)]) -> (Child, SocketAddr, Said) {
    let mut child = launch_with(folder, environment);
    let said = Said::default();
    let (out, kept) = (BufReader::new(child.stdout.take().unwrap()), said.clone());
    thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let mut out = kept.out.lock().unwrap();
            out.push_str(&line);
            out.push('\n');
        }
    });
    let kept = said.clone();
    let log = BufReader::new(child.stderr.take().unwrap());
    let (tell, told) = mpsc::channel();
    // Reads on to the end, so that the daemon never waits for us; shown when the test fails.
    thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = entry["fields"]["address"].as_str() {
                // Nobody waits for a second address.
                let _ = tell.send(address.parse().unwrap());
            }
            eprintln!("{line}");
            let mut log = kept.log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    let address = told.recv_timeout(PATIENCE).unwrap();
    (child, address, said)
}
