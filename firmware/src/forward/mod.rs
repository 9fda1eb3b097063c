//! The audit forwarded to whoever collects it: by syslog over TLS and by webhook, to several destinations at a time, each
//! on a task of its own.
//!
//! Invariant: at least once and in order. A destination's cursor is stored when it has confirmed, so that a start, a kill or
//! a receiver that is down repeats records and never leaves one out; a batch at a time is in memory.

mod syslog;
mod tls;
mod webhook;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    clock::Timestamp,
    services::{AuditError, Batch, Cursor, Services, StoreError},
};

/// Records of a batch, and of a session, after which the receiver is to confirm.
const BATCH: usize = 256;
const SESSION: usize = 8192;
/// How often it is looked for something new; an alarm waits so long.
const LOOK: Duration = Duration::from_millis(250);
/// What follows what was just sent is collected so long: a session costs a handshake.
const LINGER: Duration = Duration::from_secs(1);
/// How long to wait after a failure, at first and at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What the other side gets to be connected with, to take a batch, and to confirm.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the audit is forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What it is called; its cursor is kept under it.
    pub name: String,
    /// How it is spoken to.
    pub kind: Kind,
    /// Host and port.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The authorities that its certificate is of (PEM).
    pub ca: PathBuf,
    /// What the box proves itself with: its certificate and the key (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How a destination is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RFC 5424 over TLS (RFC 5425).
    Syslog {
        /// Whether a connection that the receiver closes without a word confirms what was sent.
        unconfirmed: bool,
    },
    /// POST of JSON.
    Webhook {
        /// The path.
        path: String,
        /// The file of the secret that a body is signed with (HMAC-SHA-256).
        secret: Option<PathBuf>,
    },
}

impl Kind {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Syslog { .. } => "syslog",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// Why something was not forwarded; it is tried again.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    /// A file that is named in the configuration.
    #[error("{path}: {why}", path = .path.display())]
    File { path: PathBuf, why: String },
    /// The connection.
    #[error("{0}")]
    Connection(String),
    /// The other side.
    #[error("it answered {0}")]
    Refused(u16),
    /// It was too slow.
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Late,
    /// The receiver closed without saying that it has read all.
    #[error(
        "it closed without TLS close_notify, so whether it read all is not known and all is sent again; `unconfirmed = \
         true` takes that as read"
    )]
    Unconfirmed,
    /// The receiver closed before the box did.
    #[error(
        "it closed while records were under way, so whether it read all is not known and all is sent again"
    )]
    ClosedEarly,
    /// The store.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

fn lost(why: impl std::fmt::Display) -> ForwardError {
    ForwardError::Connection(why.to_string())
}

impl From<StoreError> for ForwardError {
    fn from(why: StoreError) -> Self {
        Self::Audit(why.into())
    }
}

/// How forwarding to a destination goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The destination's name.
    pub name: String,
    /// `syslog` or `webhook`.
    pub kind: &'static str,
    /// The last record that it has confirmed.
    pub through: u64,
    /// The last record that there is, as far as it was looked.
    pub last: u64,
    /// Records that were confirmed since the start.
    pub sent: u64,
    /// When it confirmed last.
    pub confirmed: Option<Timestamp>,
    /// Why the last attempt failed; nothing when it did not.
    pub error: Option<String>,
}

impl Progress {
    /// Records that it has not confirmed.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.last.saturating_sub(self.through)
    }
}

/// All destinations. Cheap to clone.
#[derive(Clone, Default)]
pub struct Forwarding {
    progress: Arc<Vec<Arc<Mutex<Progress>>>>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
    stop: Option<Arc<watch::Sender<bool>>>,
}

impl Forwarding {
    /// Forwards to these from now on, as soon as there are services; must be called on a runtime.
    #[must_use]
    pub fn start(
        destinations: Vec<Destination>,
        services: impl Future<Output = Option<Services>> + Send + 'static,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let progress: Vec<_> = destinations
            .iter()
            .map(|to| {
                Arc::new(Mutex::new(Progress {
                    name: to.name.clone(),
                    kind: to.kind.name(),
                    through: 0,
                    last: 0,
                    sent: 0,
                    confirmed: None,
                    error: None,
                }))
            })
            .collect();
        let progress = Arc::new(progress);
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let (told, kept) = (Arc::clone(&progress), Arc::clone(&tasks));
        tokio::spawn(async move {
            let Some(services) = services.await else { return };
            let mut tasks = kept.lock().unwrap_or_else(PoisonError::into_inner);
            for (to, told) in destinations.into_iter().zip(told.iter()) {
                let forwarder = Forwarder {
                    services: services.clone(),
                    to,
                    told: Arc::clone(told),
                    stopped: stopped.clone(),
                };
                tasks.push(tokio::spawn(forwarder.run()));
            }
        });
        Self { progress, tasks, stop: Some(Arc::new(stop)) }
    }

    /// How it goes, by destination.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let each =
            |progress: &Arc<Mutex<Progress>>| progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.progress.iter().map(each).collect()
    }

    /// Ends it: what is being sent is confirmed or sent again after the next start.
    pub async fn end(&self) {
        if let Some(stop) = &self.stop {
            // Nobody may be there any more.
            let _ = stop.send(true);
        }
        let tasks: Vec<_> = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for task in tasks {
            if timeout(LINGER, task).await.is_err() {
                info!("the audit was being forwarded at the end: it is sent again after the next start");
            }
        }
    }
}

/// A connection to a destination.
enum Session {
    Syslog(Box<syslog::Session>),
    Webhook(Box<webhook::Session>),
}

/// What forwards to one destination.
struct Forwarder {
    services: Services,
    to: Destination,
    told: Arc<Mutex<Progress>>,
    stopped: watch::Receiver<bool>,
}

impl Forwarder {
    async fn run(self) {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            () = self.forward() => {}
            // The sender lives as long as the server does.
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }

    async fn forward(&self) {
        let mut wait = FIRST_WAIT;
        loop {
            match self.session().await {
                Ok(sent) => {
                    wait = FIRST_WAIT;
                    self.tell(|progress| {
                        if progress.error.take().is_some() {
                            info!(to = progress.name, "the audit is forwarded again");
                        }
                    });
                    sleep(if sent { LINGER } else { LOOK }).await;
                }
                Err(ForwardError::Audit(AuditError::Store(StoreError::Degraded { .. }))) => {
                    sleep(LINGER).await;
                }
                Err(why) => {
                    let why = why.to_string();
                    self.tell(|progress| {
                        if progress.error.as_ref() != Some(&why) {
                            warn!(to = progress.name, %why, "the audit is not forwarded; it is tried again");
                        }
                        progress.error = Some(why);
                    });
                    sleep(wait).await;
                    wait = LONGEST_WAIT.min(wait * 2);
                }
            }
        }
    }

    fn tell(&self, what: impl FnOnce(&mut Progress)) {
        what(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends what there is, up to a bound, and has it confirmed; false when there was nothing.
    async fn session(&self) -> Result<bool, ForwardError> {
        let cursor = self.on_store(|services, name| services.confirmed(name)).await??;
        let mut batch = self.next(cursor).await?;
        self.tell(|progress| (progress.through, progress.last) = (cursor.record, batch.last));
        if batch.is_empty() {
            return Ok(false);
        }
        let store = self.services.store_id();
        let mut session = in_time(self.open()).await?;
        let mut sent = 0;
        let mut reached = cursor;
        while !batch.is_empty() && sent < SESSION {
            (sent, reached) = (sent + batch.records.len(), batch.next);
            let goes_on = match &mut session {
                Session::Syslog(session) => {
                    in_time(session.send(&batch)).await?;
                    true
                }
                // Each is confirmed by its own answer.
                Session::Webhook(session) => {
                    let goes_on = in_time(session.send(store, &batch)).await?;
                    self.confirm(reached, batch.last, batch.records.len()).await?;
                    goes_on
                }
            };
            if !goes_on {
                break;
            }
            batch = self.next(reached).await?;
        }
        if let Session::Syslog(session) = session {
            in_time(session.confirmed()).await?;
            self.confirm(reached, batch.last, sent).await?;
        }
        Ok(true)
    }

    /// All up to there was confirmed, so many records of it now.
    async fn confirm(&self, reached: Cursor, last: u64, records: usize) -> Result<(), ForwardError> {
        self.on_store(move |services, name| services.confirm(name, reached)).await??;
        let now = self.services.now();
        self.tell(|progress| {
            (progress.through, progress.last) = (reached.record, last);
            (progress.sent, progress.confirmed) = (progress.sent + records as u64, Some(now));
        });
        Ok(())
    }

    async fn open(&self) -> Result<Session, ForwardError> {
        match &self.to.kind {
            Kind::Syslog { unconfirmed } => {
                let stream = tls::connect(&self.to).await?;
                Ok(Session::Syslog(Box::new(syslog::Session::new(stream, *unconfirmed))))
            }
            Kind::Webhook { path, secret } => {
                let session = webhook::Session::open(&self.to, path, secret.as_deref()).await?;
                Ok(Session::Webhook(Box::new(session)))
            }
        }
    }

    async fn next(&self, after: Cursor) -> Result<Batch, ForwardError> {
        Ok(self.on_store(move |services, _| services.to_forward(after, BATCH)).await??)
    }

    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Services, &str) -> T + Send + 'static,
    ) -> Result<T, ForwardError> {
        let (services, name) = (self.services.clone(), self.to.name.clone());
        spawn_blocking(move || work(&services, &name)).await.map_err(lost)
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, ForwardError>>) -> Result<T, ForwardError> {
    timeout(PATIENCE, work).await.unwrap_or(Err(ForwardError::Late))
}
