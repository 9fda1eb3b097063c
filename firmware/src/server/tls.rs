//! TLS 1.3 and nothing older, by aws-lc-rs, the post-quantum key exchange first; no early data, since a
//! verification must not be replayed. Client certificates are asked for and checked, not required.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{VerifierBuilderError, WebPkiClientVerifier},
    time_provider::TimeProvider,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};

use crate::clock::{Clock, SystemClock};

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
    /// The authority's certificate is none.
    #[error("the authority's certificate cannot be used: {0}")]
    Authority(#[from] VerifierBuilderError),
}

/// The server's side of TLS, from an authority's folder.
pub(super) fn config(pki: &Path) -> Result<ServerConfig, TlsError> {
    let file = |name: &str| pki.join(name);
    let mut roots = RootCertStore::empty();
    let authority = certificates(&file("ca.pem"))?;
    for certificate in &authority {
        roots.add(certificate.clone())?;
    }
    // With the authority, whom a client that was told only its SHA-256 has never seen.
    let chain = [certificates(&file("server.pem"))?, authority].concat();
    let path = file("server.key");
    let key = PrivateKeyDer::from_pem_file(&path).map_err(|why| TlsError::File { path, why })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Floored))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    Ok(config)
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

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fails = |why| TlsError::File { path: path.to_owned(), why };
    CertificateDer::pem_file_iter(path).map_err(fails)?.collect::<Result<_, _>>().map_err(fails)
}

#[cfg(test)]
mod tests {
    use rustls::{NamedGroup, ProtocolVersion};

    use super::*;
    use crate::credential::authority::Authority;

    #[test]
    fn the_post_quantum_key_exchange_comes_first_and_there_is_no_early_data() {
        let folder = tempfile::tempdir().unwrap();
        Authority::init(folder.path(), &["localhost".to_owned()]).unwrap();
        let config = config(folder.path()).unwrap();
        assert_eq!(config.crypto_provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
        assert_eq!(config.max_early_data_size, 0);
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
        let why = config(folder.path()).unwrap_err().to_string();
        assert!(why.contains("ca.pem") && why.contains("pki init"), "{why}");
    }
}
