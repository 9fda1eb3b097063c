//! A client of the daemon on loopback, over each protocol that it serves. One connection that is kept.
//!
//! Invariant: no session is resumed, so every connection pays for its whole handshake.

use std::{net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    client::conn::{http1, http2},
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsConnector;

use super::Http;
use crate::http3::{self, Http3Error};

/// Why an answer did not come.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
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
    /// QUIC, or HTTP/3 over it, failed.
    #[error("HTTP/3: {0}")]
    Quic(#[from] Http3Error),
    /// The request could not be made.
    #[error("request: {0}")]
    Request(#[from] hyper::http::Error),
}

/// An answer: status and body.
pub(super) type Answer = (StatusCode, Bytes);

/// Who asks, and whom.
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    http: Http,
    connector: TlsConnector,
    /// For HTTP/3: the socket that its connections share.
    quic: Option<http3::Client>,
}

/// A connection that is open.
pub(super) enum Connection {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
    Three(Box<http3::Connection>),
}

impl Client {
    /// A client that trusts the authority in `pki`, with the certificate of that name.
    pub(super) fn new(address: SocketAddr, pki: &Path, name: &str, http: Http) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki.join("ca.pem"))?)?;
        let certificates =
            CertificateDer::pem_file_iter(pki.join(format!("{name}.pem")))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(pki.join(format!("{name}.key")))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, key)?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![match http {
            Http::One => b"http/1.1".to_vec(),
            Http::Two => b"h2".to_vec(),
            Http::Three => b"h3".to_vec(),
        }];
        let quic = (http == Http::Three).then(|| http3::Client::new(config.clone())).transpose()?;
        Ok(Self { address, http, connector: TlsConnector::from(Arc::new(config)), quic })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Connection, ClientError> {
        if let Some(quic) = &self.quic {
            return Ok(Connection::Three(Box::new(quic.connect(self.address).await?)));
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(ServerName::from(self.address.ip()), stream).await?;
        let stream = TokioIo::new(stream);
        // The task ends with the connection, and its error is the next request's.
        Ok(match self.http {
            Http::One => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Connection::One(sender)
            }
            Http::Two | Http::Three => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Connection::Two(sender)
            }
        })
    }

    /// Whom it asks.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Posts JSON on a connection.
    pub(super) async fn post(
        &self,
        connection: &mut Connection,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        self.ask(connection, &Method::POST, path, Some(body)).await
    }

    /// Asks on a connection, with a body of JSON or none.
    pub(super) async fn ask(
        &self,
        connection: &mut Connection,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::builder().method(method);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.unwrap_or_default();
        let whole = format!("https://{}{path}", self.address);
        match connection {
            Connection::One(sender) => {
                let request =
                    request.uri(path).header(header::HOST, self.address.to_string()).body(Full::new(body))?;
                sender.ready().await?;
                read(sender.send_request(request).await?).await
            }
            Connection::Two(sender) => {
                let request = request.uri(whole).version(Version::HTTP_2).body(Full::new(body))?;
                sender.ready().await?;
                read(sender.send_request(request).await?).await
            }
            Connection::Three(quic) => {
                let (head, body) = quic.ask(request.uri(path).body(body)?).await?.into_parts();
                Ok((head.status, body))
            }
        }
    }

    /// Begins a request on a connection of its own and leaves in the middle of its body.
    pub(super) async fn cut(&self, path: &str, half: Bytes) -> Result<(), ClientError> {
        let stream = TcpStream::connect(self.address).await?;
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(ServerName::from(self.address.ip()), stream).await?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: box\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            2 * half.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&half).await?;
        Ok(())
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, ClientError> {
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
