//! A network of one machine, with nobody else in it.
//!
//! Invariant: it has a name that no other test has, and is taken away with everything that runs in it; what a test that was
//! killed left behind is taken away by the next.

use std::{
    fs::{self, File},
    io,
    net::TcpStream,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{ServerError, find, run};

const PREFIX: &str = "authenteon-";
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// Whether one can be made here.
pub(super) fn possible() -> Result<(), String> {
    let made = Namespace::new(&[]);
    made.map(drop).map_err(|why| format!("no network namespace can be made here: {why}"))
}

impl Namespace {
    /// A network with these addresses, each of one machine.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn new(addresses: &[&str]) -> Result<Self, ServerError> {
        clear();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let made = Self { name: format!("{PREFIX}{}-{number}", std::process::id()) };
        run(ip(&["netns", "add", &made.name]), "")?;
        run(ip(&["-n", &made.name, "link", "set", "lo", "up"]), "")?;
        for address in addresses {
            run(ip(&["-n", &made.name, "addr", "add", &format!("{address}/32"), "dev", "lo"]), "")?;
        }
        Ok(made)
    }

    /// A file that programs in here see instead of the one of this name in `/etc`; one of a folder, `pam.d/sudo` say, instead
    /// of all that is in that folder.
    ///
    /// # Errors
    /// As of a file.
    pub fn etc(&self, file: &str, text: &str) -> io::Result<()> {
        let file = etc(&self.name).join(file);
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        fs::write(file, text)
    }

    /// A program that runs in here.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = ip(&["netns", "exec", &self.name]);
        command.arg(find(program).unwrap_or_else(|| program.into()));
        command
    }

    /// Runs a program in here to its end: what it says, if it succeeds.
    ///
    /// # Errors
    /// [`ServerError::Failed`].
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, ServerError> {
        let mut command = self.command(program);
        command.args(arguments);
        run(command, input)
    }

    /// The processes in here of programs of this name.
    #[must_use]
    pub fn processes(&self, program: &str) -> Vec<String> {
        let pids = run(ip(&["netns", "pids", &self.name]), "").unwrap_or_default();
        let name =
            |pid: &str| fs::read_to_string(Path::new("/proc").join(pid).join("comm")).unwrap_or_default();
        pids.split_whitespace().filter(|pid| name(pid).trim() == program).map(str::to_owned).collect()
    }

    /// The way in.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        Entrance(self.name.clone())
    }

    /// Does something on a thread that is in here, and whose threads are.
    ///
    /// # Errors
    /// As of the system.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.entrance().within(work)
    }

    /// Whether somebody listens at an address in here, within so long.
    ///
    /// # Errors
    /// As of the system.
    pub fn listens(&self, address: (&str, u16), patience: Duration) -> io::Result<bool> {
        self.within(|| {
            let began = Instant::now();
            while began.elapsed() < patience {
                if TcpStream::connect(address).is_ok() {
                    return true;
                }
                thread::sleep(Duration::from_millis(20));
            }
            false
        })
    }
}

/// The way into a namespace, which somebody else keeps.
#[derive(Clone, Debug)]
pub struct Entrance(String);

impl Entrance {
    /// Does something on a thread that is in here, and whose threads are.
    ///
    /// # Errors
    /// As of the system.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let file = File::open(Path::new("/run/netns").join(&self.0))?;
        let inside = thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                    io::Result::Ok(work())
                })
                .join()
        });
        // A test that fails in there fails here.
        inside.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn ip(arguments: &[&str]) -> Command {
    let mut command = Command::new(find("ip").unwrap_or_else(|| "ip".into()));
    command.args(arguments);
    command
}

fn etc(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

/// Ends what runs in a namespace, and takes it away.
fn remove(name: &str) {
    for signal in ["-TERM", "-KILL"] {
        let pids = run(ip(&["netns", "pids", name]), "").unwrap_or_default();
        let pids: Vec<&str> = pids.split_whitespace().collect();
        if pids.is_empty() {
            break;
        }
        // They may have ended meanwhile.
        let _ = Command::new("kill").arg(signal).args(&pids).output();
        thread::sleep(Duration::from_millis(200));
    }
    let _ = run(ip(&["netns", "del", name]), "");
    let _ = fs::remove_dir_all(etc(name));
}

/// Takes away the namespaces of processes that are no more.
fn clear() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            remove(&name);
        }
    }
}
