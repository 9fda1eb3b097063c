//! A box of cardboard: a TLS server on loopback that answers what a test tells it and keeps what
//! it was asked, and a way to run the client against it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The id of every box of cardboard.
pub(crate) const BOX: &str = "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11";

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Value,
    pub(crate) with_certificate: bool,
    pub(crate) bearer: Option<String>,
}

type Answer = Arc<dyn Fn(&Asked) -> (u16, Vec<u8>) + Send + Sync>;

/// A certificate authority and what it issued, as files.
pub(crate) struct Pki {
    folder: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    server: (rcgen::Certificate, KeyPair),
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), format!("{BOX}.box.authenteon.invalid")])
                .unwrap();
        let server = (params.signed_by(&key, &ca).unwrap(), key);
        let client_key = KeyPair::generate().unwrap();
        let client = CertificateParams::new(Vec::new()).unwrap().signed_by(&client_key, &ca).unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(folder.path().join("client.pem"), client.pem()).unwrap();
        std::fs::write(folder.path().join("client.key"), client_key.serialize_pem()).unwrap();
        Self { folder, ca, server }
    }

    /// SHA-256 of the authority, in hex.
    pub(crate) fn sha256(&self) -> String {
        Sha256::digest(self.ca.der()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The authority in PEM.
    pub(crate) fn authority(&self) -> String {
        self.ca.pem()
    }

    /// A certificate for the key in a request.
    pub(crate) fn certify(&self, csr: &str) -> String {
        let request = CertificateSigningRequestParams::from_pem(csr).unwrap();
        request.signed_by(&self.ca).unwrap().pem()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a server with its certificate and `authority` shows.
    fn server_config(&self, authority: &Self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let (certificate, key) = &self.server;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(
                // With the authority, as the box does: a claim knows it by its SHA-256 only.
                vec![certificate.der().clone(), authority.ca.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        Arc::new(config.unwrap())
    }
}

/// A running box of cardboard.
pub(crate) struct Cardboard {
    pub(crate) pki: Arc<Pki>,
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Dropping it ends the server.
    _runtime: tokio::runtime::Runtime,
}

impl Cardboard {
    pub(crate) fn start(answer: fn(&Asked) -> (u16, Vec<u8>)) -> Self {
        Self::of(Arc::new(Pki::new()), Arc::new(answer))
    }

    /// A box with this authority.
    pub(crate) fn of(pki: Arc<Pki>, answer: Answer) -> Self {
        let config = pki.server_config(&pki);
        Self::with(pki, config, answer)
    }

    /// A box that shows another authority than its own.
    pub(crate) fn showing(pki: Arc<Pki>, other: &Pki) -> Self {
        let config = pki.server_config(other);
        Self::with(pki, config, Arc::new(|_| (200, Vec::new())))
    }

    fn with(pki: Arc<Pki>, config: Arc<ServerConfig>, answer: Answer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(config);
        runtime.spawn(serve(listener, acceptor, answer, asked.clone()));
        Self { pki, address, asked, _runtime: runtime }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Runs the client as an administrator would, with CA and client certificate.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Run {
        let identity = ["ca.pem", "client.pem", "client.key"].map(|name| self.pki.file(name));
        let [ca, cert, key] = identity.each_ref().map(|path| path.to_str().unwrap());
        self.ctl_bare(&[&["--cacert", ca, "--cert", cert, "--key", key], arguments].concat())
    }

    /// Runs the client with nothing but the address.
    pub(crate) fn ctl_bare(&self, arguments: &[&str]) -> Run {
        let server = format!("https://{}", self.address);
        ctl(&[&["--server", &server], arguments].concat())
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, answer: Answer, asked: Arc<Mutex<Vec<Asked>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, answer, asked) = (acceptor.clone(), answer.clone(), asked.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let with_certificate = stream.get_ref().1.peer_certificates().is_some();
            let service = service_fn(move |request: Request<Incoming>| {
                let (answer, asked) = (answer.clone(), asked.clone());
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let header = parts.headers.get("content-type").and_then(|v| v.to_str().ok());
                    let request = Asked {
                        line: format!("{} {}", parts.method, parts.uri),
                        content_type: header.map(str::to_owned),
                        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                        with_certificate,
                        bearer: parts
                            .headers
                            .get("authorization")
                            .map(|value| value.to_str().unwrap().to_owned()),
                    };
                    let (status, body) = answer(&request);
                    asked.lock().unwrap().push(request);
                    if status == 0 {
                        std::future::pending::<()>().await;
                    }
                    let events = body.starts_with(b"event:") || body.starts_with(b":");
                    let mut response = Response::new(Full::new(Bytes::from(body)));
                    if events {
                        let kind = "text/event-stream".parse().unwrap();
                        response.headers_mut().insert("content-type", kind);
                    }
                    *response.status_mut() = status.try_into().unwrap();
                    Ok::<_, hyper::Error>(response)
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// What a run of the client left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the client; nothing of the surroundings leaks in.
pub(crate) fn ctl(arguments: &[&str]) -> Run {
    ctl_at(Path::new("/nonexistent"), arguments)
}

/// The same with profiles below this folder.
pub(crate) fn ctl_at(home: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authenteonctl"));
    for name in ["SERVER", "CACERT", "CERT", "KEY", "TOKEN_FILE", "BOX"] {
        command.env_remove(format!("AUTHENTEONCTL_{name}"));
    }
    command.env_remove("AUTHENTEON_PROFILE").env("XDG_CONFIG_HOME", home);
    let Output { status, stdout, stderr } = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    Run {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
