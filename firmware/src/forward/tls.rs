//! TLS 1.3 to a destination, by the authorities that its configuration names and no others. Files are read anew for every
//! connection, so that certificates can be renewed.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Destination, ForwardError, lost};

/// Connects and shakes hands.
pub(super) async fn connect(to: &Destination) -> Result<TlsStream<TcpStream>, ForwardError> {
    let config = config(to)?;
    let name = ServerName::try_from(to.host.clone()).map_err(lost)?;
    let stream = TcpStream::connect((to.host.as_str(), to.port)).await.map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(lost)
}

fn config(to: &Destination) -> Result<ClientConfig, ForwardError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&to.ca)? {
        roots.add(certificate).map_err(|why| bad(&to.ca, why))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(lost)?
        .with_root_certificates(roots);
    match &to.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let pair = PrivateKeyDer::from_pem_file(key).map_err(|why| bad(key, why))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, pair)
                .map_err(|why| bad(certificate, why))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ForwardError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|why| bad(path, why))?;
    if found.is_empty() { Err(bad(path, "it holds no certificate in PEM")) } else { Ok(found) }
}

fn bad(path: &Path, why: impl std::fmt::Display) -> ForwardError {
    ForwardError::File { path: path.to_owned(), why: why.to_string() }
}
