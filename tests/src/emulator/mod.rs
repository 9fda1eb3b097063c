//! A fingerprint module of the 0xEF01 family behind a pseudo-terminal: to every program it is a serial
//! port with a module at its end.
//!
//! [`schedule`] says which finger lies on it when, [`uart`] what bytes become between two speeds, and
//! the pump carries bytes between the terminal and [`authenteon_hal::zfm::emulator::Emulator`].
//! Invariant: the terminal exists from [`Module::start`] until [`Module::unplug`] or the drop, whether
//! or not a program has it open.

mod pump;
pub mod schedule;
pub mod uart;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use authenteon_hal::clock::{Clock, SystemClock};
use authenteon_hal::sensor::SensorError;
use authenteon_hal::zfm::TouchLine;
use authenteon_hal::zfm::emulator::Emulator;
use serialport::{SerialPort, TTYPort};

use self::pump::Pump;
use self::schedule::Schedule;

/// What happens to a packet of the module on its way to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It comes this much later.
    Late(Duration),
    /// Only this many bytes of it come.
    Partial(usize),
    /// Noise comes in front of it.
    Garbage,
    /// Its sum is wrong.
    WrongSum,
}

/// Why there is no terminal.
#[derive(Debug, thiserror::Error)]
#[error("no pseudo-terminal: {0}")]
pub struct NoTerminal(String);

/// A module on a pseudo-terminal, with a thread that keeps it running.
pub struct Module {
    shared: Arc<Mutex<Shared>>,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    /// Kept open, so that the terminal outlives the programs that open and close it.
    _slave: TTYPort,
}

/// What the thread and the holder of the module both look at.
pub(crate) struct Shared {
    pub(crate) emulator: Emulator,
    pub(crate) schedule: Schedule,
    /// Which packets, counted from when that was said, and what happens to them.
    pub(crate) fault: Option<(Range<usize>, Fault)>,
    pub(crate) sent: usize,
    pub(crate) unplugged: bool,
}

pub(crate) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // The emulator has no state that a panic could leave half-changed.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Module {
    /// Puts a module behind a new pseudo-terminal. `paced`: bytes take the time that they take on a
    /// wire, and come out as garbage when the two ends have different speeds; otherwise speeds do
    /// not matter, as a pseudo-terminal has none.
    ///
    /// # Errors
    /// [`NoTerminal`] with what the system says.
    pub fn start(emulator: Emulator, schedule: Schedule, paced: bool) -> Result<Self, NoTerminal> {
        let refused = |error: &dyn std::fmt::Display| NoTerminal(error.to_string());
        let (master, slave) = TTYPort::pair().map_err(|error| refused(&error))?;
        let path = slave.name().map(PathBuf::from).filter(|path| path.exists());
        let path = path.ok_or_else(|| refused(&"its other end has no name"))?;
        let shared = Shared { emulator, schedule, fault: None, sent: 0, unplugged: false };
        let shared = Arc::new(Mutex::new(shared));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let pump = Pump::new(master, shared.clone(), clock, paced);
        let thread = std::thread::Builder::new().name("zfm-emulator".to_owned()).spawn(move || pump.run());
        let thread = thread.map_err(|error| refused(&error))?;
        Ok(Self { shared, path, thread: Some(thread), _slave: slave })
    }

    /// The port that a host opens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Something happens to the packets of these numbers, counted from now.
    pub fn spoil(&self, packets: Range<usize>, fault: Fault) {
        let mut shared = lock(&self.shared);
        shared.sent = 0;
        shared.fault = Some((packets, fault));
    }

    /// Packets come as they are again.
    pub fn heal(&self) {
        lock(&self.shared).fault = None;
    }

    /// Looks at the module, or does something to it.
    pub fn with<T>(&self, what: impl FnOnce(&mut Emulator) -> T) -> T {
        what(&mut lock(&self.shared).emulator)
    }

    /// The wire beside the serial line that says whether a finger lies on it.
    #[must_use]
    pub fn touch_line(&self) -> Box<dyn TouchLine> {
        Box::new(Touch(self.shared.clone()))
    }

    /// Pulls the adapter: the terminal is gone for whoever has it open.
    pub fn unplug(self) {
        drop(self);
    }

    /// Waits until the terminal fails; a module that is well runs for ever.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        lock(&self.shared).unplugged = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Touch(Arc<Mutex<Shared>>);

impl TouchLine for Touch {
    fn touched(&mut self) -> Result<bool, SensorError> {
        let shared = lock(&self.0);
        if shared.unplugged { Err(SensorError::Removed) } else { Ok(shared.emulator.touched()) }
    }
}
