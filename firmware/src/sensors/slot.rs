//! Where a reader's thread and those who ask it meet.
//!
//! Invariant: at most one request holds the reader, at most one job of it waits and at most one is
//! worked on; a job is answered once, and what nobody asks for any more is not worked on any longer.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use authenteon_hal::{
    CancelToken, Frame, SensorError, SensorInfo,
    discovery::{Found, Place, ReaderId},
    selftest::Checked,
    sensor::Signal,
};
use tokio::sync::oneshot;

use super::{CaptureError, Progress, ReaderState, Stage};
use crate::reader::Reader;

/// What is asked of a reader, and who waits for the answer.
pub(super) enum Task {
    /// A frame of a finger laid down from now on.
    Capture(oneshot::Sender<Result<Frame, CaptureError>>, Progress),
    /// A self-test; with a wait for a finger or without.
    Test(Option<Duration>, oneshot::Sender<Result<Vec<Checked>, CaptureError>>),
}

impl Task {
    /// That nobody listens any more is no error: who left has been told otherwise.
    fn refuse(self, why: CaptureError) {
        match self {
            Self::Capture(tell, _) => drop(tell.send(Err(why))),
            Self::Test(_, tell) => drop(tell.send(Err(why))),
        }
    }
}

/// A claim, and the session of the reader that it is for: what is plugged in later in its place is another reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    claim: u64,
    session: u64,
}

/// A reader that is open.
#[derive(Clone)]
struct There {
    info: SensorInfo,
    reader: Reader,
}

struct Job {
    claim: u64,
    end: Instant,
    cancel: CancelToken,
    task: Task,
}

/// What a reader's thread needs to know of the job that it took.
pub(super) struct Taken {
    /// When nobody waits any longer.
    pub(super) end: Instant,
    /// Cancelled when somebody has left before.
    pub(super) cancel: CancelToken,
    /// For a test, how long it waits for a finger, if at all.
    pub(super) test: Option<Option<Duration>>,
}

/// What a reader's thread does next.
pub(super) enum Next {
    /// A job.
    Job(Taken),
    /// Nothing was asked for all the time.
    Idle,
    /// The readers close.
    Close,
}

/// A reader as both sides see it.
pub(super) struct Slot {
    id: ReaderId,
    state: Mutex<State>,
    changed: Condvar,
    /// Ends the watch of this reader.
    pub(super) stop: CancelToken,
}

struct State {
    found: Found,
    /// Where it is being opened, or was.
    opened: Option<Place>,
    there: Option<There>,
    /// How often it was opened.
    sessions: u64,
    last_error: Option<String>,
    frames: u64,
    /// The request that has it.
    claim: Option<u64>,
    claims: u64,
    waiting: Option<Job>,
    working: Option<Job>,
    /// A frame was given and nobody has said yet what came of it.
    undecided: bool,
    show: Option<Signal>,
    closing: bool,
}

impl Slot {
    pub(super) fn new(found: Found) -> Self {
        Self {
            id: found.id.clone(),
            state: Mutex::new(State {
                found,
                opened: None,
                there: None,
                sessions: 0,
                last_error: None,
                frames: 0,
                claim: None,
                claims: 0,
                waiting: None,
                working: None,
                undecided: false,
                show: None,
                closing: false,
            }),
            changed: Condvar::new(),
            stop: CancelToken::new(),
        }
    }

    pub(super) fn id(&self) -> &ReaderId {
        &self.id
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` says so or `limit` has passed.
    fn wait_until(&self, limit: Duration, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.state(), limit, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    // What the asking side does.

    pub(super) fn describe(&self) -> ReaderState {
        let state = self.state();
        let (info, reader) = state.there.clone().map(|There { info, reader }| (info, reader)).unzip();
        ReaderState {
            id: self.id.clone(),
            model: reader.as_ref().map_or(&state.found.model, |reader: &Reader| &reader.model).clone(),
            info,
            reader,
            last_error: state.last_error.clone(),
            frames: state.frames,
            busy: state.claim.is_some(),
        }
    }

    /// Takes it as it is now.
    pub(super) fn claim(&self) -> Result<(Hold, Reader), CaptureError> {
        let mut state = self.state();
        if state.closing {
            return Err(CaptureError::Stopping);
        }
        let Some(There { reader, .. }) = state.there.clone() else { return Err(CaptureError::Absent) };
        if state.claim.is_some() {
            return Err(CaptureError::Busy);
        }
        state.claims += 1;
        state.claim = Some(state.claims);
        Ok((Hold { claim: state.claims, session: state.sessions }, reader))
    }

    pub(super) fn release(&self, Hold { claim, .. }: Hold) {
        let mut state = self.state();
        if state.claim == Some(claim) {
            state.claim = None;
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn ask(
        &self,
        Hold { claim, session }: Hold,
        limit: Duration,
        task: Task,
    ) -> Result<(), CaptureError> {
        let mut state = self.state();
        if state.closing {
            return Err(CaptureError::Stopping);
        }
        if state.there.is_none() || state.sessions != session {
            return Err(CaptureError::Removed);
        }
        let now = Instant::now();
        let end = now.checked_add(limit).unwrap_or(now);
        state.waiting = Some(Job { claim, end, cancel: CancelToken::new(), task });
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Nobody waits for this request's job any more.
    pub(super) fn withdraw(&self, Hold { claim, .. }: Hold) {
        let mut state = self.state();
        if let Some(job) = state.working.as_ref().filter(|job| job.claim == claim) {
            job.cancel.cancel();
        }
        if state.waiting.as_ref().is_some_and(|job| job.claim == claim) {
            state.waiting = None;
        }
    }

    pub(super) fn show(&self, Hold { claim, .. }: Hold, signal: Signal) {
        let mut state = self.state();
        if state.claim == Some(claim) {
            state.show = Some(signal);
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closing = true;
        if let Some(job) = &state.working {
            job.cancel.cancel();
        }
        state.refuse_all(&CaptureError::Stopping);
        drop(state);
        self.stop.cancel();
        self.changed.notify_all();
    }

    // What the reader's thread does.

    /// It was found, again perhaps, and elsewhere.
    pub(super) fn found(&self, found: Found) {
        self.state().found = found;
    }

    /// Where to open it now; until it says that it is there, it is not.
    pub(super) fn place(&self) -> Found {
        let mut state = self.state();
        state.there = None;
        state.opened = Some(state.found.place.clone());
        state.found.clone()
    }

    /// It could not be opened.
    pub(super) fn not_opened(&self, why: &SensorError) {
        self.state().last_error = Some(why.to_string());
    }

    pub(super) fn present(&self, info: SensorInfo) {
        let mut state = self.state();
        let place = state.opened.clone().unwrap_or_else(|| state.found.place.clone());
        let reader = Reader::new(self.id.clone(), &place, &info);
        state.there = Some(There { info, reader });
        state.sessions += 1;
        state.last_error = None;
        state.undecided = false;
        state.show = None;
    }

    pub(super) fn removed(&self) {
        let mut state = self.state();
        state.there = None;
        state.last_error = Some(CaptureError::Removed.to_string());
        state.refuse_all(&CaptureError::Removed);
    }

    /// Something went wrong; the job that was worked on, if any, ends with it.
    pub(super) fn failed(&self, error: SensorError) {
        let mut state = self.state();
        state.last_error = Some(error.to_string());
        if let Some(job) = state.working.take() {
            job.task.refuse(match error {
                SensorError::Removed | SensorError::NotPresent(_) => CaptureError::Removed,
                SensorError::TimedOut(_) => CaptureError::TimedOut,
                error => CaptureError::Failed(error),
            });
            state.undecided = true;
        }
    }

    /// Tells who asked what the person is to do.
    pub(super) fn tell(&self, stage: Stage) {
        let progress = match &self.state().working {
            Some(Job { task: Task::Capture(_, progress), .. }) => progress.clone(),
            _ => return,
        };
        progress.tell(stage);
    }

    /// The job that is worked on came to nothing: its time is over, or who asked has left.
    pub(super) fn missed(&self) {
        if let Some(job) = self.state().working.take() {
            job.task.refuse(CaptureError::TimedOut);
        }
    }

    /// A frame for who asked; one that nobody asked for any more is dropped.
    pub(super) fn took(&self, frame: Frame) {
        let mut state = self.state();
        state.frames += 1;
        state.last_error = None;
        if let Some(Job { task: Task::Capture(tell, progress), .. }) = state.working.take() {
            // Before its end.
            progress.tell(Stage::Lift);
            state.show = None;
            state.undecided = tell.send(Ok(frame)).is_ok();
        }
    }

    pub(super) fn tested(&self, checked: Vec<Checked>, frames: u64) {
        let mut state = self.state();
        state.frames += frames;
        if let Some(Job { task: Task::Test(_, tell), .. }) = state.working.take() {
            // Who asked may have left.
            drop(tell.send(Ok(checked)));
        }
    }

    /// What to do next; waits for it at most so long.
    pub(super) fn next(&self, limit: Duration) -> Next {
        let mut state = self.wait_until(limit, |state| state.closing || state.waiting.is_some());
        if state.closing {
            return Next::Close;
        }
        let Some(job) = state.waiting.take() else { return Next::Idle };
        let test = match &job.task {
            Task::Capture(..) => None,
            Task::Test(finger, _) => Some(*finger),
        };
        let taken = Taken { end: job.end, cancel: job.cancel.clone(), test };
        state.working = Some(job);
        Next::Job(taken)
    }

    /// After a frame, what came of it: what was said to be shown, that the next impression is wanted, or
    /// nothing when the request ended without a word. `None` too when there was no frame, or was before.
    pub(super) fn outcome(&self, limit: Duration) -> Option<Signal> {
        if !std::mem::take(&mut self.state().undecided) {
            return self.state().show.take();
        }
        let mut state = self.wait_until(limit, |state| {
            state.closing || state.show.is_some() || state.claim.is_none() || state.waiting.is_some()
        });
        let next = state.waiting.is_some().then_some(Signal::Retry);
        state.show.take().or(next)
    }
}

impl State {
    fn refuse_all(&mut self, why: &CaptureError) {
        for job in [self.working.take(), self.waiting.take()].into_iter().flatten() {
            job.task.refuse(why.clone());
        }
    }
}
