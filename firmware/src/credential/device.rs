//! The device key: what the box signs statements about its own audit with. It lies beside the authority.
//!
//! Invariant: readable by its owner only; made once, and never in a backup.

use std::{fs, io, path::Path};

use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use super::{authority::AuthorityError, write_private};
use crate::audit::DeviceKey;

/// Its file in the authority's folder.
const FILE: &str = "device.key";

/// The device key of the authority in `folder`; makes it when there is none.
///
/// # Errors
/// [`AuthorityError`] when the file cannot be read or written, or holds no such key.
pub fn device_key(folder: &Path) -> Result<DeviceKey, AuthorityError> {
    let path = folder.join(FILE);
    let file = |why: io::Error| AuthorityError::File { path: path.clone(), why };
    if !path.exists() {
        let pem = zeroize::Zeroizing::new(KeyPair::generate_for(&PKCS_ED25519)?.serialize_pem());
        write_private(&path, &pem).map_err(file)?;
    }
    let pem = zeroize::Zeroizing::new(fs::read(&path).map_err(file)?);
    let no_key =
        || file(io::Error::other("it holds no Ed25519 key in PKCS #8; a new one is made when it is gone"));
    let key = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).map_err(|_| no_key())?;
    Ok(DeviceKey::new(pair))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_device_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = device_key(folder.path()).unwrap();
        assert_eq!(device_key(folder.path()).unwrap().public(), first.public());
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "no key").unwrap();
        let why = device_key(folder.path()).err().unwrap().to_string();
        assert!(why.contains("device.key") && why.contains("Ed25519"), "{why}");
    }
}
