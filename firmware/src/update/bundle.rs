//! A bundle as RAUC lays it out: payload, hash tree, signature, and the signature's size in the last
//! eight bytes. Reading starts at the end, and the signature comes first.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{
    manifest::{Manifest, ManifestError},
    signature::{self, Keyring, Moment, SignatureError},
    verity::{BLOCK, Verified, VerityError},
};

/// Bytes of the size at the end.
const TAIL: u64 = 8;
/// No bundle of ours is larger; the API takes none either.
pub const LARGEST: u64 = 256 << 20;

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is none, or a part of one.
    #[error("this is no bundle, or not the whole of one")]
    NotABundle,
    /// See there.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// See there.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// See there.
    #[error(transparent)]
    Verity(#[from] VerityError),
}

/// A bundle whose signature holds. Its payload has not been looked at.
#[derive(Debug)]
pub struct Bundle {
    file: File,
    manifest: Manifest,
    payload: u64,
}

impl Bundle {
    /// Reads the end of a file and verifies the signature there.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn open(file: File, keyring: &Keyring, moment: Moment) -> Result<Self, BundleError> {
        let size = file.metadata()?.len();
        if !(TAIL + 1..=LARGEST).contains(&size) {
            return Err(BundleError::NotABundle);
        }
        let mut tail = [0; TAIL as usize];
        file.read_exact_at(&mut tail, size - TAIL)?;
        let length = u64::from_be_bytes(tail);
        if length == 0 || length > signature::LARGEST as u64 || length > size - TAIL {
            return Err(BundleError::NotABundle);
        }
        let end = size - TAIL - length;
        let mut der = vec![0; usize::try_from(length).map_err(|_| BundleError::NotABundle)?];
        file.read_exact_at(&mut der, end)?;
        let manifest = Manifest::parse(&signature::verify(&der, keyring, moment)?)?;
        let payload = end.checked_sub(manifest.verity.size).ok_or(VerityError::Size)?;
        if !payload.is_multiple_of(BLOCK as u64) {
            return Err(VerityError::Size.into());
        }
        Ok(Self { file, manifest, payload })
    }

    /// What was signed.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The payload, to be read through its hash tree, which is checked here.
    ///
    /// # Errors
    /// [`VerityError`].
    pub fn payload(&self) -> Result<Verified<'_>, VerityError> {
        let verity = &self.manifest.verity;
        Verified::open(&self.file, self.payload, verity.size, verity.salt, &verity.hash)
    }
}
