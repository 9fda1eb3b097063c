//! Whether the loops that the box rests on still turn: the acceptor, the look-out for readers, whoever writes the store.
//!
//! Each loop beats when it comes round; whoever feeds a watchdog, and `/v1/health/live`, ask who has not. Invariant: a
//! loop that was registered is missed from its patience on, however it ended; nobody beats for another.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authenteon_hal::clock::Clock;

/// The loops of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Heartbeats {
    clock: Arc<dyn Clock>,
    loops: Arc<Mutex<Vec<Loop>>>,
    patience: Duration,
}

#[derive(Clone)]
struct Loop {
    name: &'static str,
    /// Milliseconds of the clock.
    last: Arc<AtomicU64>,
}

/// What a loop beats with.
pub struct Pulse {
    clock: Arc<dyn Clock>,
    last: Arc<AtomicU64>,
}

/// How a loop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Which.
    pub name: &'static str,
    /// How long ago it beat last.
    pub age: Duration,
    /// Whether that is longer ago than it may be.
    pub silent: bool,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Heartbeats {
    /// No loops yet; each will have to beat once in `patience`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, patience: Duration) -> Self {
        Self { clock, loops: Arc::default(), patience }
    }

    /// Registers a loop, which beats from now on.
    #[must_use]
    pub fn pulse(&self, name: &'static str) -> Pulse {
        let pulse = Pulse { clock: Arc::clone(&self.clock), last: Arc::default() };
        pulse.beat();
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.push(Loop { name, last: Arc::clone(&pulse.last) });
        pulse
    }

    /// How every loop is.
    #[must_use]
    pub fn beats(&self) -> Vec<Beat> {
        let now = millis(self.clock.now());
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops
            .iter()
            .map(|Loop { name, last }| {
                let age = Duration::from_millis(now.saturating_sub(last.load(Ordering::Relaxed)));
                Beat { name, age, silent: age > self.patience }
            })
            .collect()
    }

    /// The loops that are missed.
    #[must_use]
    pub fn silent(&self) -> Vec<&'static str> {
        self.beats().into_iter().filter(|beat| beat.silent).map(|beat| beat.name).collect()
    }
}

impl Pulse {
    /// The loop has come round.
    pub fn beat(&self) {
        self.last.store(millis(self.clock.now()), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use authenteon_hal::clock::VirtualClock;

    use super::*;

    #[test]
    fn a_loop_is_missed_when_it_has_not_beaten_for_longer_than_it_may() {
        let clock = Arc::new(VirtualClock::new());
        let heartbeats = Heartbeats::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(30));
        let (acceptor, writer) = (heartbeats.pulse("acceptor"), heartbeats.pulse("writer"));
        clock.sleep(Duration::from_secs(30));
        assert!(heartbeats.silent().is_empty());
        writer.beat();
        clock.sleep(Duration::from_secs(1));
        assert_eq!(heartbeats.silent(), ["acceptor"]);
        acceptor.beat();
        assert!(heartbeats.silent().is_empty());
    }

    #[test]
    fn a_loop_that_ended_is_missed_as_one_that_hangs() {
        let clock = Arc::new(VirtualClock::new());
        let heartbeats = Heartbeats::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(1));
        drop(heartbeats.pulse("sensors"));
        clock.sleep(Duration::from_secs(2));
        assert_eq!(heartbeats.silent(), ["sensors"]);
    }
}
