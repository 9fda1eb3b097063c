//! How a store is opened: which format it has, whether it gets a later one, and whether it waits for a
//! passphrase.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tracing::{info, warn};

use super::{
    DiskStore, KeyError, Store, StoreError, Tpm,
    disk::{Options, lock},
    earlier::EarlierStore,
    format::{self, Format},
    io_error,
    journal::Sizes,
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
    pub(super) sizes: Sizes,
}

/// A store that was found.
pub enum Opened {
    /// It is open.
    Ready(Box<DiskStore>),
    /// It is open, and has the format of a version before, which may still need it.
    Earlier(Box<dyn Store>),
    /// It waits for its passphrase.
    Locked(Box<LockedStore>),
}

/// A store that waits for its passphrase.
pub struct LockedStore {
    opening: Opening,
    format: Format,
    keys: Locked,
}

impl Opening {
    /// Of the store in a folder; if there is none, one is made.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ballast: false,
            master_key: None,
            tpm: Tpm::default(),
            hold: false,
            sizes: Sizes::default(),
        }
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

    /// The same of another folder, for what is to take its place.
    pub(super) fn of(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ballast: false, ..self.clone() }
    }

    pub(super) fn place(&self) -> Place {
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
            Some(Format::Plain) => self.bring_up(None, tell),
            Some(format) => match Keys::find(self.place())? {
                Found::Open(keys) if format == Format::Journal => self.open_journal(keys).map(Opened::Ready),
                Found::Open(keys) => self.bring_up(Some(keys), tell),
                Found::Locked(keys) => {
                    Ok(Opened::Locked(Box::new(LockedStore { opening: self.clone(), format, keys })))
                }
            },
            // The version before cannot read what it does not know.
            None if self.hold => {
                format::mark(&self.folder, Format::Plain)?;
                self.open_earlier(None)
            }
            None => self.create(),
        }
    }

    fn open_earlier(&self, keys: Option<Keys>) -> Result<Opened, StoreError> {
        Ok(Opened::Earlier(Box::new(EarlierStore::open_in(&self.folder, self.ballast, keys)?)))
    }

    pub(super) fn open_journal(&self, keys: Keys) -> Result<Box<DiskStore>, StoreError> {
        let options = Options { folder: &self.folder, ballast: self.ballast, sizes: self.sizes };
        Ok(Box::new(DiskStore::open_in(&options, keys)?))
    }

    /// Opens a store of an earlier format, in this version's unless that is held.
    fn bring_up(&self, keys: Option<Keys>, tell: &mut dyn FnMut(u64, u64)) -> Result<Opened, StoreError> {
        if self.hold {
            return self.open_earlier(keys);
        }
        let had_keys = keys.is_some();
        match migrate::migrate(self, keys, tell) {
            Ok(()) => {}
            Err(failed) => {
                let (why, keys) = *failed;
                warn!(%why, "the store keeps the format of the version before");
                migrate::give_up(&self.folder)?;
                if had_keys == keys.is_some() {
                    return self.open_earlier(keys);
                }
                return Err(why);
            }
        }
        match Keys::find(self.place())? {
            Found::Open(keys) => self.open_journal(keys).map(Opened::Ready),
            Found::Locked(keys) => Ok(Opened::Locked(Box::new(LockedStore {
                opening: self.clone(),
                format: Format::Journal,
                keys,
            }))),
        }
    }

    /// Gives up what is damaged at the end of a store's journal, and what is behind it. The files as they were lie
    /// aside, and are named. A store with a passphrase is given it.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Missing`] when it waits for a passphrase, [`StoreError::InUse`] when it is open. Also
    /// when something else is damaged.
    pub fn repair(&self, passphrase: Option<&str>) -> Result<Vec<PathBuf>, KeyError> {
        if !self.folder.is_dir() {
            return Err(StoreError::Io(format!("there is no store at {}", self.folder.display())).into());
        }
        // Before its keys are looked for, which may put files right.
        let _lock = lock(&self.folder)?;
        if format::read(&self.folder)? != Some(Format::Journal) {
            let why = format!("{} holds no store with a journal", self.folder.display());
            return Err(StoreError::Io(why).into());
        }
        let keys = match Keys::find(self.place())? {
            Found::Open(keys) => keys,
            Found::Locked(locked) => locked.unlock(passphrase.ok_or(KeyError::Missing)?)?,
        };
        let options = Options { folder: &self.folder, ballast: false, sizes: self.sizes };
        Ok(DiskStore::repair(&options, &keys)?)
    }

    /// A store without values: its keys first, then its journal, then its mark.
    fn create(&self) -> Result<Opened, StoreError> {
        let keys = Keys::create(self.place())?;
        let store = self.open_journal(keys)?;
        format::mark(&self.folder, Format::Journal)?;
        info!("made a store and its keys");
        Ok(Opened::Ready(store))
    }
}

impl LockedStore {
    /// Opens it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn unlock(&self, passphrase: &str) -> Result<Box<dyn Store>, KeyError> {
        let keys = self.keys.unlock(passphrase)?;
        let opening = &self.opening;
        if self.format == Format::Journal {
            return Ok(opening.open_journal(keys)?);
        }
        match opening.bring_up(Some(keys), &mut |_, _| {})? {
            Opened::Ready(store) => Ok(store),
            Opened::Earlier(store) => Ok(store),
            // Migrated: the same passphrase opens it.
            Opened::Locked(locked) => Ok(opening.open_journal(locked.keys.unlock(passphrase)?)?),
        }
    }
}
