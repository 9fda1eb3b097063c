//! The device key: what the box signs statements about its own audit with. It lies beside the authority.
//!
//! Its certificate is of the box's authority, so that whoever knows the authority knows whose signature it is.
//!
//! Invariant: readable by its owner only; made once, and never in a backup. Its certificate is good for no connection.

use std::{fs, io, path::Path};

use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use tracing::warn;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{
    authority::{AuthorityError, certify_device},
    write_private, write_public,
};
use crate::audit::DeviceKey;

/// Its file in the authority's folder.
const FILE: &str = "device.key";
/// Its certificate's.
const CERTIFICATE: &str = "device.pem";

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
    let text = std::str::from_utf8(&pem).map_err(|_| no_key())?;
    let certificate = certificate(folder, &KeyPair::from_pem(text)?);
    // Statements hold without it.
    let certificate = certificate.map_err(|why| warn!(%why, "the device key is not certified")).ok();
    Ok(DeviceKey::new(pair).certified(certificate))
}

/// The certificate of that key; makes it when there is none of it.
fn certificate(folder: &Path, key: &KeyPair) -> Result<String, AuthorityError> {
    let path = folder.join(CERTIFICATE);
    let file = |why: io::Error| AuthorityError::File { path: path.clone(), why };
    match fs::read_to_string(&path) {
        Ok(pem) if is_of(&pem, key) => return Ok(pem),
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(file(why)),
        _ => {}
    }
    let pem = certify_device(folder, key)?;
    write_public(&path, &pem).map_err(file)?;
    Ok(pem)
}

fn is_of(pem: &str, key: &KeyPair) -> bool {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok();
    let read = der.as_ref().and_then(|der| X509Certificate::from_der(der).ok());
    read.is_some_and(|(_, read)| *read.public_key().subject_public_key.data == *key.public_key_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;
    use crate::credential::authority::Authority;

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

    #[test]
    fn a_device_key_has_a_certificate_of_the_authority_for_documents_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(device_key(folder.path()).unwrap().certificate(), None, "there is no authority");
        Authority::init(&folder.path().join("pki"), &["localhost".to_owned()]).unwrap();
        let folder = folder.path().join("pki");
        let key = device_key(&folder).unwrap();
        let pem = key.certificate().unwrap().to_owned();
        assert_eq!(device_key(&folder).unwrap().certificate(), Some(pem.as_str()));
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, read) = X509Certificate::from_der(&der).unwrap();
        let authority = CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap();
        let (_, authority) = X509Certificate::from_der(&authority).unwrap();
        assert_eq!(read.issuer(), authority.subject());
        let usage = read.extended_key_usage().unwrap().unwrap().value;
        assert!(!usage.any && !usage.server_auth && !usage.client_auth);
        assert_eq!(usage.other[0].to_id_string(), "1.3.6.1.5.5.7.3.36");
        assert_eq!(BASE64_STANDARD.encode(&*read.public_key().subject_public_key.data), key.public());
        // Of another key it is another one.
        fs::remove_file(folder.join(FILE)).unwrap();
        assert_ne!(device_key(&folder).unwrap().certificate(), Some(pem.as_str()));
    }
}
