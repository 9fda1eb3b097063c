//! The files of keys: the wrapped domain key and the master key, each with a copy.
//!
//! Invariant: of a file and its copy one is whole at every moment; the later one of two counts.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::store::{
    StoreError,
    crc::checksum,
    files, io_error,
    passphrase::Derivation,
    sealed::{KEY, SealingKey},
    tpm::{Sealed, Tpm},
};

/// Below the store's folder.
const FOLDER: &str = "keys";
const DOMAIN: &str = "domain.json";
const MASTER: &str = "master";
const PAGES: &str = "pages";
/// The same once more, should one of the two be damaged.
pub(super) const COPY: &str = ".copy";
pub(super) const VERSION: u32 = 1;
/// Bytes of `domain.json`.
const LONGEST: u64 = 4096;

/// `keys/domain.json`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Wrapped {
    pub(super) version: u32,
    /// The store's own id: what is sealed for another store does not open in this one.
    pub(super) store: Uuid,
    pub(super) master: Wrapping,
    /// The domain key, sealed with the master key, in base64.
    pub(super) domain: String,
    /// The one before, while keys are rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<String>,
    /// Grows with every change: of the file and its copy, the later one counts.
    #[serde(default)]
    pub(super) generation: u64,
    /// CRC-32 of all this with an empty `check`; nothing in a file of format 2.
    #[serde(default)]
    pub(super) check: String,
}

impl Wrapped {
    /// What `check` has to be.
    pub(super) fn sum(&self) -> Result<String, StoreError> {
        let unchecked = Self { check: String::new(), ..self.clone() };
        let text = serde_json::to_vec(&unchecked).map_err(|why| StoreError::Io(why.to_string()))?;
        Ok(format!("{:08x}", checksum(&text)))
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(super) enum Wrapping {
    File {},
    Passphrase(Derivation),
    Tpm(Sealed),
}

/// Where keys lie.
#[derive(Clone, Debug)]
pub(in crate::store) struct Place {
    pub(super) folder: PathBuf,
    pub(super) master: PathBuf,
    pub(super) tpm: Tpm,
}

impl Place {
    /// Of the store in a folder; `master` is the file of the master key when it is to lie elsewhere.
    pub(in crate::store) fn of(store: &Path, master: Option<&Path>) -> Self {
        let folder = store.join(FOLDER);
        let master = master.map_or_else(|| folder.join(MASTER), Path::to_owned);
        Self { folder, master, tpm: Tpm::default() }
    }

    /// With the TPM that seals the master key, when it is to.
    pub(in crate::store) fn with_tpm(self, tpm: Tpm) -> Self {
        Self { tpm, ..self }
    }

    pub(super) fn domain(&self) -> PathBuf {
        self.folder.join(DOMAIN)
    }

    /// Where key pages lie.
    pub(super) fn pages(&self) -> PathBuf {
        self.folder.join(PAGES)
    }

    /// The file or its copy: whichever is whole, and the later one of two.
    pub(super) fn wrapped(&self) -> Result<Wrapped, StoreError> {
        let path = self.domain();
        let (first, second) = (read(&path), read(&files::beside(&path, COPY)));
        match (first, second) {
            (Ok(first), Ok(second)) if second.generation > first.generation => Ok(second),
            (Ok(first), _) => Ok(first),
            (Err(_), Ok(second)) => {
                warn!(file = %path.display(), "the file of the domain key is damaged, and is made anew from its copy");
                Ok(second)
            }
            (Err(why), Err(_)) => Err(why),
        }
    }

    /// Makes file and copy say this.
    pub(super) fn write(&self, wrapped: &Wrapped) -> Result<(), StoreError> {
        let text = serde_json::to_vec(wrapped).map_err(|why| StoreError::Io(why.to_string()))?;
        let path = self.domain();
        for path in [files::beside(&path, COPY), path] {
            if fs::read(&path).is_ok_and(|there| there == text) {
                continue;
            }
            files::replace(&path, &text, 0o600).map_err(|why| io_error(&why))?;
        }
        Ok(())
    }

    /// The file of the master key, and its copy.
    pub(super) fn masters(&self) -> [PathBuf; 2] {
        [self.master.clone(), files::beside(&self.master, COPY)]
    }

    /// Refuses files of the master key that others may read.
    pub(super) fn check_masters(&self) -> Result<(), StoreError> {
        for path in self.masters() {
            if fs::metadata(&path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0) {
                return Err(StoreError::MasterKey { path, why: "others may read it: chmod 400".to_owned() });
            }
        }
        Ok(())
    }

    /// The master key in one of its files.
    pub(super) fn master_key(&self, path: &Path) -> Result<SealingKey, StoreError> {
        let fails = |why: String| StoreError::MasterKey { path: path.to_owned(), why };
        let bytes = Zeroizing::new(fs::read(path).map_err(|why| fails(why.to_string()))?);
        let key = <[u8; KEY]>::try_from(bytes.as_slice());
        SealingKey::new(Zeroizing::new(key.map_err(|_| fails(format!("it has not {KEY} bytes")))?))
    }

    /// Makes both files hold this master key.
    pub(super) fn write_master(&self, key: &SealingKey) -> Result<(), StoreError> {
        for path in self.masters() {
            if fs::read(&path).is_ok_and(|there| there == key.bytes()) {
                continue;
            }
            files::replace(&path, key.bytes(), 0o400).map_err(|why| io_error(&why))?;
        }
        Ok(())
    }

    /// Removes the master key.
    pub(super) fn shred_master(&self) -> Result<(), StoreError> {
        self.masters().iter().try_for_each(|path| files::shred(path)).map_err(|why| io_error(&why))
    }
}

/// Reads a file of the domain key.
fn read(path: &Path) -> Result<Wrapped, StoreError> {
    let damaged = || StoreError::Damaged { place: path.display().to_string() };
    if fs::metadata(path).map_err(|why| io_error(&why))?.len() > LONGEST {
        return Err(damaged());
    }
    let text = fs::read(path).map_err(|why| io_error(&why))?;
    let wrapped: Wrapped = serde_json::from_slice(&text).map_err(|_| damaged())?;
    match wrapped.version {
        0 => Err(damaged()),
        VERSION if wrapped.check.is_empty() && wrapped.generation == 0 => Ok(wrapped),
        VERSION if wrapped.check == wrapped.sum()? => Ok(wrapped),
        VERSION => Err(damaged()),
        version => Err(StoreError::Newer { version }),
    }
}
