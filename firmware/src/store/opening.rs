//! How a store is opened: which format it has, whether it gets a later one, and whether it waits for a
//! passphrase.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tracing::{info, warn};

use super::{
    KeyError, SledStore, StoreError, Tpm,
    format::{self, Format},
    io_error,
    keys::{Found, Keys, Locked, Place},
    migrate,
};

/// Where a store is, and what may be done to it.
#[derive(Clone, Debug)]
pub struct Opening {
    pub(super) folder: PathBuf,
    pub(super) ballast: bool,
    pub(super) master_key: Option<PathBuf>,
    tpm: Tpm,
    hold: bool,
}

/// A store that was found.
pub enum Opened {
    /// It is open.
    Ready(Box<SledStore>),
    /// It waits for its passphrase.
    Locked(Box<LockedStore>),
}

/// A store that waits for its passphrase.
pub struct LockedStore {
    opening: Opening,
    keys: Locked,
}

impl Opening {
    /// Of the store in a folder; if there is none, one is made.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let tpm = Tpm::default();
        Self { folder: folder.to_owned(), ballast: false, master_key: None, tpm, hold: false }
    }

    /// Some of the disk is kept, to be given up when it is full.
    #[must_use]
    pub fn with_ballast(mut self, ballast: bool) -> Self {
        self.ballast = ballast;
        self
    }

    /// The file of the master key, when it is not to lie beside the store.
    #[must_use]
    pub fn with_master_key(mut self, path: Option<PathBuf>) -> Self {
        self.master_key = path;
        self
    }

    /// The TPM that seals the master key, when it is to.
    #[must_use]
    pub fn with_tpm(mut self, tpm: Tpm) -> Self {
        self.tpm = tpm;
        self
    }

    /// Whether the format stays what it is: the version before may have to read it.
    #[must_use]
    pub fn holding(mut self, hold: bool) -> Self {
        self.hold = hold;
        self
    }

    fn place(&self) -> Place {
        Place::of(&self.folder, self.master_key.as_deref()).with_tpm(self.tpm.clone())
    }

    /// Opens it, or makes it, and waits for a moment while another still holds it. A store of the format before
    /// is migrated unless that is held; `tell` is told how far that is, in values of how many.
    ///
    /// # Errors
    /// [`StoreError`]. A store of a later version keeps every byte.
    pub fn open(&self, tell: &mut dyn FnMut(u64, u64)) -> Result<Opened, StoreError> {
        fs::create_dir_all(&self.folder).map_err(|why| io_error(&why))?;
        let found = format::read(&self.folder)?;
        migrate::tidy(&self.folder, found)?;
        match found {
            Some(Format::Sealed) => self.open_sealed(),
            Some(Format::Plain) if self.hold => self.open_plain(),
            Some(Format::Plain) => match migrate::migrate(self, tell) {
                Ok(()) => self.open_sealed(),
                Err(why) => {
                    warn!(%why, "the store keeps the format of the version before, without encryption");
                    migrate::give_up(&self.folder)?;
                    self.open_plain()
                }
            },
            // The version before cannot read what it does not know.
            None if self.hold => {
                format::mark(&self.folder, Format::Plain)?;
                self.open_plain()
            }
            None => self.create(),
        }
    }

    pub(super) fn open_plain(&self) -> Result<Opened, StoreError> {
        Ok(Opened::Ready(Box::new(SledStore::open_in(&self.folder, self.ballast, None)?)))
    }

    fn open_sealed(&self) -> Result<Opened, StoreError> {
        match Keys::find(self.place())? {
            Found::Open(keys) => {
                Ok(Opened::Ready(Box::new(SledStore::open_in(&self.folder, self.ballast, Some(keys))?)))
            }
            Found::Locked(keys) => Ok(Opened::Locked(Box::new(LockedStore { opening: self.clone(), keys }))),
        }
    }

    /// A store without values: its keys first, then its mark, then its file.
    fn create(&self) -> Result<Opened, StoreError> {
        let keys = Keys::create(self.place())?;
        format::mark(&self.folder, Format::Sealed)?;
        info!("made a store and its keys");
        Ok(Opened::Ready(Box::new(SledStore::open_in(&self.folder, self.ballast, Some(keys))?)))
    }
}

impl LockedStore {
    /// Opens it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn unlock(&self, passphrase: &str) -> Result<SledStore, KeyError> {
        let keys = self.keys.unlock(passphrase)?;
        Ok(SledStore::open_in(&self.opening.folder, self.opening.ballast, Some(keys))?)
    }
}
