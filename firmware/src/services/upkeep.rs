//! The upkeep of the store while it serves: how large it is, and tasks that verify it, make it smaller, or give it
//! other keys, on a thread of their own.
//!
//! Invariant: one task at a time. How far it is and what it came to can be asked until the next one begins; what it
//! changed, and damage that it found, is in the audit before it is said to have ended.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use serde::Serialize;
use tracing::{error, info, warn};

use super::{Inner, Services};
use crate::{
    audit::Event,
    clock::Timestamp,
    request::Caller,
    store::{Extent, KeyError, Stats, StoreError, Upkeep, Verified},
};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Reads and opens every value.
    Verify,
    /// Makes the journal as short as it can be, and the index anew.
    Compact,
    /// Gives everything other keys.
    RotateKeys,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verify => "verify",
            Self::Compact => "compact",
            Self::RotateKeys => "rotate-keys",
        })
    }
}

/// Why the store's upkeep does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpkeepError {
    /// One task at a time.
    #[error("{0} is running: ask again when it has ended")]
    Running(Job),
    /// The store has the format of the version before.
    #[error(
        "the store has the format of the version before, without upkeep: it gets its own when the update is kept"
    )]
    None,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// How a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It runs; with `index`, its last part: the index is being made, and nobody is enrolled or removed.
    Running {
        /// Whether the index is being made.
        index: bool,
    },
    /// It did what it should; a verification says what it found.
    Done(Option<Verified>),
    /// It did not.
    Failed(UpkeepError),
}

/// A task that was begun since the last start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Counted from one at every start.
    pub number: u64,
    /// What it does.
    pub job: Job,
    /// Who began it, by the name in the registry.
    pub by: String,
    /// When.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How much of about how much is done.
    pub progress: (u64, u64),
    /// How it is.
    pub state: TaskState,
}

/// The last task, and its thread.
#[derive(Default)]
pub(super) struct Tasks {
    last: Mutex<Option<Task>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Tasks {
    fn last(&self) -> MutexGuard<'_, Option<Task>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn running(&self) -> Option<Job> {
        self.last()
            .as_ref()
            .filter(|task| matches!(task.state, TaskState::Running { .. }))
            .map(|task| task.job)
    }

    fn begin(&self, by: &str, job: Job, now: Timestamp) -> Result<Task, UpkeepError> {
        let mut last = self.last();
        match &*last {
            Some(Task { job, state: TaskState::Running { .. }, .. }) => Err(UpkeepError::Running(*job)),
            before => {
                let number = before.as_ref().map_or(0, |task| task.number) + 1;
                let state = TaskState::Running { index: false };
                let by = by.to_owned();
                let task = Task { number, job, by, begun: now, ended: None, progress: (0, 0), state };
                *last = Some(task.clone());
                Ok(task)
            }
        }
    }

    /// Threads of the store tell in no order.
    fn told(&self, done: u64, all: u64) {
        if let Some(task) = &mut *self.last() {
            task.progress = (task.progress.0.max(done), all);
        }
    }

    fn end(&self, state: TaskState, now: Timestamp) {
        if let Some(task) = &mut *self.last() {
            (task.state, task.ended) = (state, Some(now));
        }
    }

    fn keep(&self, thread: JoinHandle<()>) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            error!("a task of the store's upkeep ended with a panic");
        }
    }
}

impl Services {
    /// How large the parts of the store are, without reading it.
    ///
    /// # Errors
    /// [`UpkeepError`].
    pub fn store_extent(&self) -> Result<Extent, UpkeepError> {
        Ok(self.inner.upkeep()?.extent())
    }

    /// How large the store is. Reads all of it.
    ///
    /// # Errors
    /// [`UpkeepError`].
    pub fn store_stats(&self) -> Result<Stats, UpkeepError> {
        Ok(self.inner.upkeep()?.stats()?)
    }

    /// The task that runs, or the last one since the start.
    #[must_use]
    pub fn upkeep_task(&self) -> Option<Task> {
        let mut task = self.inner.tasks.last().clone()?;
        if let (Task { job: Job::Compact, state: TaskState::Running { .. }, .. }, Some(progress)) =
            (&task, self.progress())
        {
            task = Task { progress, state: TaskState::Running { index: true }, ..task };
        }
        Some(task)
    }

    /// Begins a task. It is refused at once when it cannot end well: see [`Self::upkeep_task`] for the rest.
    ///
    /// # Errors
    /// [`UpkeepError`].
    pub fn begin_upkeep(&self, by: &Caller, job: Job) -> Result<Task, UpkeepError> {
        let inner = &self.inner;
        inner.upkeep()?;
        // Of two reasons the one that somebody can wait for.
        if let Some(running) = inner.tasks.running() {
            return Err(UpkeepError::Running(running));
        }
        if job != Job::Verify {
            inner.room_for_people()?;
            if let Some((done, all)) = self.progress() {
                return Err(StoreError::Degraded { done, all }.into());
            }
        }
        let task = inner.tasks.begin(&by.name, job, inner.clock.now())?;
        let (services, by) = (self.clone(), by.clone());
        let thread = thread::Builder::new().name("upkeep".to_owned());
        match thread.spawn(move || services.inner.run(&by, job)) {
            Ok(thread) => inner.tasks.keep(thread),
            Err(why) => {
                let why = UpkeepError::from(StoreError::Io(why.to_string()));
                inner.tasks.end(TaskState::Failed(why.clone()), inner.clock.now());
                return Err(why);
            }
        }
        Ok(task)
    }

    /// The box stops: a task that runs ends soon, and is waited for, so that the store is closed as it should be.
    pub fn end_upkeep(&self) {
        if let (Some(job), Ok(upkeep)) = (self.inner.tasks.running(), self.inner.upkeep()) {
            info!(%job, "ending what runs on the store");
            upkeep.stop();
        }
        self.inner.tasks.join();
    }
}

impl Inner {
    fn upkeep(&self) -> Result<&dyn Upkeep, UpkeepError> {
        self.store.upkeep().ok_or(UpkeepError::None)
    }

    fn run(&self, by: &Caller, job: Job) {
        info!(%job, by = by.id.brief(), "begun on the store");
        let done = self.perform(job);
        let state = match self.tell_of(by, job, done) {
            Ok(verified) => {
                info!(%job, "done on the store");
                TaskState::Done(verified)
            }
            Err(why) => {
                error!(%job, %why, "not done on the store");
                TaskState::Failed(why)
            }
        };
        self.tasks.end(state, self.clock.now());
    }

    fn perform(&self, job: Job) -> Result<Option<Verified>, UpkeepError> {
        let upkeep = self.upkeep()?;
        let tell = |done, all| self.tasks.told(done, all);
        match job {
            Job::Verify => Ok(Some(upkeep.verify(&tell)?)),
            Job::Compact => Ok(upkeep.compact(&tell).map(|()| None)?),
            Job::RotateKeys => Ok(upkeep.rotate_keys(&tell).map(|()| None)?),
        }
    }

    /// Writes the record of what was changed or found.
    fn tell_of(
        &self,
        by: &Caller,
        job: Job,
        done: Result<Option<Verified>, UpkeepError>,
    ) -> Result<Option<Verified>, UpkeepError> {
        match &done {
            Ok(verified) => {
                let event = match (job, verified) {
                    (Job::RotateKeys, _) => Event::KeysRotated,
                    (_, Some(Verified { values, index_differences })) => {
                        Event::StoreVerified { values: *values, differences: *index_differences }
                    }
                    _ => Event::StoreCompacted,
                };
                self.commit(by, &[], &event)?;
            }
            Err(
                UpkeepError::Store(StoreError::Damaged { place })
                | UpkeepError::Key(KeyError::Store(StoreError::Damaged { place })),
            ) => {
                // What was found is said, whether or not it can be written.
                if let Err(why) = self.commit(by, &[], &Event::StoreDamaged { place: place.clone() }) {
                    warn!(%why, "the damage is not in the audit");
                }
            }
            Err(_) => {}
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use super::*;
    use crate::{
        audit,
        clock::SystemClock,
        policy::Policy,
        request::{ClientId, Role},
        store::{DiskStore, MemoryStore, Store},
        subject::{NewSubject, SubjectName},
    };

    fn boss() -> Caller {
        Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
    }

    fn services(store: Arc<dyn Store>) -> Services {
        Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap()
    }

    fn ended(services: &Services, job: Job) -> Task {
        let begun = services.begin_upkeep(&boss(), job).unwrap();
        let began = Instant::now();
        loop {
            let task = services.upkeep_task().unwrap();
            assert_eq!(task.number, begun.number);
            if task.ended.is_some() {
                return task;
            }
            assert!(began.elapsed().as_secs() < 60, "{task:?}");
            thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    #[test]
    fn store_is_verified_compacted_and_gets_other_keys_each_with_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(DiskStore::open(&folder.path().join("store")).unwrap());
        let services = services(store.clone());
        for number in 0..20 {
            let name = SubjectName::try_from(format!("Ada {number}")).unwrap();
            services.create_subject(&boss(), NewSubject { name, groups: Default::default() }).unwrap();
        }
        store.wait_until_indexed();
        let stats = services.store_stats().unwrap();
        assert_eq!((stats.people, services.upkeep_task()), (20, None));
        // People, the policy, and their records.
        let whole = Verified { values: 42, index_differences: 0 };
        assert_eq!(ended(&services, Job::Verify).state, TaskState::Done(Some(whole)));
        assert_eq!(ended(&services, Job::Compact).state, TaskState::Done(None));
        let last = ended(&services, Job::RotateKeys);
        assert_eq!((last.number, last.by.as_str(), &last.state), (3, "boss", &TaskState::Done(None)));
        let mut events = Vec::new();
        audit::verify(store.as_ref(), |record| events.push(record.what.clone())).unwrap();
        let verified = Event::StoreVerified { values: 42, differences: 0 };
        assert_eq!(events[21..], [verified, Event::StoreCompacted, Event::KeysRotated]);
    }

    #[test]
    fn store_of_an_earlier_format_has_no_upkeep_and_says_when_it_will() {
        let services = services(Arc::new(MemoryStore::new()));
        assert_eq!(services.begin_upkeep(&boss(), Job::Verify), Err(UpkeepError::None));
        assert_eq!(services.store_stats(), Err(UpkeepError::None));
        assert!(UpkeepError::None.to_string().contains("when the update is kept"));
        services.end_upkeep();
    }

    #[test]
    fn store_has_one_task_at_a_time_and_names_the_one_that_runs() {
        let tasks = Tasks::default();
        let now = Timestamp::from_millis(7);
        assert_eq!(tasks.begin("boss", Job::Compact, now).unwrap().number, 1);
        assert_eq!(tasks.begin("other", Job::Verify, now), Err(UpkeepError::Running(Job::Compact)));
        assert!(UpkeepError::Running(Job::RotateKeys).to_string().starts_with("rotate-keys is running"));
        tasks.told(5, 10);
        tasks.told(3, 11);
        assert_eq!(tasks.last().as_ref().unwrap().progress, (5, 11));
        tasks.end(TaskState::Done(None), now);
        assert_eq!(tasks.begin("other", Job::Verify, now).unwrap().number, 2);
    }

    #[test]
    fn store_that_is_closed_meanwhile_ends_its_task() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let services = services(Arc::new(DiskStore::open(&path).unwrap()));
        services.begin_upkeep(&boss(), Job::Verify).unwrap();
        services.end_upkeep();
        assert!(services.upkeep_task().unwrap().ended.is_some());
        drop(services);
        assert!(path.join("index.closed").exists());
    }
}
