//! The backup that came in, and is tried or restored.
//!
//! Invariant: one comes in or is worked on at a time; what comes in lies in a file without a name, encrypted as it came,
//! and is gone with the daemon.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{body::Body, http::StatusCode};
use tracing::warn;
use uuid::Uuid;

use super::{
    incoming::{self, Bounds},
    problem::Problem,
};
use crate::{
    backup::{BackupError, Header, read_header},
    request::Caller,
    services::{RestoreOptions, RestoreReport, Services},
};

/// How long one that came in is kept for what is to be done with it.
const KEPT: Duration = Duration::from_secs(3600);
/// The store goes on writing: so much of the disk is left to it.
pub(super) const SPARED: u64 = 64 << 20;

/// What is being done.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Nothing,
    Receiving,
    /// It is here, with so many bytes.
    Here(Came, u64),
    /// It is read, or restored, so many bytes of how many.
    Working {
        came: Came,
        dry_run: bool,
        done: u64,
        all: u64,
    },
    Done {
        came: Came,
        dry_run: bool,
        report: Box<RestoreReport>,
    },
    Failed(Came, Box<Problem>),
}

/// A backup that came in.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    /// What it is called from then on: another one may have taken its place.
    pub(crate) id: Uuid,
    pub(crate) header: Header,
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
    /// Which one.
    pub(crate) backup: Uuid,
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

    /// Where there is a disk for what comes in and goes out.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
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
        body: Body,
        announced: Option<u64>,
        pause: Duration,
    ) -> Result<(), Problem> {
        let folder = self.folder.clone().ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, "no-restore", "Not on this box", "it has no store on a disk")
        })?;
        let receiving = Receiving::begin(self)?;
        let file = tempfile::tempfile_in(&folder).map_err(|why| internal(&why))?;
        let mut writing = tokio::fs::File::from_std(file);
        let bounds =
            Bounds { what: "backup", folder: &folder, spared: SPARED, largest: u64::MAX, announced, pause };
        let bytes = incoming::write(body, &mut writing, &bounds).await?;
        let mut file = writing.into_std().await;
        io::Seek::rewind(&mut file).map_err(|why| internal(&why))?;
        let header = read_header(io::BufReader::new(&file))?;
        let came = Came { id: Uuid::new_v4(), header };
        let (this, id) = (self.clone(), came.id);
        receiving.ends(file, came, bytes);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            this.forget_this(id);
        });
        Ok(())
    }

    /// Forgets one that nobody has done with what it came for.
    fn forget_this(&self, id: Uuid) {
        let mut inner = self.lock();
        let left = match &inner.phase {
            Phase::Here(came, _) | Phase::Failed(came, _) => came.id == id,
            Phase::Done { came, .. } => came.id == id && inner.file.is_some(),
            Phase::Nothing | Phase::Receiving | Phase::Working { .. } => false,
        };
        if left {
            *inner = Inner { phase: Phase::Nothing, file: None };
        }
    }

    /// Begins to work on it, on a thread of its own that outlives the request.
    pub(crate) fn work(&self, services: Services, work: Work) -> Result<(), Problem> {
        let (mut file, came) = {
            let mut inner = self.lock();
            let came = match &inner.phase {
                Phase::Receiving | Phase::Working { .. } => return Err(BackupError::Busy.into()),
                Phase::Here(came, _) | Phase::Done { came, .. } | Phase::Failed(came, _) => came.clone(),
                Phase::Nothing => return Err(nothing_here()),
            };
            if came.id != work.backup {
                return Err(nothing_here());
            }
            let file = inner.file.as_ref().ok_or_else(nothing_here)?.try_clone();
            let file = file.map_err(|why| internal(&why))?;
            let dry_run = work.dry_run;
            inner.phase = Phase::Working { came: came.clone(), dry_run, done: 0, all: 1 };
            (file, came)
        };
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let Work { by, passphrase, options, dry_run, .. } = work;
            let tell = |done, all| {
                this.lock().phase = Phase::Working { came: came.clone(), dry_run, done, all };
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
                    Phase::Done { came: came.clone(), dry_run, report: Box::new(report) }
                }
                Err(why) => {
                    warn!(%why, "the backup is not restored");
                    Phase::Failed(came.clone(), Box::new(why.into()))
                }
            };
        });
        Ok(())
    }
}

fn nothing_here() -> Problem {
    let detail = "send the backup first (PUT /v1/system/restore), and name it as the answer does; another one may have \
                  taken its place";
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

    fn ends(mut self, file: File, came: Came, bytes: u64) {
        self.ended = true;
        *self.backups.lock() = Inner { phase: Phase::Here(came, bytes), file: Some(file) };
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.backups.lock().phase = Phase::Nothing;
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
            BackupError::OtherErasures => {
                is(StatusCode::CONFLICT, "other-erasures", "The list of erasures is another one")
            }
            BackupError::Upkeep => is(StatusCode::CONFLICT, "upkeep-running", "Not now"),
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
