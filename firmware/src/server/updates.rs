//! The one bundle that is being taken in or installed, and how far it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{body::Body, http::StatusCode};
use tokio::fs::File;
use tracing::{info, warn};

use super::{
    incoming::{self, Bounds},
    problem::Problem,
};
use crate::update::{bundle::LARGEST, install::Progress, link::Link, protocol::Request};

/// What comes in has this name until it is whole, and then the other.
const PART: &str = "incoming.part";
const WHOLE: &str = "incoming.raucb";
/// The store goes on writing: so much of the disk is left to it.
const SPARED: u64 = 16 << 20;

/// What is being done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle,
    Receiving,
    Installing(Option<Progress>),
    Failed(String),
}

/// The daemon's side of updates.
pub(crate) struct Updates {
    folder: PathBuf,
    link: Link,
    phase: Arc<Mutex<Phase>>,
}

impl Updates {
    /// Bundles go to `folder`; the agent is at `link`. What a former run left there is removed.
    pub(crate) fn open(folder: PathBuf, link: Link) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for name in [PART, WHOLE] {
            remove(&folder.join(name))?;
        }
        Ok(Self { folder, link, phase: Arc::new(Mutex::new(Phase::Idle)) })
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().clone()
    }

    /// Forgets why the last bundle failed.
    pub(crate) fn forget(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Failed(_)) {
            *phase = Phase::Idle;
        }
    }

    /// Takes the one place for a bundle.
    pub(crate) fn receive(&self) -> Result<Receiving, Problem> {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Receiving | Phase::Installing(_)) {
            let detail = "another bundle is being installed: ask again when it is done";
            return Err(Problem::new(StatusCode::CONFLICT, "update-state", "Not now", detail));
        }
        *phase = Phase::Receiving;
        Ok(Receiving { folder: self.folder.clone(), link: self.link.clone(), phase: Arc::clone(&self.phase) })
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}

/// The place of a bundle that comes in; free again when it is dropped before the end.
pub(crate) struct Receiving {
    folder: PathBuf,
    link: Link,
    phase: Arc<Mutex<Phase>>,
}

fn set(phase: &Mutex<Phase>, to: Phase) {
    *phase.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

impl Receiving {
    /// Writes the body to the update folder as it comes; gives how many bytes it has.
    pub(crate) async fn take(
        &self,
        body: Body,
        announced: Option<u64>,
        pause: Duration,
    ) -> Result<u64, Problem> {
        let failed = |why: io::Error| Problem::internal(&why);
        let mut file = File::create(self.folder.join(PART)).await.map_err(failed)?;
        let bounds = Bounds {
            what: "bundle",
            folder: &self.folder,
            spared: SPARED,
            largest: LARGEST,
            announced,
            pause,
        };
        incoming::write(body, &mut file, &bounds).await?;
        let whole = self.folder.join(WHOLE);
        fs::rename(self.folder.join(PART), &whole).map_err(failed)?;
        Ok(fs::metadata(&whole).map_err(failed)?.len())
    }

    /// Lets the agent install it, on a thread of its own that outlives the request.
    pub(crate) fn install(self) {
        set(&self.phase, Phase::Installing(None));
        tokio::task::spawn_blocking(move || {
            let path = self.folder.join(WHOLE);
            let tell = &mut |progress| set(&self.phase, Phase::Installing(Some(progress)));
            match self.link.ask(&Request::Install { path: path.clone() }, tell) {
                Ok(_) => {
                    info!("an update waits for its trial");
                    set(&self.phase, Phase::Idle);
                }
                Err(why) => {
                    warn!(%why, "the update was not installed");
                    set(&self.phase, Phase::Failed(why.to_string()));
                }
            }
            if let Err(why) = remove(&path) {
                warn!(%why, "the bundle stays behind");
            }
        });
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *phase == Phase::Receiving {
            *phase = Phase::Idle;
            // The next one overwrites it where this fails.
            let _ = remove(&self.folder.join(PART));
        }
    }
}
