//! Keys that are made here and never leave: a certificate is asked for with a request that they sign.
//!
//! Invariant: nothing that exists is overwritten, and a key is on the disk before anybody is asked.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use crate::error::CtlError;

/// What the names of the next certificate and key end with.
const NEXT: &str = ".next";

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
    replace(path, bytes, None)
}

/// The same for whoever may read what is there `like` it.
fn replace(path: &Path, bytes: &[u8], like: Option<&Metadata>) -> Result<(), CtlError> {
    let beside = behind(path, ".new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(bad(&beside)(error)),
        _ => {}
    }
    write_new(&beside, bytes, 0o600)?;
    like.map_or(Ok(()), |like| given_to(&beside, like))?;
    fs::rename(&beside, path).map_err(bad(path))?;
    durable(path)
}

/// Gives a file the owner and the mode of another.
fn given_to(path: &Path, like: &Metadata) -> Result<(), CtlError> {
    let own = fs::metadata(path).map_err(bad(path))?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        chown(path, Some(like.uid()), Some(like.gid())).map_err(bad(path))?;
    }
    fs::set_permissions(path, Permissions::from_mode(like.mode() & 0o777)).map_err(bad(path))
}

/// Makes durable that a name was given.
fn durable(path: &Path) -> Result<(), CtlError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(bad(folder))
}

fn behind(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}

fn bad(path: &Path) -> impl Fn(io::Error) -> CtlError {
    let path = path.to_owned();
    move |error| CtlError::File { path: path.clone(), reason: error.to_string() }
}

/// Where the next key and its certificate lie until they are in the place of the ones before. Once the certificate is there,
/// both are, and whoever comes next puts them there.
pub(crate) struct Next<'a> {
    cert: &'a Path,
    key: &'a Path,
}

impl<'a> Next<'a> {
    pub(crate) fn of(cert: &'a Path, key: &'a Path) -> Self {
        Self { cert, key }
    }

    /// The key of a renewal that was not answered, or a new one; on the disk either way.
    pub(crate) fn key(&self) -> Result<KeyPair, CtlError> {
        let folder = self.key.parent().filter(|folder| !folder.as_os_str().is_empty());
        let beside = behind(self.key, NEXT);
        let pair = keep_key(folder.unwrap_or(Path::new(".")), &beside)?;
        given_to(&beside, &fs::metadata(self.key).map_err(bad(self.key))?)?;
        durable(&beside)?;
        Ok(pair)
    }

    /// Keeps the certificate of that key, and puts both in the place of the ones before.
    pub(crate) fn keep(&self, certificate: &str) -> Result<(), CtlError> {
        let like = fs::metadata(self.cert).map_err(bad(self.cert))?;
        replace(&behind(self.cert, NEXT), certificate.as_bytes(), Some(&like))?;
        self.finish()
    }

    /// Puts them there, if it was begun: the key first, which may be there already.
    pub(crate) fn finish(&self) -> Result<(), CtlError> {
        let next = behind(self.cert, NEXT);
        match fs::exists(&next) {
            Ok(true) => {}
            // Nothing was begun, or it is said by who reads the certificate.
            Ok(false) | Err(_) => return Ok(()),
        }
        match fs::rename(behind(self.key, NEXT), self.key) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(bad(self.key)(error)),
            _ => durable(self.key)?,
        }
        fs::rename(&next, self.cert).map_err(bad(self.cert))?;
        durable(self.cert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_that_was_cut_anywhere_leaves_a_pair_that_fits_once_it_is_finished() {
        // What was done before the cut: nothing, the certificate kept, the key renamed, both.
        for done in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let [cert, key] = ["a.pem", "a.key"].map(|name| folder.path().join(name));
            for (path, text) in [(&cert, "old cert"), (&key, "old key"), (&behind(&key, NEXT), "new key")] {
                write_new(path, text.as_bytes(), 0o600).unwrap();
            }
            if done > 0 {
                write_new(&behind(&cert, NEXT), b"new cert", 0o600).unwrap();
            }
            if done > 1 {
                fs::rename(behind(&key, NEXT), &key).unwrap();
            }
            if done > 2 {
                fs::rename(behind(&cert, NEXT), &cert).unwrap();
            }
            Next::of(&cert, &key).finish().unwrap();
            let age = if done == 0 { "old" } else { "new" };
            assert_eq!(fs::read_to_string(&cert).unwrap(), format!("{age} cert"), "{done}");
            assert_eq!(fs::read_to_string(&key).unwrap(), format!("{age} key"), "{done}");
        }
    }

    #[test]
    fn what_comes_next_is_for_whom_the_one_before_was() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["a.pem", "a.key"].map(|name| folder.path().join(name));
        write_new(&cert, b"cert", 0o644).unwrap();
        write_new(&key, b"key", 0o640).unwrap();
        let next = Next::of(&cert, &key);
        let pair = next.key().unwrap();
        // Nobody answered: the same again.
        assert_eq!(next.key().unwrap().serialize_pem(), pair.serialize_pem());
        next.keep("another").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&cert), mode(&key)), (0o644, 0o640));
        assert_eq!(fs::read_to_string(&key).unwrap(), pair.serialize_pem());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
