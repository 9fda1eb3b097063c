//! Feeds what restarts a box or a daemon that hangs: the machine's watchdog, and systemd's.
//!
//! Invariant: nothing is fed while a loop that the box rests on is missed; whoever stops the daemon as it should be
//! stopped disarms the device, and nobody else does.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use sd_notify::NotifyState;
use tracing::{error, info, warn};

use crate::{config, heartbeat::Heartbeats};

/// The letter that disarms a watchdog as it is closed.
const DISARM: &[u8] = b"V";

/// The thread that feeds. Dropped, it ends and disarms.
pub struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is written to.
enum Bowl {
    /// A device, or a pipe: each byte is a meal.
    Device(File),
    /// A file: it holds the number of the last meal, so that a change is one; empty, nobody feeds.
    File(PathBuf, u64),
}

impl Bowl {
    fn open(path: &Path) -> io::Result<Self> {
        let special = fs::metadata(path).is_ok_and(|about| {
            let kind = about.file_type();
            kind.is_char_device() || kind.is_fifo()
        });
        if special || path.starts_with("/dev") {
            return Ok(Self::Device(OpenOptions::new().write(true).open(path)?));
        }
        Ok(Self::File(path.to_owned(), 0))
    }

    fn feed(&mut self) -> io::Result<()> {
        match self {
            Self::Device(device) => device.write_all(b"\0"),
            Self::File(path, meals) => {
                *meals += 1;
                fs::write(path, format!("{meals}\n"))
            }
        }
    }

    fn disarm(&mut self) -> io::Result<()> {
        match self {
            Self::Device(device) => device.write_all(DISARM),
            Self::File(path, _) => fs::write(path, ""),
        }
    }
}

impl Watchdog {
    /// Feeds from now on.
    ///
    /// # Errors
    /// The device cannot be opened: a box that was told to have a watchdog must not run without.
    pub fn start(section: &config::Watchdog, heartbeats: Heartbeats) -> io::Result<Self> {
        let open = |path: &Path| {
            let named =
                |why: io::Error| io::Error::new(why.kind(), format!("[watchdog] {}: {why}", path.display()));
            Bowl::open(path).map_err(named)
        };
        let bowl = section.device.as_deref().map(open).transpose()?;
        let systemd = sd_notify::watchdog_enabled();
        if bowl.is_none() && systemd.is_none() {
            return Ok(Self { stop: None, thread: None });
        }
        // Systemd wants to hear it at least twice in the time that it waits.
        let every = systemd.map_or(section.every(), |limit| section.every().min(limit / 3));
        let (stop, stopped) = mpsc::channel();
        let keeper = Keeper { bowl, systemd: systemd.is_some(), heartbeats, missed: Vec::new() };
        let thread = thread::Builder::new().name("watchdog".to_owned());
        let thread = thread.spawn(move || keeper.keep(every, &stopped))?;
        info!(device = ?section.device, systemd = systemd.is_some(), "a watchdog is fed");
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only ever writes a byte.
            let _ = thread.join();
        }
    }
}

struct Keeper {
    bowl: Option<Bowl>,
    systemd: bool,
    heartbeats: Heartbeats,
    missed: Vec<&'static str>,
}

impl Keeper {
    fn keep(mut self, every: Duration, stopped: &mpsc::Receiver<()>) {
        loop {
            self.round();
            match stopped.recv_timeout(every) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(Err(why)) = self.bowl.as_mut().map(Bowl::disarm) {
            warn!(%why, "the watchdog is not disarmed");
        }
    }

    fn round(&mut self) {
        let missed = self.heartbeats.silent();
        if missed != self.missed {
            if missed.is_empty() {
                info!("all loops turn again: the watchdog is fed");
            } else {
                error!(loops = missed.join(" and "), "loops hang: the watchdog is not fed any more");
            }
            self.missed = missed;
        }
        if !self.missed.is_empty() {
            return;
        }
        if let Some(Err(why)) = self.bowl.as_mut().map(Bowl::feed) {
            warn!(%why, "the watchdog takes nothing");
        }
        if self.systemd {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// Tells systemd, where it started us.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        warn!(%why, "systemd is not told");
    }
}

/// The daemon serves, in whichever state the box is.
pub fn ready(state: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(state)]);
}

/// The daemon reads its configuration again, until it is [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(why) => warn!(%why, "systemd is not told"),
    }
}

/// The daemon stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

#[cfg(test)]
mod tests {
    use std::{io::Read, sync::Arc};

    use authenteon_hal::{
        SensorError,
        clock::{Clock, VirtualClock},
        discovery::{Found, Source},
    };

    use super::*;
    use crate::{
        lock::{Lock, UnlockError},
        sensors::Sensors,
    };

    fn keeper(bowl: Bowl) -> (Keeper, Heartbeats, Arc<VirtualClock>) {
        let clock = Arc::new(VirtualClock::new());
        let heartbeats = Heartbeats::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(30));
        let keeper =
            Keeper { bowl: Some(bowl), systemd: false, heartbeats: heartbeats.clone(), missed: Vec::new() };
        (keeper, heartbeats, clock)
    }

    #[test]
    fn a_device_is_fed_while_every_loop_turns_and_not_while_one_hangs() {
        let (mut read, write) = io::pipe().unwrap();
        let (mut keeper, heartbeats, clock) =
            keeper(Bowl::Device(File::from(std::os::fd::OwnedFd::from(write))));
        let (acceptor, sensors) = (heartbeats.pulse("acceptor"), heartbeats.pulse("sensors"));
        keeper.round();
        clock.sleep(Duration::from_secs(31));
        acceptor.beat();
        keeper.round();
        keeper.round();
        sensors.beat();
        keeper.round();
        let (stop, stopped) = mpsc::channel::<()>();
        drop(stop);
        keeper.keep(Duration::from_secs(60), &stopped);
        let mut meals = Vec::new();
        read.read_to_end(&mut meals).unwrap();
        assert_eq!(meals, b"\0\0\0V", "one before, one after, one as it ends, and the letter that disarms");
    }

    /// A bus that answers when it is told to, and not before.
    struct Hangs(mpsc::Sender<()>, mpsc::Receiver<()>);

    impl Source for Hangs {
        fn find(&mut self) -> Result<Vec<Found>, SensorError> {
            // The test may have ended.
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_driver_that_hangs_while_readers_are_looked_for_stops_the_feeding_until_it_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pulse");
        let (mut keeper, heartbeats, clock) = keeper(Bowl::open(&path).unwrap());
        let ((entered, enters), (release, released)) = (mpsc::channel(), mpsc::channel());
        let pulse = heartbeats.pulse("sensors");
        let nobody = Lock::locked(
            |_| Err(UnlockError::NotLocked),
            Arc::new(authenteon_hal::clock::SystemClock::new()),
        );
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Hangs(entered, released))];
        let sensors = Sensors::start_beating(sources, nobody, Some(pulse)).unwrap();
        enters.recv().unwrap();
        keeper.round();
        let fed = fs::read_to_string(&path).unwrap();
        clock.sleep(Duration::from_secs(31));
        keeper.round();
        assert_eq!(keeper.missed, ["sensors"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), fed);
        release.send(()).unwrap();
        // It has come round when it looks again.
        enters.recv().unwrap();
        keeper.round();
        assert_ne!(fs::read_to_string(&path).unwrap(), fed);
        drop(release);
        sensors.close();
    }

    #[test]
    fn a_file_changes_with_every_meal_and_is_empty_when_the_daemon_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pulse");
        let (mut keeper, heartbeats, clock) = keeper(Bowl::open(&path).unwrap());
        let _hangs = heartbeats.pulse("writer");
        keeper.round();
        let first = fs::read_to_string(&path).unwrap();
        keeper.round();
        let second = fs::read_to_string(&path).unwrap();
        assert_ne!(first, second);
        clock.sleep(Duration::from_secs(31));
        keeper.round();
        assert_eq!(fs::read_to_string(&path).unwrap(), second);
        let (stop, stopped) = mpsc::channel::<()>();
        drop(stop);
        keeper.keep(Duration::from_secs(60), &stopped);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn a_device_that_is_not_there_is_no_file_to_be_made() {
        assert!(Bowl::open(Path::new("/dev/authenteon-no-watchdog")).is_err());
    }
}
