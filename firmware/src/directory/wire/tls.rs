//! TLS to a directory: by the authorities that its settings name and no others.
//!
//! 1.3, or 1.2 as domain controllers before Windows Server 2022 speak it; never less, and never nothing.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::directory::DirectoryError;

/// What a client is by the authorities in this file.
pub(in crate::directory) fn config(ca: &Path) -> Result<Arc<ClientConfig>, DirectoryError> {
    let bad = |why: String| DirectoryError::Configuration(format!("`ca` ({}): {why}", ca.display()));
    let read = CertificateDer::pem_file_iter(ca).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut roots = RootCertStore::empty();
    for certificate in read.map_err(|why| bad(why.to_string()))? {
        roots.add(certificate).map_err(|why| bad(why.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("it holds no certificate in PEM".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|why| bad(why.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Shakes hands with the server of this name.
pub(super) async fn shake_hands(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, DirectoryError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| DirectoryError::Configuration(format!("{host:?} in `servers` is no name of a host")))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|why| refused(host, &why))
}

fn refused(host: &str, why: &std::io::Error) -> DirectoryError {
    let tls = why.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(certificate)) => {
            let said = |why: &str| format!("{host}: {why}");
            match certificate {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    DirectoryError::Expired(said("it is over"))
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    DirectoryError::Expired(said("it is not valid yet"))
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    DirectoryError::Certificate(said("it is for another name"))
                }
                CertificateError::UnknownIssuer => {
                    DirectoryError::Certificate(said("another authority signed it"))
                }
                other => DirectoryError::Certificate(said(&other.to_string())),
            }
        }
        Some(other) => DirectoryError::Unreachable(format!("{host}: TLS: {other}")),
        None => DirectoryError::Unreachable(format!("{host}: TLS: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_cannot_be_read_are_said_by_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let said = |file: &Path| config(file).unwrap_err().to_string();
        assert!(said(&file).contains("ca.pem"));
        std::fs::write(&file, "nothing").unwrap();
        assert!(said(&file).contains("no certificate"));
    }
}
