//! A client of the daemon: HTTP/1.1 over TLS 1.3 with one of its certificates or none, one connection a
//! question. Tests that need another manner take the TLS stream and speak themselves.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use authenteon_tests::http3;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Daemon;

/// Nothing takes so long; a test that hangs says where.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer. Every one that is no success has been seen to be a whole problem document.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The last word of the problem's type.
    pub(crate) fn problem(&self) -> &str {
        self.body["type"].as_str().and_then(|t| t.strip_prefix("urn:authenteon:problem:")).unwrap_or_default()
    }

    /// What a problem says.
    pub(crate) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    connector: TlsConnector,
    token: Option<String>,
    /// The name that the daemon's certificate must have, where that is not its address.
    name: Option<String>,
}

impl Client {
    /// The client whose certificate is in the daemon's folder under this name.
    pub(crate) fn named(daemon: &Daemon, name: &str) -> Self {
        let (pki, name) = (daemon.pki(), name.to_owned());
        Self::with(
            daemon.address,
            &pki,
            Some((&pki.join(format!("{name}.pem")), &pki.join(format!("{name}.key")))),
        )
    }

    /// A client without a certificate.
    pub(crate) fn stranger(daemon: &Daemon) -> Self {
        Self::with(daemon.address, &daemon.pki(), None)
    }

    /// A client that trusts the authority in `pki` and has this certificate and key.
    pub(crate) fn with(address: SocketAddr, pki: &Path, own: Option<(&Path, &Path)>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&fs::read(pki.join("ca.pem")).unwrap()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_file(certificate).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        Self { address, connector: TlsConnector::from(Arc::new(config)), token: None, name: None }
    }

    /// The same client, which shows this token.
    pub(crate) fn showing(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same client, which knows the daemon by this name.
    pub(crate) fn expecting(&self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self.clone() }
    }

    /// The same client, of a daemon that listens elsewhere now.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same client, which offers these protocols in its handshake.
    pub(crate) fn offering(&self, alpn: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        Self { connector: TlsConnector::from(Arc::new(config)), ..self.clone() }
    }

    /// Where its daemon listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The client's side of TLS.
    pub(crate) fn tls(&self) -> ClientConfig {
        ClientConfig::clone(self.connector.config())
    }

    /// A connection of HTTP/3.
    pub(crate) async fn open_http3(&self) -> http3::Connection {
        http3::Client::new(self.tls()).unwrap().connect(self.address).await.unwrap()
    }

    /// A connection after the handshake, as far as the client can tell.
    pub(crate) async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        // Or a body waits 40 ms for the answer to its head.
        stream.set_nodelay(true)?;
        let name = match &self.name {
            Some(name) => ServerName::try_from(name.clone()).unwrap(),
            None => ServerName::from(self.address.ip()),
        };
        self.connector.connect(name, stream).await
    }

    /// A connection for requests.
    pub(crate) async fn open(&self) -> http1::SendRequest<Full<Bytes>> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(self.connect().await.unwrap())).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// A request to this daemon, ready but for its body.
    pub(crate) fn request(&self, method: &Method, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&Method::POST, path, Some(body.to_string().into_bytes())).await
    }

    /// Asks with a body of these bytes, said to be JSON.
    pub(crate) async fn ask(&self, method: &Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        let mut request = self.request(method, path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default()))).unwrap();
        self.send(&mut self.open().await, request).await
    }

    /// Sends a request on a connection.
    pub(crate) async fn send(
        &self,
        sender: &mut http1::SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Answer {
        let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
        read(response).await
    }
}

/// Reads an answer to its end, and a refusal must be a problem as RFC 9457 wants it.
pub(crate) async fn read(response: hyper::Response<hyper::body::Incoming>) -> Answer {
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    let bytes = timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap().to_bytes();
    understood(status, kind, &bytes)
}

/// Asks over HTTP/3 with a body of these bytes, said to be JSON.
pub(crate) async fn ask_http3(
    connection: &mut http3::Connection,
    method: &Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(body) = &body {
        request = request.header("content-type", "application/json").header("content-length", body.len());
    }
    let request = request.body(Bytes::from(body.unwrap_or_default())).unwrap();
    let response = timeout(PATIENCE, connection.ask(request)).await.unwrap().unwrap();
    let kind = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    understood(response.status().as_u16(), kind, response.body())
}

fn understood(status: u16, kind: Option<String>, bytes: &[u8]) -> Answer {
    if status == 204 {
        assert!(bytes.is_empty());
        return Answer { status, body: Value::Null };
    }
    if kind.as_deref() == Some("application/x-ndjson") {
        // Lines, each a value of its own.
        return Answer { status, body: Value::String(String::from_utf8(bytes.to_vec()).unwrap()) };
    }
    if kind.as_deref() == Some("application/gzip") {
        // A support bundle; its own test unpacks it.
        assert!(status == 200 && bytes.starts_with(&[0x1F, 0x8B]));
        return Answer { status, body: Value::Null };
    }
    let body: Value = serde_json::from_slice(bytes)
        .unwrap_or_else(|why| panic!("{status} {kind:?} with a body that is no JSON ({why}): {bytes:?}"));
    if status >= 400 {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        for key in ["type", "title", "detail"] {
            assert!(body[key].as_str().is_some_and(|t| !t.is_empty()), "{key} of {body}");
        }
    } else {
        assert_eq!(kind.as_deref(), Some("application/json"));
    }
    Answer { status, body }
}
