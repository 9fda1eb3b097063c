//! Who we are and whom we trust: `--cacert`, `--cert` and `--key`, or a profile's, to a TLS configuration.
//!
//! Invariant: TLS 1.3 only, and nobody is trusted but the CA in `--cacert`, nor it when it is not the one that the
//! profile was made with; there is no way to switch verification off.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use hyper::header::HeaderValue;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::error::CtlError;
use crate::pin::Fingerprint;
use crate::profile::Target;

/// Days before the end of our own certificate from which on we warn of it.
const SOON: i64 = 30;

/// Makes the configuration for one run.
pub(crate) fn config(args: &Target) -> Result<Arc<ClientConfig>, CtlError> {
    let cacert = args.cacert.as_deref().ok_or(CtlError::Missing(
        "--cacert FILE is missing: the certificate of the box's own CA; or name a box that you know with --profile NAME",
    ))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(cacert)? {
        if args.pin.is_some_and(|pin| pin != Fingerprint::of(&certificate)) {
            let reason = "it is not the authority that the profile was made with: nothing was sent";
            return Err(config_error(cacert, &reason));
        }
        roots.add(certificate).map_err(|error| config_error(cacert, &error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| CtlError::System(error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            if let Some(days) = chain.first().and_then(days_left).filter(|days| *days < SOON) {
                // Whoever does not read it reads the box's refusal.
                let _ = writeln!(
                    std::io::stderr().lock(),
                    "authenteonctl: warning: {} ends in {days} days; renew it with: authenteonctl station renew",
                    cert.display()
                );
            }
            let made = builder.with_client_auth_cert(chain, private_key(key)?);
            made.map_err(|error| config_error(cert, &error))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) => return Err(CtlError::Missing("--cert is given without --key")),
        (None, Some(_)) => return Err(CtlError::Missing("--key is given without --cert")),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whole days until a certificate ends; nothing when it has.
fn days_left(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(read.validity().time_to_expiration()?.whole_days())
}

/// The token in a file.
pub(crate) fn token(path: &Path) -> Result<HeaderValue, CtlError> {
    let text = std::fs::read_to_string(path).map_err(|error| config_error(path, &error))?;
    let mut token = HeaderValue::try_from(format!("Bearer {}", text.trim()))
        .map_err(|_| config_error(path, &"no token in this file"))?;
    token.set_sensitive(true);
    Ok(token)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CtlError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| config_error(path, &error))?;
    if found.is_empty() {
        return Err(config_error(path, &"no certificate in this file"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CtlError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| config_error(path, &error))
}

fn config_error(path: &Path, reason: &dyn std::fmt::Display) -> CtlError {
    CtlError::Config { path: path.to_path_buf(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use time::{Duration, OffsetDateTime};

    use super::*;

    #[test]
    fn the_days_that_are_left_of_a_certificate_are_known() {
        let left = |days: i64| {
            let mut params = CertificateParams::default();
            params.not_after = OffsetDateTime::now_utc() + Duration::days(days) + Duration::hours(1);
            days_left(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
        };
        assert_eq!((left(29), left(397), left(-2)), (Some(29), Some(397), None));
    }
}
