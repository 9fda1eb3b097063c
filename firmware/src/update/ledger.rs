//! What the agent remembers over starts: the version floor, and the slot that waits for its trial.
//!
//! Invariant: the floor never falls, and a slot is pending only while it is whole on the disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{slots::Slot, version::Version};
use crate::credential::write_public;

const FLOOR: &str = "version-floor";
const PENDING: &str = "pending.json";

/// A slot that was written and has not been committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which.
    pub slot: Slot,
    /// What is in it.
    pub version: Version,
    /// Whether a trial of it was begun. Still pending on an ordinary start, it was rolled back.
    pub tried: bool,
}

/// The folder of these facts.
#[derive(Clone, Debug)]
pub struct Ledger(PathBuf);

impl Ledger {
    /// The facts in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// What the system says; so for all that follow.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self(folder.to_owned()))
    }

    fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.0.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// The highest version that was ever committed. One that cannot be read is an error and not
    /// "none": a damaged floor must not let an old version in.
    ///
    /// # Errors
    /// See [`Ledger::open`].
    pub fn floor(&self) -> io::Result<Option<Version>> {
        let text = self.read(FLOOR)?;
        let parse =
            |text: String| text.trim().parse().map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why));
        text.map(parse).transpose()
    }

    /// Raises the floor to `version`, unless it is higher.
    ///
    /// # Errors
    /// See [`Ledger::open`].
    pub fn raise(&self, version: &Version) -> io::Result<()> {
        match self.floor()? {
            Some(floor) if floor >= *version => Ok(()),
            _ => write_public(&self.0.join(FLOOR), &format!("{version}\n")),
        }
    }

    /// The slot that waits. One that cannot be read is none: its slot is written again.
    ///
    /// # Errors
    /// See [`Ledger::open`].
    pub fn pending(&self) -> io::Result<Option<Pending>> {
        Ok(self.read(PENDING)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Notes the slot that waits, or that none does.
    ///
    /// # Errors
    /// See [`Ledger::open`].
    pub fn set_pending(&self, pending: Option<&Pending>) -> io::Result<()> {
        let path = self.0.join(PENDING);
        match pending {
            Some(pending) => write_public(&path, &serde_json::to_string(pending)?),
            None => match fs::remove_file(&path) {
                Ok(()) => fs::File::open(&self.0)?.sync_all(),
                Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(why) => Err(why),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_never_falls_and_a_damaged_one_is_no_permission() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.floor().unwrap(), None);
        ledger.raise(&"1.2".parse().unwrap()).unwrap();
        ledger.raise(&"1.1.9".parse().unwrap()).unwrap();
        assert_eq!(ledger.floor().unwrap().unwrap().to_string(), "1.2");
        fs::write(folder.path().join(FLOOR), "").unwrap();
        assert!(ledger.floor().is_err() && ledger.raise(&"9.9".parse().unwrap()).is_err());
    }
}
