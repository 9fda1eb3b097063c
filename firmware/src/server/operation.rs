//! What the server knows of its own running: what its administrator and its monitoring ask for.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use authenteon_hal::clock::SystemClock as MonotonicClock;

use crate::{
    clock::{Clock, SystemClock, Timestamp},
    config::Limits,
    heartbeat::Heartbeats,
    logging::LastLines,
};

use super::metrics::Metrics;

/// A loop that has not come round for so long hangs, unless the configuration says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bounds on what clients may use: times can be changed while the daemon runs, sizes cannot.
#[derive(Clone)]
pub(crate) struct Bounds {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// Bytes of a request's body.
    pub(crate) body_bytes: usize,
    connections_per_address: usize,
    times: Arc<ArcSwap<Limits>>,
}

impl Bounds {
    pub(crate) fn new(limits: Limits) -> Self {
        let Limits { connections, connections_per_address, body_bytes, .. } = limits;
        Self {
            connections,
            connections_per_address,
            body_bytes,
            times: Arc::new(ArcSwap::from_pointee(limits)),
        }
    }

    /// Takes the times of these limits from now on.
    pub(crate) fn change(&self, limits: Limits) {
        self.times.store(Arc::new(limits));
    }

    /// Those in force.
    pub(crate) fn now(&self) -> Limits {
        let Self { connections, connections_per_address, body_bytes, .. } = *self;
        Limits { connections, connections_per_address, body_bytes, ..**self.times.load() }
    }

    /// Time for a head, and for a body.
    pub(crate) fn request(&self) -> Duration {
        self.times.load().request()
    }

    /// Time to finish at shutdown.
    pub(crate) fn drain(&self) -> Duration {
        self.times.load().drain()
    }
}

/// The configuration as it was read last.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// All that it says, without what is secret.
    pub shown: String,
    /// What is used after the next start only, by its keys.
    pub waiting: Vec<String>,
    /// Why what is there now is not used, if it cannot be.
    pub refused: Option<String>,
}

/// How the daemon runs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operation {
    /// The loops that it rests on.
    pub(crate) heartbeats: Heartbeats,
    /// Where its certificates are.
    pub(crate) pki: PathBuf,
    /// When it was started.
    pub(crate) started: Timestamp,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// The last lines of the log.
    pub(crate) log: LastLines,
    settings: Arc<Mutex<Settings>>,
}

impl Operation {
    pub(crate) fn new(pki: PathBuf) -> Self {
        let heartbeats = Heartbeats::new(Arc::new(MonotonicClock::new()), PATIENCE);
        Self {
            heartbeats,
            pki,
            started: SystemClock.now(),
            metrics: Metrics::new(),
            log: LastLines::default(),
            settings: Arc::default(),
        }
    }

    /// The configuration as it was read last.
    pub(crate) fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It was read.
    pub(crate) fn read(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// It was read, and cannot be used: what was before stays.
    pub(crate) fn refuse(&self, why: String) {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).refused = Some(why);
    }
}
