//! Readers at the box: found while the daemon runs, watched, and asked for a frame when somebody asks.
//!
//! `hal` blocks, so each reader has a thread that runs its [`Watch`](authenteon_hal::watch::Watch), and
//! one more looks for readers about once a second; the async side talks to them over a `slot`.
//! Invariant: a reader belongs to one request at a time, no frame goes to anybody but who asked for it
//! before the finger was laid down, nor from any reader but the one that he asked and that may be used, and
//! nobody waits longer than was said: not for a finger, not for a reader that is gone, not when the daemon
//! stops.

mod keeper;
mod progress;
mod session;
mod slot;
mod steward;

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use authenteon_hal::{
    Frame, SensorError, SensorInfo,
    discovery::{ReaderId, Source},
    selftest::Checked,
    sensor::Signal,
};
use tokio::{sync::oneshot, time::timeout};

pub use progress::{Progress, Stage};
pub use steward::Steward;

use crate::{
    heartbeat::Pulse,
    reader::{Reader, Standing},
};
use slot::{Hold, Slot, Task};

/// Readers that are remembered; whoever plugs in more of them is playing.
const MOST_READERS: usize = 64;

/// Why a reader gave no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// No reader has had this name since the daemon started.
    #[error("there is no such reader")]
    Unknown,
    /// It is there, and may not be used.
    #[error("{}", refusal(*.0))]
    NotAdopted(Standing),
    /// It is not plugged in, or does not answer.
    #[error("the reader is not there")]
    Absent,
    /// Somebody else has it.
    #[error("the reader is in use by another request")]
    Busy,
    /// No finger came, or its frame took too long.
    #[error("no finger was laid on the reader in time")]
    TimedOut,
    /// It was taken away meanwhile.
    #[error("the reader was removed")]
    Removed,
    /// The daemon stops.
    #[error("the box is stopping")]
    Stopping,
    /// It failed otherwise.
    #[error("the reader failed: {0}")]
    Failed(SensorError),
}

/// What to do before a reader can be used.
fn refusal(standing: Standing) -> &'static str {
    match standing {
        Standing::Moved => {
            "this reader is not what was adopted, or not where it was: an administrator looks at it and adopts it anew"
        }
        Standing::Suspended => {
            "the case was opened since this reader was adopted: an administrator looks at it and resumes it"
        }
        Standing::Unknown | Standing::Adopted => "no administrator has adopted this reader",
    }
}

/// How a reader is.
#[derive(Clone, Debug)]
pub struct ReaderState {
    /// Its name.
    pub id: ReaderId,
    /// What it is, for people.
    pub model: String,
    /// What it says of itself, while it is there.
    pub info: Option<SensorInfo>,
    /// What it is known by, while it is there.
    pub reader: Option<Reader>,
    /// What went wrong last, until it works again.
    pub last_error: Option<String>,
    /// Frames that it took since the daemon started.
    pub frames: u64,
    /// Whether a request has it now.
    pub busy: bool,
}

/// The readers of this box. Cheap to clone.
#[derive(Clone)]
pub struct Sensors {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the readers close and when a thread ends.
    changed: Condvar,
    steward: Option<Box<dyn Steward>>,
}

#[derive(Default)]
struct State {
    readers: BTreeMap<ReaderId, Arc<Slot>>,
    closing: bool,
    threads: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a reader may be used.
    fn check(&self, reader: &Reader) -> Result<(), CaptureError> {
        match self.steward.as_ref().map_or(Standing::Unknown, |steward| steward.standing(reader)) {
            Standing::Adopted => Ok(()),
            standing => Err(CaptureError::NotAdopted(standing)),
        }
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.state().readers.values().cloned().collect()
    }

    /// Tells the steward who is there.
    fn report(&self) {
        let present: Vec<Reader> = self.slots().iter().filter_map(|slot| slot.describe().reader).collect();
        if let Some(steward) = &self.steward {
            steward.seen(&present);
        }
    }
}

impl Sensors {
    /// No readers, ever.
    #[must_use]
    pub fn none() -> Self {
        Self::with(None)
    }

    fn with(steward: Option<Box<dyn Steward>>) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), steward }) }
    }

    /// Looks for readers in these sources from now on; the steward says which may be used.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(sources: Vec<Box<dyn Source>>, steward: impl Steward + 'static) -> std::io::Result<Self> {
        Self::start_beating(sources, steward, None)
    }

    /// The same, with a pulse for whoever looks for readers.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_beating(
        sources: Vec<Box<dyn Source>>,
        steward: impl Steward + 'static,
        pulse: Option<Pulse>,
    ) -> std::io::Result<Self> {
        let sensors = Self::with(Some(Box::new(steward)));
        keeper::look_out(&sensors.shared, sources, pulse)?;
        Ok(sensors)
    }

    /// Every reader that was seen since the daemon started, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ReaderState> {
        self.shared.slots().iter().map(|slot| slot.describe()).collect()
    }

    /// Takes a reader for one request.
    ///
    /// # Errors
    /// [`CaptureError::Unknown`], [`CaptureError::Absent`], [`CaptureError::Busy`],
    /// [`CaptureError::NotAdopted`] or [`CaptureError::Stopping`].
    pub fn claim(&self, id: &ReaderId) -> Result<Claim, CaptureError> {
        let slot = self.shared.state().readers.get(id).cloned().ok_or(CaptureError::Unknown)?;
        let (hold, reader) = slot.claim()?;
        let claim = Claim { shared: Arc::clone(&self.shared), slot, hold, reader };
        self.shared.check(&claim.reader)?;
        Ok(claim)
    }

    /// Ends every wait for a finger and lets the readers go; their threads end soon.
    pub fn close(&self) {
        let mut state = self.shared.state();
        state.closing = true;
        let readers: Vec<_> = state.readers.values().cloned().collect();
        drop(state);
        self.shared.changed.notify_all();
        for slot in readers {
            slot.close();
        }
    }

    /// Waits, blocking, until the threads of closed readers have ended: their lights are off then.
    /// False when one did not in time; a wedged device must not hold the daemon.
    #[must_use]
    pub fn ended(&self, limit: Duration) -> bool {
        let began = Instant::now();
        let mut state = self.shared.state();
        while state.threads > 0 {
            let left = limit.saturating_sub(began.elapsed());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// The right to use a reader; it is free again when this is dropped.
pub struct Claim {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    hold: Hold,
    reader: Reader,
}

impl Claim {
    /// The reader's name.
    #[must_use]
    pub fn id(&self) -> &ReaderId {
        self.slot.id()
    }

    /// The next frame of a finger that is laid down from now on; `progress` hears what the person is to do. Dropping the
    /// future ends the wait.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub async fn capture(&self, limit: Duration, progress: Progress) -> Result<Frame, CaptureError> {
        let (tell, told) = oneshot::channel();
        let captured = self.ask(limit, Task::Capture(tell, progress), told).await;
        if matches!(captured, Err(CaptureError::Failed(_))) {
            self.show(Signal::Retry);
        }
        let frame = captured?;
        // Somebody may have opened the case, or released it, while the finger was waited for.
        self.shared.check(&self.reader)?;
        Ok(frame)
    }

    /// The reader's self-test; with `finger`, one is waited for so long.
    ///
    /// # Errors
    /// [`CaptureError`] when the test could not be ended; what failed in it is its result.
    pub async fn test(&self, finger: Option<Duration>) -> Result<Vec<Checked>, CaptureError> {
        /// More than all steps but the finger's may take.
        const STEPS: Duration = Duration::from_secs(100);
        let (tell, told) = oneshot::channel();
        let limit = STEPS.saturating_add(finger.unwrap_or_default());
        self.ask(limit, Task::Test(finger, tell), told).await
    }

    async fn ask<T>(
        &self,
        limit: Duration,
        task: Task,
        told: oneshot::Receiver<Result<T, CaptureError>>,
    ) -> Result<T, CaptureError> {
        self.slot.ask(self.hold, limit, task)?;
        let _withdrawn = Withdraw(self);
        match timeout(limit, told).await {
            Ok(Ok(result)) => result,
            // Whoever had the job is gone without a word.
            Ok(Err(_)) => Err(CaptureError::Stopping),
            Err(_) => Err(CaptureError::TimedOut),
        }
    }

    /// Shows the person what came of it.
    pub fn show(&self, signal: Signal) {
        self.slot.show(self.hold, signal);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.slot.release(self.hold);
    }
}

/// Nobody waits for the answer any more, and so nobody needs to wait for the finger.
struct Withdraw<'a>(&'a Claim);

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.0.slot.withdraw(self.0.hold);
    }
}

#[cfg(test)]
mod tests;
