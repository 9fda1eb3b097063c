//! The index: sled with every live value, made from the journal and thrown away when in doubt.
//!
//! Invariant: sled opens only files that are byte for byte as it closed them, at the journal's present end. What a
//! start finds otherwise (after a kill, a loss of power, a change of a bit) is removed, and made anew from the journal.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{digest, hmac};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{StoreError, Trees, files, io_error, sealed::DomainKey};
use crate::request::hex;

const FOLDER: &str = "index";
/// Says of the folder that it was closed, and how.
const CLOSED: &str = "index.closed";
/// Bytes of it.
const LONGEST: u64 = 64 << 10;
/// How long sled's threads may take to let go of what was closed.
const CLOSING: Duration = Duration::from_secs(10);

/// Where the index of a store is.
pub(super) struct Index {
    folder: PathBuf,
    closed: PathBuf,
    key: Mutex<hmac::Key>,
}

/// What authenticates how an index was closed.
fn key_of(domain: &DomainKey) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, domain.key.bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"authenteon index").as_ref())
}

/// How the index was closed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Closed {
    /// The journal's last sequence number then.
    sequence: u64,
    /// The journal's last link then.
    link: String,
    files: Vec<ClosedFile>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClosedFile {
    name: String,
    length: u64,
    sha256: String,
}

/// What was found of an index.
pub(super) enum Found {
    /// It was closed at the journal's end; its files are still to be compared.
    Closed(ClosedIndex),
    /// None that can be used.
    Nothing,
}

/// An index that was closed.
pub(super) struct ClosedIndex(Closed);

impl ClosedIndex {
    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.0.files.iter().map(|file| file.length).sum()
    }
}

impl Index {
    /// Of the store in a folder.
    pub(super) fn of(store: &Path, domain: &DomainKey) -> Self {
        Self { folder: store.join(FOLDER), closed: store.join(CLOSED), key: Mutex::new(key_of(domain)) }
    }

    /// The store has another domain key.
    pub(super) fn use_domain(&self, domain: &DomainKey) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key_of(domain);
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is there, at the journal's end. What says how it was closed is removed: from now on only the next close
    /// says so.
    ///
    /// # Errors
    /// [`StoreError::Behind`] when it was closed at a later end than the journal has.
    pub(super) fn find(&self, sequence: u64, link: &[u8; 16]) -> Result<Found, StoreError> {
        let read = self.read();
        if let Some(closed) = &read
            && closed.sequence > sequence
        {
            return Err(StoreError::Behind { found: sequence, known: closed.sequence });
        }
        files::remove(&self.closed)
            .and_then(|()| files::sync_folder_of(&self.closed))
            .map_err(|why| io_error(&why))?;
        Ok(match read {
            Some(closed) if closed.sequence == sequence && closed.link == hex(link) => {
                Found::Closed(ClosedIndex(closed))
            }
            _ => Found::Nothing,
        })
    }

    fn read(&self) -> Option<Closed> {
        if fs::metadata(&self.closed).ok()?.len() > LONGEST {
            return None;
        }
        let text = fs::read_to_string(&self.closed).ok()?;
        let (closed, check) = text.rsplit_once('\n')?;
        let given = self.check(closed.as_bytes());
        (given == check).then(|| serde_json::from_str(closed).ok()).flatten()
    }

    fn check(&self, text: &[u8]) -> String {
        hex(hmac::sign(&self.key.lock().unwrap_or_else(PoisonError::into_inner), text).as_ref())
    }

    /// Opens an index whose files are as they were closed; `None` when they are not.
    pub(super) fn reopen(&self, closed: &ClosedIndex) -> Option<Trees> {
        match inventory(&self.folder) {
            Ok(files) if files == closed.0.files => {}
            Ok(_) => {
                warn!("the index is not as it was closed: it is made anew from the journal");
                return None;
            }
            Err(why) => {
                warn!(%why, "the index cannot be read: it is made anew from the journal");
                return None;
            }
        }
        match Trees::open(&self.folder) {
            Ok(trees) => Some(trees),
            Err(why) => {
                warn!(%why, "the index cannot be opened: it is made anew from the journal");
                None
            }
        }
    }

    /// An empty one.
    pub(super) fn make(&self) -> Result<Trees, StoreError> {
        self.remove()?;
        fs::create_dir(&self.folder).map_err(|why| io_error(&why))?;
        Trees::open(&self.folder)
    }

    /// Removes what is there, and what says how it was closed.
    pub(super) fn give_up(&self) -> Result<(), StoreError> {
        files::remove(&self.closed).map_err(|why| io_error(&why))?;
        self.remove()
    }

    /// Removes what is there.
    fn remove(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.folder) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(io_error(&why)),
            _ => Ok(()),
        }
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        fn sum(folder: &Path) -> io::Result<u64> {
            let mut bytes = 0;
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let about = entry.metadata()?;
                bytes += if about.is_dir() { sum(&entry.path())? } else { about.len() };
            }
            Ok(bytes)
        }
        sum(&self.folder).unwrap_or(0)
    }

    /// Closes it, and says how it was closed: the next start need not make it anew.
    pub(super) fn close(&self, trees: Trees, sequence: u64, link: &[u8; 16]) -> Result<(), StoreError> {
        trees.flush()?;
        drop(trees);
        let fails = |why: io::Error| io_error(&why);
        closed(&self.folder).map_err(fails)?;
        let files = inventory(&self.folder).map_err(fails)?;
        let closed = Closed { sequence, link: hex(link), files };
        let text = serde_json::to_string(&closed).map_err(|why| StoreError::Io(why.to_string()))?;
        let text = format!("{text}\n{}", self.check(text.as_bytes()));
        files::replace(&self.closed, text.as_bytes(), 0o600).map_err(fails)?;
        info!(sequence, "the index is closed");
        Ok(())
    }
}

/// The files below a folder, with what is in them.
fn inventory(folder: &Path) -> io::Result<Vec<ClosedFile>> {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<ClosedFile>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                walk(&entry.path(), &format!("{name}/"), found)?;
            } else {
                let (length, sha256) = sum(&entry.path())?;
                found.push(ClosedFile { name, length, sha256 });
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn sum(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut sum = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((length, hex(sum.finish().as_ref())));
        }
        length += read as u64;
        sum.update(buffer.get(..read).unwrap_or_default());
    }
}

/// Waits until sled's threads have let go of what is in a folder: they write by its name.
pub(super) fn closed(folder: &Path) -> io::Result<()> {
    let file = File::open(folder.join("db"))?;
    let patience = Instant::now() + CLOSING;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < patience => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(why) => return Err(why.into()),
        }
    }
}
