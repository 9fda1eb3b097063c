//! A backup on its way out, and the one that came in and is tried or restored.
//!
//! Invariant: one comes in or is worked on at a time; what comes in lies in a file without a name, encrypted as it came,
//! and is gone with the daemon.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::StatusCode,
};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel},
    time::timeout,
};
use tracing::warn;

use super::problem::Problem;
use crate::{
    backup::{BackupError, Header, read_header},
    request::Caller,
    services::{RestoreOptions, RestoreReport, Services},
};

/// Parts that wait for a slow client.
const WAITING: usize = 8;
/// Bytes of a part.
const PART: usize = 64 << 10;
/// A client that takes nothing for so long gets no more: the store waits for it with cleaning up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The store goes on writing: so much of the disk is left to it.
const SPARED: u64 = 64 << 20;

/// What is being done.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Nothing,
    Receiving,
    /// It is here.
    Here {
        header: Header,
        bytes: u64,
    },
    /// It is read, or restored, so many bytes of how many.
    Working {
        header: Header,
        dry_run: bool,
        done: u64,
        all: u64,
    },
    Done {
        header: Header,
        dry_run: bool,
        report: Box<RestoreReport>,
    },
    Failed {
        header: Header,
        why: Box<Problem>,
    },
}

/// The backup that came in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backups {
    folder: Option<PathBuf>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    phase: Phase,
    file: Option<File>,
}

/// How a backup that came in is to be worked on.
pub(crate) struct Work {
    pub(crate) by: Caller,
    pub(crate) passphrase: zeroize::Zeroizing<String>,
    pub(crate) options: RestoreOptions,
    pub(crate) dry_run: bool,
}

fn internal(why: &io::Error) -> Problem {
    Problem::internal(why)
}

impl Backups {
    /// What comes in lies on the disk of `folder`; without one nothing does.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, inner: Arc::new(Mutex::new(Inner { phase: Phase::Nothing, file: None })) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    /// Forgets what came in.
    pub(crate) fn forget(&self) -> Result<(), Problem> {
        let mut inner = self.lock();
        if matches!(inner.phase, Phase::Receiving | Phase::Working { .. }) {
            return Err(BackupError::Busy.into());
        }
        *inner = Inner { phase: Phase::Nothing, file: None };
        Ok(())
    }

    /// Takes in a backup, in the place of the one before.
    pub(crate) async fn take(
        &self,
        mut body: Body,
        announced: Option<u64>,
        pause: Duration,
    ) -> Result<(), Problem> {
        let folder = self.folder.clone().ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, "no-restore", "Not on this box", "it has no store on a disk")
        })?;
        let receiving = Receiving::begin(self)?;
        let space = rustix::fs::statvfs(&folder).map_err(|why| internal(&why.into()))?;
        let room = (space.f_bavail * space.f_frsize).saturating_sub(SPARED);
        let full = || {
            let detail = "the box has no room for this backup: a larger disk, or another box";
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", "No room", detail)
        };
        if announced.is_some_and(|length| length > room) {
            return Err(full());
        }
        let file = tempfile::tempfile_in(&folder).map_err(|why| internal(&why))?;
        let mut writing = tokio::fs::File::from_std(file);
        let mut bytes = 0;
        loop {
            let frame = timeout(pause, body.frame()).await.map_err(|_| {
                let detail = "send the backup without pauses";
                Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body took too long", detail)
            })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| Problem::bad_request("the body ended early"))?;
            let Ok(data) = frame.into_data() else { continue };
            bytes += data.len() as u64;
            if bytes > room {
                return Err(full());
            }
            tokio::io::AsyncWriteExt::write_all(&mut writing, &data).await.map_err(|why| internal(&why))?;
        }
        tokio::io::AsyncWriteExt::flush(&mut writing).await.map_err(|why| internal(&why))?;
        let mut file = writing.into_std().await;
        io::Seek::rewind(&mut file).map_err(|why| internal(&why))?;
        let header = read_header(io::BufReader::new(&file))?;
        receiving.ends(file, header, bytes);
        Ok(())
    }

    /// Begins to work on it, on a thread of its own that outlives the request.
    pub(crate) fn work(&self, services: Services, work: Work) -> Result<(), Problem> {
        let (mut file, header) = {
            let mut inner = self.lock();
            let header = match &inner.phase {
                Phase::Receiving | Phase::Working { .. } => return Err(BackupError::Busy.into()),
                Phase::Here { header, .. } | Phase::Done { header, .. } | Phase::Failed { header, .. } => {
                    header.clone()
                }
                Phase::Nothing => return Err(nothing_here()),
            };
            let file = inner.file.as_ref().ok_or_else(nothing_here)?.try_clone();
            let dry_run = work.dry_run;
            inner.phase = Phase::Working { header: header.clone(), dry_run, done: 0, all: 1 };
            (file.map_err(|why| internal(&why))?, header)
        };
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let Work { by, passphrase, options, dry_run } = work;
            let tell = |done, all| {
                this.lock().phase = Phase::Working { header: header.clone(), dry_run, done, all };
            };
            let ended = if dry_run {
                services.check_backup(&mut file, &passphrase, &options, &tell)
            } else {
                services.restore(&by, &mut file, &passphrase, &options, &tell)
            };
            let mut inner = this.lock();
            inner.phase = match ended {
                Ok(report) => {
                    if !dry_run {
                        inner.file = None;
                    }
                    Phase::Done { header: header.clone(), dry_run, report: Box::new(report) }
                }
                Err(why) => {
                    warn!(%why, "the backup is not restored");
                    Phase::Failed { header: header.clone(), why: Box::new(why.into()) }
                }
            };
        });
        Ok(())
    }
}

fn nothing_here() -> Problem {
    let detail = "send the backup first: PUT /v1/system/restore";
    Problem::new(StatusCode::CONFLICT, "no-backup", "There is no backup here", detail)
}

/// The place of a backup that comes in; free again when it is dropped before the end.
struct Receiving<'a> {
    backups: &'a Backups,
    ended: bool,
}

impl<'a> Receiving<'a> {
    fn begin(backups: &'a Backups) -> Result<Self, Problem> {
        backups.forget()?;
        let mut inner = backups.lock();
        if matches!(inner.phase, Phase::Receiving | Phase::Working { .. }) {
            return Err(BackupError::Busy.into());
        }
        inner.phase = Phase::Receiving;
        drop(inner);
        Ok(Self { backups, ended: false })
    }

    fn ends(mut self, file: File, header: Header, bytes: u64) {
        self.ended = true;
        *self.backups.lock() = Inner { phase: Phase::Here { header, bytes }, file: Some(file) };
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.backups.lock().phase = Phase::Nothing;
        }
    }
}

/// Takes what is written, and gives it to the client.
pub(crate) struct Outgoing {
    sender: Sender<Bytes>,
    handle: Handle,
    part: Vec<u8>,
}

/// The body that it becomes.
pub(crate) struct Stream {
    receiver: Receiver<Bytes>,
    /// How it ended: nothing when it ended well.
    ended: tokio::sync::oneshot::Receiver<Result<(), BackupError>>,
}

/// What is written here is read there.
pub(crate) fn pipe(ended: tokio::sync::oneshot::Receiver<Result<(), BackupError>>) -> (Outgoing, Stream) {
    let (sender, receiver) = channel(WAITING);
    (Outgoing { sender, handle: Handle::current(), part: Vec::new() }, Stream { receiver, ended })
}

impl Outgoing {
    fn send(&mut self) -> io::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.part));
        // Inside, where there is a clock: the store reads on threads of its own.
        let sent = self.handle.block_on(async { timeout(PATIENCE, self.sender.send(part)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::other("the client has gone")),
            Err(_) => Err(io::Error::other("the client takes nothing any more")),
        }
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend(bytes);
        if self.part.len() >= PART {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Stream {
    /// Waits for the first part: what fails before it is told as a problem.
    pub(crate) async fn begun(mut self) -> Result<Body, Problem> {
        match self.receiver.recv().await {
            Some(first) => Ok(Body::new(Begun { first: Some(first), rest: self })),
            None => match self.ended.await {
                Ok(Err(why)) => Err(why.into()),
                _ => Err(Problem::internal(&"the backup ended before it began")),
            },
        }
    }
}

struct Begun {
    first: Option<Bytes>,
    rest: Stream,
}

impl HttpBody for Begun {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match ready!(self.rest.receiver.poll_recv(context)) {
            Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
            // Whoever gets a body that ends well must be able to rely on it.
            None => match ready!(Pin::new(&mut self.rest.ended).poll(context)) {
                Ok(Ok(())) => Poll::Ready(None),
                Ok(Err(why)) => Poll::Ready(Some(Err(io::Error::other(why)))),
                Err(why) => Poll::Ready(Some(Err(io::Error::other(why)))),
            },
        }
    }
}

impl From<BackupError> for Problem {
    fn from(why: BackupError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            BackupError::NotABackup => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "not-a-backup", "This is no backup")
            }
            BackupError::Newer { .. } => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "backup-newer", "The backup is of a later version")
            }
            BackupError::Wrong => {
                is(StatusCode::FORBIDDEN, "wrong-backup-passphrase", "The passphrase is not right")
            }
            BackupError::Cut { .. } | BackupError::Damaged { .. } | BackupError::Contents { .. } => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "backup-damaged", "The backup is damaged")
            }
            BackupError::Expired { .. } => is(StatusCode::CONFLICT, "backup-expired", "The backup expired"),
            BackupError::NoErasures => {
                is(StatusCode::CONFLICT, "erasures-needed", "Who was erased since is not known")
            }
            BackupError::Erasures { .. } => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "not-erasures", "The list of erasures cannot be used")
            }
            BackupError::NotEmpty => is(StatusCode::CONFLICT, "not-empty", "The box is not empty"),
            BackupError::Expiry => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "bad-expiry", "A backup cannot expire then")
            }
            BackupError::OnTrial => is(StatusCode::CONFLICT, "update-state", "Not now"),
            BackupError::Busy => is(StatusCode::CONFLICT, "restore-busy", "Another one is being restored"),
            BackupError::Io(why) => Self::internal(&why),
            BackupError::Store(why) => why.into(),
        }
    }
}
