//! A key for one certificate.
//!
//! Invariant: it is RSA of 2048 bits, which every Kerberos server takes, and is printed nowhere.

use std::fmt;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use sha2::{Digest, Sha256};

use crate::error::LoginError;

/// A key.
pub struct Key(KeyPair);

impl Key {
    /// Makes one, on a thread that may take its time: some tenths of a second.
    ///
    /// # Errors
    /// [`LoginError::Key`].
    pub async fn make() -> Result<Self, LoginError> {
        let made = || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        let made = tokio::task::spawn_blocking(made).await.map_err(|why| failed(&why))?;
        Ok(Self(made.map_err(|why| failed(&why))?))
    }

    /// The SHA-256 of its public half (SubjectPublicKeyInfo), in hexadecimal: what a verification commits to.
    #[must_use]
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(self.0.subject_public_key_info());
        digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// A request for a certificate of it (PKCS #10), in PEM.
    pub(crate) fn request(&self) -> Result<String, LoginError> {
        let request = CertificateParams::default().serialize_request(&self.0);
        request.and_then(|request| request.pem()).map_err(|why| failed(&why))
    }

    /// Itself, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.serialize_pem()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

fn failed(why: &dyn fmt::Display) -> LoginError {
    LoginError::Key(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_known_by_its_digest_and_says_nothing_of_itself() {
        let (key, other) = (Key::make().await.unwrap(), Key::make().await.unwrap());
        assert_eq!(key.digest().len(), 64);
        assert_ne!(key.digest(), other.digest());
        assert!(key.request().unwrap().contains("BEGIN CERTIFICATE REQUEST"));
        assert_eq!(format!("{key:?}"), "Key");
    }
}
