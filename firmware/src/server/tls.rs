//! TLS 1.3 and nothing older, by aws-lc-rs, the post-quantum key exchange first; no early data, since a
//! verification must not be replayed, and no resumption, since a certificate is looked at whenever somebody comes.
//! Client certificates are asked for and checked, not required.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{
        NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    time_provider::TimeProvider,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject};

use super::certificate::ServerCertificate;
use crate::{
    clock::{Clock, SystemClock},
    credential::authority::{AuthorityError, clients_of},
};

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {why}; `authenteond pki init` makes certificates")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: rustls_pki_types::pem::Error,
    },
    /// The certificates do not fit.
    #[error("the certificates cannot be used: {0}")]
    Config(#[from] rustls::Error),
    /// The authority cannot be read.
    #[error("{0}; `authenteond pki init` makes certificates")]
    Pki(#[from] AuthorityError),
    /// The authority's certificate is none.
    #[error("the authority's certificate cannot be used: {0}")]
    Authority(#[from] VerifierBuilderError),
}

/// The server's side of TLS on every transport.
#[derive(Clone)]
pub(super) struct Tls {
    certificate: ServerCertificate,
    verifier: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// Reads an authority's folder.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn load(pki: &Path) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in clients_of(pki)? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(of_tls13());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
        let certificate = ServerCertificate::load(pki, Arc::clone(&provider))?;
        Ok(Self { certificate, verifier, provider })
    }

    /// The configuration for these protocols.
    ///
    /// # Errors
    /// [`TlsError::Config`].
    pub(super) fn config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_details(Arc::clone(&self.provider), Arc::new(Floored))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::clone(&self.verifier))
            .with_cert_resolver(Arc::new(self.certificate.clone()));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.max_early_data_size = 0;
        // A session that is resumed would bring a client's certificate that nobody looks at again.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// The certificate, to have it read again.
    pub(super) fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }
}

/// Cryptography of TLS 1.3 alone: there is more for directories, which are older, and nothing of it is for who comes in.
fn of_tls13() -> CryptoProvider {
    let all = aws_lc_rs::default_provider();
    let cipher_suites = all.cipher_suites.iter().filter(|suite| suite.tls13().is_some()).copied().collect();
    CryptoProvider { cipher_suites, ..all }
}

/// The time by which certificates of clients are valid. A box that woke up in 1970 must let in whom it
/// certified itself.
#[derive(Debug)]
struct Floored;

impl TimeProvider for Floored {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(SystemClock.now().millis())))
    }
}

/// The certificates in a file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fails = |why| TlsError::File { path: path.to_owned(), why };
    CertificateDer::pem_file_iter(path).map_err(fails)?.collect::<Result<_, _>>().map_err(fails)
}

#[cfg(test)]
mod tests {
    use rustls::{NamedGroup, ProtocolVersion};

    use super::*;
    use crate::credential::authority::Authority;

    #[test]
    fn the_post_quantum_key_exchange_comes_first_and_nothing_is_resumed_or_early() {
        let folder = tempfile::tempdir().unwrap();
        Authority::init(folder.path(), &["localhost".to_owned()]).unwrap();
        let config = Tls::load(folder.path()).unwrap().config(&[b"h3"]).unwrap();
        assert_eq!(config.crypto_provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
        assert_eq!((config.max_early_data_size, config.send_tls13_tickets), (0, 0));
        assert!(
            config
                .crypto_provider()
                .cipher_suites
                .iter()
                .all(|s| s.version().version == ProtocolVersion::TLSv1_3)
        );
    }

    #[test]
    fn a_folder_without_certificates_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let why = Tls::load(folder.path()).err().unwrap().to_string();
        assert!(why.contains("ca.pem") && why.contains("pki init"), "{why}");
    }
}
