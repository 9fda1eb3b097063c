//! Whom a client trusts, and who it is: files in PEM to a TLS configuration.
//!
//! Invariant: TLS 1.3 only, and nobody is trusted but the authority in the file, nor it when it is not the one that was
//! pinned; there is no way to switch verification off.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::error::BoxError;
use crate::fingerprint::Fingerprint;

/// What connections are made with.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For [`crate::Client::connect`].
    pub config: Arc<ClientConfig>,
    /// Whole days until our own certificate ends; nothing without one, or when it has.
    pub days_left: Option<i64>,
}

/// Reads the authority of a box, which has to be the pinned one where one is, and our own certificate and its key, if we
/// have them.
///
/// # Errors
/// [`BoxError::Config`] with the file.
pub fn identity(
    authority: &Path,
    pin: Option<Fingerprint>,
    own: Option<(&Path, &Path)>,
) -> Result<Identity, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        if pin.is_some_and(|pin| pin != Fingerprint::of(&certificate)) {
            let reason = "it is not the authority that the profile was made with: nothing was sent";
            return Err(config_error(authority, &reason));
        }
        roots.add(certificate).map_err(|error| config_error(authority, &error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| BoxError::System(error.to_string()))?
        .with_root_certificates(roots);
    let mut days_left = None;
    let mut config = match own {
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            days_left = chain.first().and_then(left);
            let made = builder.with_client_auth_cert(chain, private_key(key)?);
            made.map_err(|error| config_error(cert, &error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { config: Arc::new(config), days_left })
}

/// Whole days until a certificate ends; nothing when it has.
fn left(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(read.validity().time_to_expiration()?.whole_days())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| config_error(path, &error))?;
    if found.is_empty() {
        return Err(config_error(path, &"no certificate in this file"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, BoxError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| config_error(path, &error))
}

fn config_error(path: &Path, reason: &dyn std::fmt::Display) -> BoxError {
    BoxError::Config { path: path.to_path_buf(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use time::{Duration, OffsetDateTime};

    #[test]
    fn the_days_that_are_left_of_a_certificate_are_known() {
        let left = |days: i64| {
            let mut params = CertificateParams::default();
            params.not_after = OffsetDateTime::now_utc() + Duration::days(days) + Duration::hours(1);
            super::left(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
        };
        assert_eq!((left(29), left(397), left(-2)), (Some(29), Some(397), None));
    }
}
