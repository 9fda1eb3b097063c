//! `claimed.toml`, beside the authority: that the box was claimed, durably, and by which key.
//!
//! Invariant: the file says by its existence that the box is claimed, so that nothing that happens to its
//! content opens the box to strangers. The content only serves to repeat the answer to the same key.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tracing::warn;

use crate::{credential::write_private, request::hex};

/// Its name.
const FILE: &str = "claimed.toml";

/// Whether the authority in a folder belongs to somebody. What cannot be found out counts as claimed.
pub(super) fn exists(folder: &Path) -> bool {
    // A link that leads nowhere is there all the same.
    !matches!(fs::symlink_metadata(folder.join(FILE)), Err(why) if why.kind() == io::ErrorKind::NotFound)
}

/// What was claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Record {
    version: u32,
    /// SHA-256 of the administrator's public key, in hex.
    key_sha256: String,
    /// SHA-256 of the code as it was typed, in hex. The code is worth nothing any more.
    code_sha256: String,
    /// The administrator's certificate in PEM.
    pub(super) certificate: String,
}

/// Whether there is a record.
pub(super) enum Kept {
    /// Nobody has claimed the box.
    Nothing,
    /// Somebody has; the record may be beyond reading.
    Claimed(Option<Box<Record>>),
}

impl Record {
    /// A record of a claim.
    pub(super) fn new(key: &[u8; 32], code: &[u8; 32], certificate: String) -> Self {
        Self { version: 1, key_sha256: hex(key), code_sha256: hex(code), certificate }
    }

    /// Whether it is of this key and code.
    pub(super) fn is_of(&self, key: &[u8; 32], code: &[u8; 32]) -> bool {
        let same = |kept: &str, given: &[u8; 32]| kept.as_bytes().ct_eq(hex(given).as_bytes());
        (same(&self.key_sha256, key) & same(&self.code_sha256, code)).into()
    }

    /// Whether it is of this code.
    pub(super) fn is_of_code(&self, code: &[u8; 32]) -> bool {
        self.code_sha256.as_bytes().ct_eq(hex(code).as_bytes()).into()
    }

    /// Keeps it, whole or not at all.
    pub(super) fn save(&self, folder: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        write_private(&folder.join(FILE), &text)
    }

    /// Reads what an authority's folder holds.
    ///
    /// # Errors
    /// Whether there is a record cannot be found out.
    pub(super) fn load(folder: &Path) -> io::Result<Kept> {
        let path = folder.join(FILE);
        // A link that leads nowhere is there all the same.
        match fs::symlink_metadata(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Kept::Nothing),
            Err(why) => return Err(why),
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(|why| why.to_string());
        match text.and_then(|text| toml::from_str::<Self>(&text).map_err(|why| why.message().to_owned())) {
            Ok(record) if record.version == 1 => Ok(Kept::Claimed(Some(Box::new(record)))),
            Ok(record) => {
                warn!(version = record.version, "the record of the claim is of another version");
                Ok(Kept::Claimed(None))
            }
            Err(why) => {
                warn!(%why, "the record of the claim cannot be read; the box stays claimed");
                Ok(Kept::Claimed(None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_of_its_key_and_code_together() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Record::load(folder.path()).unwrap(), Kept::Nothing));
        let record = Record::new(&[1; 32], &[2; 32], "PEM".to_owned());
        record.save(folder.path()).unwrap();
        let Kept::Claimed(Some(read)) = Record::load(folder.path()).unwrap() else { panic!("not kept") };
        assert_eq!(*read, record);
        assert!(read.is_of(&[1; 32], &[2; 32]) && read.is_of_code(&[2; 32]));
        assert!(!read.is_of(&[2; 32], &[2; 32]) && !read.is_of(&[1; 32], &[1; 32]));
    }

    #[test]
    fn a_record_that_is_damaged_leaves_the_box_claimed() {
        let folder = tempfile::tempdir().unwrap();
        for damage in ["", "version = 1", "\0\0\0\0", "version = 2\nkey-sha256 = \"\""] {
            fs::write(folder.path().join(FILE), damage).unwrap();
            assert!(matches!(Record::load(folder.path()).unwrap(), Kept::Claimed(None)), "{damage:?}");
        }
        fs::remove_file(folder.path().join(FILE)).unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join(FILE)).unwrap();
        assert!(matches!(Record::load(folder.path()).unwrap(), Kept::Claimed(None)));
    }
}
