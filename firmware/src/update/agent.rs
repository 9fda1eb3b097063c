//! The half of updates that runs as root. It believes nothing that the daemon says: the bundle, the
//! board, the version, and whether a slot is on trial are all looked at here.
//!
//! Invariant: one change at a time; a slot on trial is committed or the machine restarts.

mod socket;

pub use socket::serve;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use rustix::fs::{Mode, OFlags};
use tracing::{error, info, warn};

use super::{
    boot::Boot,
    bootloader::{Autoboot, Bootloader, BootloaderError},
    bundle::{Bundle, BundleError},
    install::{self, InstallError, Progress, Target},
    ledger::Ledger,
    machine::Machine,
    protocol::{Kind, Refusal, Request, Status},
    signature::{Keyring, Moment, SignatureError},
    slots::Disk,
    version::Version,
};

/// After an answer the machine restarts so much later: time to pass the answer on.
const BEFORE_RESTART: Duration = Duration::from_millis(500);
/// A machine that would not restart is asked again so much later.
const RESTART_AGAIN: Duration = Duration::from_secs(10);

/// What the agent is told when it starts.
pub struct Settings {
    /// This start.
    pub boot: Boot,
    /// The certificates that bundles are trusted by.
    pub keyring: PathBuf,
    /// Where it remembers.
    pub state: PathBuf,
    /// Where bundles lie, and nowhere else.
    pub folder: PathBuf,
    /// Made at a commit: whoever guards the trial from outside looks for it.
    pub committed: PathBuf,
    /// Seconds from the machine's start in which a trial must be committed.
    pub trial: Duration,
}

/// The agent.
pub struct Agent {
    settings: Settings,
    disk: Box<dyn Disk>,
    machine: Box<dyn Machine>,
    ledger: Ledger,
    /// Held by whoever changes something.
    changing: Mutex<()>,
    /// Why the machine is to restart, once it is.
    ending: Mutex<Option<Ending>>,
    told: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Trial,
    Usual,
}

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It cannot remember.
    #[error("the agent's folder: {0}")]
    State(io::Error),
    /// It cannot be asked.
    #[error("the agent's socket: {0}")]
    Socket(io::Error),
    /// See there.
    #[error(transparent)]
    Bootloader(#[from] BootloaderError),
}

fn refusal(kind: Kind, detail: impl Into<String>) -> Refusal {
    Refusal { kind, detail: detail.into() }
}

impl From<InstallError> for Refusal {
    fn from(why: InstallError) -> Self {
        let kind = match &why {
            InstallError::Bundle(BundleError::Signature(SignatureError::Keyring(..))) => Kind::Io,
            InstallError::Bundle(BundleError::Signature(_)) => Kind::Signature,
            InstallError::Bundle(_) | InstallError::Payload(_) | InstallError::Image(_) => Kind::Damaged,
            InstallError::Board { .. } => Kind::Board,
            InstallError::Older { .. } => Kind::Older,
            InstallError::DoesNotFit(_) => Kind::TooLarge,
            InstallError::NotKept(_) | InstallError::Io(_) => Kind::Io,
        };
        refusal(kind, why.to_string())
    }
}

impl From<BootloaderError> for Refusal {
    fn from(why: BootloaderError) -> Self {
        refusal(Kind::Io, why.to_string())
    }
}

fn io_refusal(why: io::Error) -> Refusal {
    refusal(Kind::Io, why.to_string())
}

impl Agent {
    /// An agent for this start; what the last start left undone is finished.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn new(
        settings: Settings,
        disk: Box<dyn Disk>,
        machine: Box<dyn Machine>,
    ) -> Result<Self, AgentError> {
        let ledger = Ledger::open(&settings.state).map_err(AgentError::State)?;
        let agent = Self {
            settings,
            disk,
            machine,
            ledger,
            changing: Mutex::new(()),
            ending: Mutex::new(None),
            told: Condvar::new(),
        };
        if agent.bootloader().committed()? == agent.settings.boot.slot {
            // The power may have gone between the commit and the rest of it.
            agent.settle().map_err(AgentError::State)?;
        }
        Ok(agent)
    }

    fn bootloader(&self) -> Autoboot<'_> {
        Autoboot(self.disk.as_ref())
    }

    /// After the slot that runs is committed: the floor rises, and nothing waits any more.
    fn settle(&self) -> io::Result<()> {
        let boot = &self.settings.boot;
        self.ledger.raise(&boot.version)?;
        match self.ledger.pending()? {
            Some(pending) if pending.slot == boot.slot => self.ledger.set_pending(None),
            _ => Ok(()),
        }
    }

    /// What init says is a trial is one until the slot is committed.
    fn on_trial(&self) -> Result<bool, BootloaderError> {
        Ok(self.settings.boot.trial && self.bootloader().committed()? != self.settings.boot.slot)
    }

    fn floor(&self) -> io::Result<Version> {
        let running = self.settings.boot.version.clone();
        Ok(self.ledger.floor()?.map_or(running.clone(), |floor| floor.max(running)))
    }

    /// Does what it is asked.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done, or not all of it.
    pub fn handle(&self, request: &Request, tell: &mut dyn FnMut(Progress)) -> Result<Status, Refusal> {
        if let Request::Status {} = request {
            return self.status();
        }
        let _one = self.alone()?;
        match request {
            Request::Status {} => {}
            Request::Install { path } => self.install(path, tell)?,
            Request::Commit {} => self.commit()?,
            Request::Reboot { trial: true } => self.request_trial()?,
            Request::Reboot { trial: false } => self.end(Ending::Usual),
            Request::Discard {} => {
                self.only_committed()?;
                install::discard(self.settings.boot.slot.other(), self.disk.as_ref(), &self.ledger)?;
                info!("the pending update was discarded");
            }
        }
        self.status()
    }

    /// How things are.
    ///
    /// # Errors
    /// [`Refusal`]: the disk cannot be read.
    pub fn status(&self) -> Result<Status, Refusal> {
        let boot = &self.settings.boot;
        let committed = self.bootloader().committed()?;
        let pending = self.ledger.pending().map_err(io_refusal)?;
        Ok(Status {
            slot: boot.slot,
            committed,
            trial: boot.trial && committed != boot.slot,
            board: boot.board.clone(),
            version: boot.version.clone(),
            build: boot.build,
            floor: self.floor().map_err(io_refusal)?,
            // Between a commit and its bookkeeping what runs is still noted as waiting, and does not.
            pending: pending.filter(|p| p.slot != boot.slot || committed != boot.slot),
        })
    }

    fn alone(&self) -> Result<MutexGuard<'_, ()>, Refusal> {
        let guard = match self.changing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(refusal(Kind::Busy, "an update is being installed already"));
            }
        };
        if self.ending.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(refusal(Kind::Busy, "the box is about to restart"));
        }
        Ok(guard)
    }

    /// The other slot may be written to only while this one is what starts by itself.
    fn only_committed(&self) -> Result<(), Refusal> {
        if self.on_trial()? {
            return Err(refusal(
                Kind::State,
                "the version that runs is on trial: the other slot is the way back",
            ));
        }
        if self.bootloader().committed()? != self.settings.boot.slot {
            return Err(refusal(
                Kind::State,
                "the slot that runs is not the committed one: restart the box first",
            ));
        }
        Ok(())
    }

    fn install(&self, path: &Path, tell: &mut dyn FnMut(Progress)) -> Result<(), Refusal> {
        self.only_committed()?;
        let file = self.open(path)?;
        let boot = &self.settings.boot;
        let moment = Moment::new(self.machine.now(), boot.build, self.machine.synchronised());
        let keyring =
            Keyring::read(&self.settings.keyring).map_err(|why| refusal(Kind::Io, why.to_string()))?;
        let bundle = Bundle::open(file, &keyring, moment).map_err(InstallError::from)?;
        let target = Target {
            board: &boot.board,
            floor: self.floor().map_err(io_refusal)?,
            slot: boot.slot.other(),
            disk: self.disk.as_ref(),
            ledger: &self.ledger,
        };
        let pending = install::install(&bundle, &target, tell)?;
        info!(version = %pending.version, slot = ?pending.slot, "installed; waits for its trial");
        Ok(())
    }

    /// Opens a file that lies directly in the update folder: no link, no pipe, nothing elsewhere.
    fn open(&self, path: &Path) -> Result<File, Refusal> {
        let outside = || refusal(Kind::Request, format!("bundles lie in {}", self.settings.folder.display()));
        let name = path.file_name().filter(|_| path.parent() == Some(&self.settings.folder));
        let name = name.ok_or_else(outside)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&self.settings.folder, flags | OFlags::DIRECTORY, Mode::empty());
        // Opening a pipe to read would wait for a writer.
        let opened =
            folder.and_then(|f| rustix::fs::openat(&f, name, flags | OFlags::NONBLOCK, Mode::empty()));
        let file = File::from(opened.map_err(|why| io_refusal(why.into()))?);
        if file.metadata().map_err(io_refusal)?.is_file() { Ok(file) } else { Err(outside()) }
    }

    fn commit(&self) -> Result<(), Refusal> {
        let boot = &self.settings.boot;
        if !boot.trial {
            return Err(refusal(Kind::State, "nothing is on trial"));
        }
        self.bootloader().commit(boot.slot)?;
        // From here on there is no way back, whatever happens to the rest: see `new`.
        self.told.notify_all();
        std::fs::write(&self.settings.committed, b"").map_err(io_refusal)?;
        self.settle().map_err(io_refusal)?;
        info!(version = %boot.version, slot = ?boot.slot, "committed");
        Ok(())
    }

    fn request_trial(&self) -> Result<(), Refusal> {
        self.only_committed()?;
        let pending = self.ledger.pending().map_err(io_refusal)?;
        let mut pending = pending
            .filter(|p| p.slot != self.settings.boot.slot)
            .ok_or_else(|| refusal(Kind::State, "no update waits for a trial: install one first"))?;
        pending.tried = true;
        self.ledger.set_pending(Some(&pending)).map_err(io_refusal)?;
        self.end(Ending::Trial);
        Ok(())
    }

    fn end(&self, how: Ending) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        self.told.notify_all();
    }

    /// Restarts the machine when somebody asked for it, or when a trial was not committed in time.
    /// Runs as long as the agent does.
    pub fn watch(&self) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // A boot order that cannot be read cannot be committed either: that is a trial, still.
            let trial = self.on_trial().unwrap_or(self.settings.boot.trial);
            let left = self.settings.trial.saturating_sub(self.machine.uptime());
            let how = match *ending {
                Some(how) => {
                    drop(ending);
                    std::thread::sleep(BEFORE_RESTART);
                    how
                }
                None if trial && left.is_zero() => {
                    error!("the trial was not committed in time: back to the version before");
                    drop(ending);
                    Ending::Usual
                }
                None if trial => {
                    ending = self.told.wait_timeout(ending, left).unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
                None => {
                    ending = self.told.wait(ending).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            let why = self.machine.restart(how == Ending::Trial);
            warn!(%why, "the machine did not restart");
            std::thread::sleep(RESTART_AGAIN);
            ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }
}
