//! The loop that follows a directory: a task for each, which reads, has it planned and done, and waits.
//!
//! Invariant: one cycle of a directory at a time; what is not read whole and in time changes nothing; whoever asks for a
//! cycle is answered when it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::rand;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{
    Cursor, DirectoryError, Entry, Mapping, ObjectId, Reading, Rights, Source, SourceName, State,
    plan::{Plan, Rules},
};
use crate::services::{Confirmed, FollowError, Outcome, Read, Services, StoreError};

/// How long to wait after a failure, at first and at most; part of it by chance, so that boxes do not come together.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After a password that is refused: sooner would have the account locked for everybody who uses it.
const REFUSED: Duration = Duration::from_secs(1800);
/// While the store is being checked or rebuilt, and nothing can be changed.
const CHECKED: Duration = Duration::from_secs(1);
/// How often everybody is looked for, in milliseconds: a missing right hides deletions.
const SWEEP: u64 = 86_400_000;
/// How long to wait after a sweep failed.
const SWEEP_AGAIN: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 60_000 });
/// People of whom a sweep asks one by one; when it finds more that are not known, everybody is read.
const ONE_BY_ONE: usize = 20;
/// Orders that may wait.
const ORDERS: usize = 16;
/// What the end of the daemon waits for.
const LINGER: Duration = Duration::from_secs(1);

/// Makes a source anew: what it is made from is read again, and it is given the password of the store if there is one.
pub type Make = dyn Fn(Option<Zeroizing<String>>) -> Result<Box<dyn Source>, DirectoryError> + Send + Sync;

/// A directory that is to be followed.
#[derive(Clone)]
pub struct Watch {
    /// What it is called.
    pub name: SourceName,
    /// What kind it is, in a word.
    pub kind: &'static str,
    /// Whether its password is in a file that the configuration names, and not in the store.
    pub password_file: bool,
    /// What may be done unasked, and how long what is kept.
    pub rules: Rules,
    /// How its Kerberos maps certificates to accounts.
    pub mapping: Mapping,
    /// How often it is read.
    pub interval: Duration,
    /// How long a reading may take.
    pub patience: Duration,
    /// After how long without one it is stale.
    pub stale_after: Duration,
    /// Makes its source.
    pub make: Arc<Make>,
}

/// Why what was asked for was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// There is no such directory.
    #[error("no directory is called so in the configuration")]
    Unknown,
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What was to be done of it.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The box stops, or its store is not open yet.
    #[error("directories are not followed now: the box starts or stops")]
    NotNow,
}

impl From<StoreError> for SyncError {
    fn from(why: StoreError) -> Self {
        Self::Follow(why.into())
    }
}

/// What a cycle is to do.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Who confirms a plan that waits.
    pub confirmed: Option<Confirmed>,
}

enum Order {
    Sync(Ask, oneshot::Sender<Result<Outcome, SyncError>>),
    /// The source is made anew, and read.
    Renew,
}

struct Handle {
    watch: Watch,
    orders: mpsc::Sender<Order>,
    refused: Refused,
}

/// Whether the directory refused the account and its password when they were last tried: who tries them again and again has
/// the account locked.
#[derive(Clone, Default)]
struct Refused(Arc<AtomicBool>);

impl Refused {
    fn is_refused(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes note of how it went; what says nothing of the password changes nothing.
    fn note<T>(&self, outcome: Result<&T, &SyncError>) {
        match outcome {
            Ok(_) => self.0.store(false, Ordering::Relaxed),
            Err(SyncError::Directory(DirectoryError::Credentials)) => self.0.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
    }
}

/// All that are followed. Cheap to clone.
#[derive(Clone, Default)]
pub struct Following {
    all: Arc<BTreeMap<SourceName, Handle>>,
    services: Arc<tokio::sync::OnceCell<Services>>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
    stop: Option<Arc<watch::Sender<bool>>>,
}

impl Following {
    /// Follows these from now on, as soon as there are services; must be called on a runtime.
    #[must_use]
    pub fn start(
        watches: Vec<Watch>,
        services: impl Future<Output = Option<Services>> + Send + 'static,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut all = BTreeMap::new();
        let mut waiting = Vec::new();
        for watch in watches {
            let (orders, ordered) = mpsc::channel(ORDERS);
            let refused = Refused::default();
            waiting.push((watch.clone(), ordered, refused.clone()));
            all.insert(watch.name.clone(), Handle { watch, orders, refused });
        }
        let following = Self { all: Arc::new(all), stop: Some(Arc::new(stop)), ..Self::default() };
        let (tasks, opened) = (Arc::clone(&following.tasks), Arc::clone(&following.services));
        tokio::spawn(async move {
            let Some(services) = services.await else { return };
            services.watch_directories(waiting.iter().map(|(w, ..)| (w.name.clone(), w.stale_after)));
            // Only this task sets it.
            let _ = opened.set(services.clone());
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            for (watch, orders, refused) in waiting {
                let services = services.clone();
                let follower = Follower { watch, services, source: None, refused, sweep_from: None };
                let mut stopped = stopped.clone();
                tasks.push(tokio::spawn(async move {
                    tokio::select! {
                        () = follower.run(orders) => {}
                        // The sender lives as long as the server does.
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                }));
            }
        });
        following
    }

    /// Those of the configuration.
    pub fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.all.values().map(|handle| &handle.watch)
    }

    fn handle(&self, name: &SourceName) -> Result<&Handle, SyncError> {
        self.all.get(name).ok_or(SyncError::Unknown)
    }

    fn services(&self) -> Result<Services, SyncError> {
        self.services.get().cloned().ok_or(SyncError::NotNow)
    }

    /// Has one read now, and answers when what it says is done.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn sync(&self, name: &SourceName, ask: Ask) -> Result<Outcome, SyncError> {
        let handle = self.handle(name)?;
        self.services()?;
        let (reply, answer) = oneshot::channel();
        handle.orders.send(Order::Sync(ask, reply)).await.map_err(|_| SyncError::NotNow)?;
        answer.await.map_err(|_| SyncError::NotNow)?
    }

    /// What everybody in the directory, read beside the loop, is other than here.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn diff(&self, name: &SourceName) -> Result<Plan, SyncError> {
        let (watch, services) = (&self.handle(name)?.watch, self.services()?);
        let mut source = made(watch, &services).await?;
        let reading = in_time(watch.patience, source.read(None)).await?;
        let (name, rules) = (name.clone(), watch.rules);
        Ok(on_store(&services, move |services| services.plan_directory(&name, &reading, &rules)).await??)
    }

    /// Tries whether the directory can be read, and with which rights.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn test(&self, name: &SourceName) -> Result<Rights, SyncError> {
        let (watch, services) = (&self.handle(name)?.watch, self.services()?);
        let mut source = made(watch, &services).await?;
        Ok(in_time(watch.patience, source.test()).await?)
    }

    /// How a person stands in a directory now, read beside the loop; and how accounts there are mapped. Where the password was
    /// refused it is not tried again: that is for the loop, once in a while.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn person(
        &self,
        name: &SourceName,
        id: ObjectId,
    ) -> Result<(Mapping, Option<Entry>), SyncError> {
        let (Handle { watch, refused, .. }, services) = (self.handle(name)?, self.services()?);
        if refused.is_refused() {
            return Err(DirectoryError::Credentials.into());
        }
        let mut source = made(watch, &services).await?;
        let entry = in_time(watch.patience, source.person(id)).await.map_err(SyncError::from);
        refused.note(entry.as_ref());
        Ok((watch.mapping.clone(), entry?))
    }

    /// What sources are made from has changed: they are made anew, and read at once.
    pub fn renew(&self, name: Option<&SourceName>) {
        for handle in self.all.values().filter(|handle| name.is_none_or(|name| handle.watch.name == *name)) {
            handle.refused.0.store(false, Ordering::Relaxed);
            // Where so many orders wait, the source is made anew soon enough.
            let _ = handle.orders.try_send(Order::Renew);
        }
    }

    /// Ends it: what is being read is read again after the next start.
    pub async fn end(&self) {
        if let Some(stop) = &self.stop {
            // Nobody may be there any more.
            let _ = stop.send(true);
        }
        let tasks: Vec<_> = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for task in tasks {
            if timeout(LINGER, task).await.is_err() {
                info!(
                    "a directory was being followed at the end: it goes on from there after the next start"
                );
            }
        }
    }
}

/// What follows one directory.
struct Follower {
    watch: Watch,
    services: Services,
    /// Kept from one cycle to the next, with what it remembers of the last one.
    source: Option<Box<dyn Source>>,
    refused: Refused,
    /// When everybody may be looked for again, after that failed.
    sweep_from: Option<Instant>,
}

impl Follower {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        // When it comes round by itself: an order in between does not put it off.
        let (mut next, mut failures) = (Instant::now(), 0);
        loop {
            let order = tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => Some(order),
                    // Nobody can ask any more; the loop goes on until it is stopped.
                    None => { pending::<()>().await; None }
                },
                () = sleep_until(next) => None,
            };
            let (ask, reply) = match order {
                Some(Order::Sync(ask, reply)) => (ask, Some(reply)),
                Some(Order::Renew) => {
                    self.source = None;
                    (Ask::default(), None)
                }
                None => (Ask::default(), None),
            };
            let outcome = self.cycle(&ask).await;
            self.refused.note(outcome.as_ref());
            match &outcome {
                Ok(_) if ask.dry_run => {}
                Ok(_) => (next, failures) = (Instant::now() + self.interval(), 0),
                Err(SyncError::Follow(FollowError::Store(StoreError::Degraded { .. }))) => {
                    next = Instant::now() + CHECKED;
                }
                Err(SyncError::Follow(FollowError::NotWaiting)) => {}
                Err(why) => {
                    self.source = None;
                    self.failed(why);
                    next = Instant::now() + wait_after(why, failures, chance());
                    failures = failures.saturating_add(1);
                }
            }
            if let Some(reply) = reply {
                // Whoever asked may have gone.
                let _ = reply.send(outcome);
            }
        }
    }

    /// After how long it comes round.
    fn interval(&self) -> Duration {
        let again = self.sweep_from.map_or(Duration::MAX, |_| SWEEP_AGAIN);
        self.watch.interval.min(again)
    }

    fn failed(&self, why: &SyncError) {
        let text = why.to_string();
        let known = self.services.directory_failed(&self.watch.name, &text);
        if !known {
            warn!(directory = %self.watch.name, why = text, "the directory is not followed; it is tried again");
        }
    }

    async fn cycle(&mut self, ask: &Ask) -> Result<Outcome, SyncError> {
        let name = self.watch.name.clone();
        let progress = on_store(&self.services, move |services| services.directory_progress(&name)).await??;
        let now = self.services.now();
        let swept = progress.swept.filter(|swept| *swept <= now);
        let is_due = swept.is_none_or(|swept| now.since(swept).as_millis() >= SWEEP.into());
        let patience = self.watch.patience;
        let source = self.source().await?;
        let mut reading = in_time(patience, source.read(progress.cursor.as_ref())).await?;
        let mut swept = reading.whole;
        let mut unswept = None;
        // What somebody confirms may be what a sweep found.
        let may_be = ask.confirmed.is_some() || self.sweep_from.is_none_or(|from| Instant::now() >= from);
        if !swept && is_due && may_be {
            match self.sweep(&reading).await {
                Ok(all) => (reading, swept) = (all, true),
                // What has changed is done all the same; who went unseen is looked for later.
                Err(why) => unswept = Some(why),
            }
        }
        if ask.dry_run {
            return self.planned(reading).await;
        }
        let outcome = self.follow(progress.cursor, reading, swept, ask.confirmed.clone()).await?;
        self.sweep_from = unswept.is_some().then(|| Instant::now() + SWEEP_AGAIN);
        if let Some(why) = unswept {
            let text = why.to_string();
            if !self.services.directory_unswept(&self.watch.name, &text) {
                warn!(directory = %self.watch.name, why = text, "not everybody was looked for; it is tried again");
            }
        }
        Ok(outcome)
    }

    /// The source, made if there is none.
    async fn source(&mut self) -> Result<&mut Box<dyn Source>, SyncError> {
        let source = match self.source.take() {
            Some(source) => source,
            None => made(&self.watch, &self.services).await?,
        };
        Ok(self.source.insert(source))
    }

    async fn planned(&mut self, reading: Reading) -> Result<Outcome, SyncError> {
        let (name, rules) = (self.watch.name.clone(), self.watch.rules);
        let plan = on_store(&self.services, move |services| services.plan_directory(&name, &reading, &rules));
        Ok(Outcome { plan: plan.await??, done: false })
    }

    async fn follow(
        &mut self,
        since: Option<Cursor>,
        reading: Reading,
        swept: bool,
        confirmed: Option<Confirmed>,
    ) -> Result<Outcome, SyncError> {
        let (name, rules) = (self.watch.name.clone(), self.watch.rules);
        let done = on_store(&self.services, move |services| {
            services.follow_directory(&name, Read { since, reading, swept }, &rules, confirmed.as_ref())
        });
        Ok(done.await??)
    }

    /// A reading, and everybody looked for besides: who is not there any more is gone, and who is there and not known is read.
    /// When nobody is there at all, many are not known, or somebody does not say who he is, everybody is read instead.
    async fn sweep(&mut self, reading: &Reading) -> Result<Reading, SyncError> {
        let patience = self.watch.patience;
        let known = self.services.directory_people(&self.watch.name);
        let source = self.source().await?;
        let there = match in_time(patience, source.everybody()).await {
            Ok(there) => there,
            Err(DirectoryError::Protocol(_)) => BTreeSet::new(),
            Err(why) => return Err(why.into()),
        };
        let mut reading = reading.clone();
        reading.gone.retain(|who| !there.contains(who));
        let read: BTreeSet<ObjectId> = reading.entries.iter().map(|entry| entry.id).collect();
        let mut unknown = &there - &read;
        for (_, link) in &known {
            // Who is gone and there again is read as somebody new is.
            if link.state != State::Gone && !unknown.remove(&link.object) && !read.contains(&link.object) {
                reading.gone.insert(link.object);
            }
        }
        if there.is_empty() || unknown.len() > ONE_BY_ONE {
            return Ok(in_time(patience, source.read(None)).await?);
        }
        for id in unknown {
            match in_time(patience, source.person(id)).await {
                Ok(found) => reading.entries.extend(found),
                // One who cannot be taken ends no sweep.
                Err(DirectoryError::Protocol(why)) => reading.unusable.push((Some(id), why)),
                Err(why) => return Err(why.into()),
            }
        }
        Ok(reading)
    }
}

async fn made(watch: &Watch, services: &Services) -> Result<Box<dyn Source>, SyncError> {
    let (name, make) = (watch.name.clone(), Arc::clone(&watch.make));
    let made = on_store(services, move |services| {
        let password = services.directory_password(&name)?;
        Ok::<_, SyncError>(make(password)?)
    });
    made.await?
}

async fn in_time<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, DirectoryError>>,
) -> Result<T, DirectoryError> {
    timeout(patience, asked).await.unwrap_or(Err(DirectoryError::Stalled(patience.as_secs())))
}

async fn on_store<T: Send + 'static>(
    services: &Services,
    work: impl FnOnce(&Services) -> T + Send + 'static,
) -> Result<T, SyncError> {
    let services = services.clone();
    spawn_blocking(move || work(&services)).await.map_err(|_| SyncError::NotNow)
}

/// How long to wait after a failure that so many came before. Who gives another password does not wait.
fn wait_after(why: &SyncError, failures: u32, chance: u8) -> Duration {
    match why {
        SyncError::Directory(DirectoryError::Credentials) => REFUSED,
        _ => pause(failures, chance),
    }
}

/// How long to wait after so many failures in a row: half of it and more, by chance.
fn pause(failures: u32, chance: u8) -> Duration {
    let most = LONGEST_WAIT.min(FIRST_WAIT * 2_u32.saturating_pow(failures.min(20)));
    most / 2 + most * u32::from(chance) / 510
}

fn chance() -> u8 {
    let mut one = [0];
    // Without it boxes come together, which is all.
    let _ = rand::fill(&mut one);
    one[0]
}

#[cfg(test)]
mod tests;
