//! The server's certificate, which can be replaced while connections are open.
//!
//! Invariant: there is always one that works. A handshake takes the one of its moment, and who is connected already
//! notices nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

use super::tls::{TlsError, certificates};

/// The certificate that every handshake shows, on every transport. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ServerCertificate {
    pki: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Arc<ArcSwap<CertifiedKey>>,
}

impl ServerCertificate {
    /// Reads it from an authority's folder.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn load(pki: &Path, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(read(pki, &provider)?));
        Ok(Self { pki: pki.to_owned(), provider, current })
    }

    /// Reads it again. The old one stays when that fails.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.pki, &self.provider)?));
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(pki: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    // With the authority, whom a client that was told only its SHA-256 has never seen.
    let chain = [certificates(&pki.join("server.pem"))?, certificates(&pki.join("ca.pem"))?].concat();
    let path = pki.join("server.key");
    let key = PrivateKeyDer::from_pem_file(&path).map_err(|why| TlsError::File { path, why })?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::crypto::aws_lc_rs;

    use super::*;
    use crate::credential::authority::Authority;

    #[test]
    fn a_broken_file_or_a_key_of_another_certificate_leaves_the_old_one() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&folder, &other] {
            Authority::init(folder.path(), &["localhost".to_owned()]).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificate = ServerCertificate::load(folder.path(), provider).unwrap();
        let leaf = || certificate.current.load().cert[0].clone();
        let first = leaf();
        let good = fs::read(folder.path().join("server.pem")).unwrap();
        for bad in [&b"nonsense"[..], b"", &good[..good.len() / 2]] {
            fs::write(folder.path().join("server.pem"), bad).unwrap();
            assert!(certificate.reload().is_err());
            assert_eq!(leaf(), first);
        }
        fs::copy(other.path().join("server.pem"), folder.path().join("server.pem")).unwrap();
        assert!(certificate.reload().is_err(), "the key is not this one's");
        assert_eq!(leaf(), first);
        fs::copy(other.path().join("server.key"), folder.path().join("server.key")).unwrap();
        certificate.reload().unwrap();
        assert_ne!(leaf(), first);
    }
}
