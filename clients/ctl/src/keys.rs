//! Keys that are made here and never leave: a certificate is asked for with a request that they sign.
//!
//! Invariant: nothing that exists is overwritten, and a key is on the disk before anybody is asked.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use crate::error::CtlError;

/// A request (PKCS#10 in PEM) that shows the key and says nothing else.
pub(crate) fn request(pair: &KeyPair) -> Result<String, CtlError> {
    let request = CertificateParams::default().serialize_request(pair).and_then(|request| request.pem());
    request.map_err(|error| CtlError::System(error.to_string()))
}

/// The key of a request that was not answered, or a new one; on the disk either way.
pub(crate) fn keep_key(folder: &Path, path: &PathBuf) -> Result<KeyPair, CtlError> {
    let bad =
        |reason: &dyn std::fmt::Display| CtlError::File { path: path.clone(), reason: reason.to_string() };
    match fs::read_to_string(path) {
        Ok(pem) => return KeyPair::from_pem(&pem).map_err(|error| bad(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(bad(&error)),
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| bad(&error))?;
    let pair = KeyPair::generate().map_err(|error| CtlError::System(error.to_string()))?;
    write_new(path, pair.serialize_pem().as_bytes(), 0o600)?;
    Ok(pair)
}

/// Writes a file that is not there yet, through to the disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CtlError> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| CtlError::File { path: path.to_owned(), reason: error.to_string() })
}

/// Writes a file that only its owner may read, over what is there, whole or not at all.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), CtlError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let bad = |error: io::Error| CtlError::File { path: path.to_owned(), reason: error.to_string() };
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(bad(error)),
        _ => {}
    }
    write_new(&beside, bytes, 0o600)?;
    fs::rename(&beside, path).map_err(bad)
}
