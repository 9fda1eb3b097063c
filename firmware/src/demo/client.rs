//! A TLS client of the demo's server: what a corporate client does, in a few lines.

use std::{net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why the client could not ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// A certificate cannot be read.
    #[error("certificate: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// HTTP failed.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The request could not be made.
    #[error("request: {0}")]
    Request(#[from] hyper::http::Error),
    /// The answer is no JSON.
    #[error("answer: {0}")]
    Json(#[from] serde_json::Error),
}

/// Who asks, and whom.
pub(super) struct Client {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Client {
    /// A client that trusts the authority in `pki`, with the certificate of that name.
    pub(super) fn new(address: SocketAddr, pki: &Path, name: Option<&str>) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki.join("ca.pem"))?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots);
        let config = match name {
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(pki.join(format!("{name}.pem")))?;
                let key = PrivateKeyDer::from_pem_file(pki.join(format!("{name}.key")))?;
                builder.with_client_auth_cert(vec![certificate], key)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { address, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Asks on a connection of its own: status and body.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), ClientError> {
        let stream = TcpStream::connect(self.address).await?;
        // Or a body waits 40 ms for the answer to its head.
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = self.connector.connect(name, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(bytes)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        drop(sender);
        // It ends with the sender, and its error would have been the request's.
        let _ = driver.await;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        Ok((status, body))
    }
}
