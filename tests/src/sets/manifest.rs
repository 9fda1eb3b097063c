//! `manifest.toml`: what the prints of a folder were made from, and how to tell that they are intact.

use std::{fmt::Write as _, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("cannot read the manifest: {0}")]
    File(#[from] std::io::Error),
    /// It is no manifest.
    #[error("not a manifest: {0}")]
    Form(#[from] toml::de::Error),
}

/// The manifest of a folder of synthetic prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Version of the generator, see [`crate::synthetic::VERSION`].
    pub generator: u32,
    /// Name of the conditions: `good`, `typical` or `hard`.
    pub conditions: String,
    /// Pixels per inch.
    pub dpi: u16,
    /// The prints, by name.
    #[serde(rename = "print")]
    pub prints: Vec<PrintEntry>,
}

/// One print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PrintEntry {
    /// Name of the file in the folder.
    pub file: String,
    /// Seed of the finger.
    pub seed: u64,
    /// Number of the impression.
    pub impression: u64,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// True minutiae in it.
    pub minutiae: usize,
    /// SHA-256 of the file.
    pub sha256: String,
    /// SHA-256 of the grey levels, row by row: the same whatever packs them.
    pub pixels_sha256: String,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] when the file is missing or is no manifest.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        Ok(toml::from_str(&std::fs::read_to_string(path)?)?)
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_that_of_the_standard() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
