//! Who collects the audit: a TLS server of its own authority that takes syslog or webhooks, can be down, and can be rude.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A message of RFC 5424, as it was parsed.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) facility: u8,
    pub(crate) severity: u8,
    pub(crate) at: String,
    pub(crate) app: String,
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) text: String,
}

/// A request to a webhook.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

/// What it does with who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Reads syslog to the end, and says so.
    Syslog,
    /// Reads it and closes without a word.
    Rude,
    /// Says that it is through before it has read anything, and reads no more.
    Hasty,
    /// Takes what is posted.
    Webhook,
}

/// It, with everything that it got.
pub(crate) struct Receiver {
    folder: TempDir,
    pub(crate) address: SocketAddr,
    acceptor: TlsAcceptor,
    messages: Arc<Mutex<Vec<Message>>>,
    posted: Arc<Mutex<Vec<Posted>>>,
    /// What it answers to a post.
    status: Arc<AtomicU16>,
    /// What it answers to the next one, before that.
    next: Arc<AtomicU16>,
    task: Option<JoinHandle<()>>,
    manner: Manner,
}

impl Receiver {
    pub(crate) async fn start(manner: Manner) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        let mut receiver = Self {
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            acceptor: TlsAcceptor::from(Arc::new(config.unwrap())),
            messages: Arc::default(),
            posted: Arc::default(),
            status: Arc::new(AtomicU16::new(204)),
            next: Arc::default(),
            task: None,
            manner,
        };
        receiver.up().await;
        receiver
    }

    /// Its authority, for the configuration of who sends.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Listens, again at the same address.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (acceptor, manner) = (self.acceptor.clone(), self.manner);
        let (messages, posted) = (self.messages.clone(), self.posted.clone());
        let answers = (self.next.clone(), self.status.clone());
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let (messages, posted, answers) = (messages.clone(), posted.clone(), answers.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    match manner {
                        Manner::Webhook => hook(stream, posted, answers).await,
                        _ => collect(stream, manner, &messages).await,
                    }
                });
            }
        }));
    }

    /// Nobody is there any more.
    pub(crate) async fn down(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Answers so to the next post.
    pub(crate) fn answer_once(&self, status: u16) {
        self.next.store(status, Ordering::SeqCst);
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// The records that it got by syslog, in the order in which they came.
    pub(crate) fn records(&self) -> Vec<String> {
        let messages = self.messages();
        messages.into_iter().filter(|m| m.kind != "signed-head").map(|m| m.text).collect()
    }
}

async fn collect(mut stream: TlsStream<TcpStream>, manner: Manner, messages: &Mutex<Vec<Message>>) {
    if manner == Manner::Hasty {
        let _ = stream.shutdown().await;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await.is_ok_and(|read| read > 0) {}
        return;
    }
    let mut bytes = Vec::new();
    // Cut short when who sends is killed: what came whole counts.
    let ended = stream.read_to_end(&mut bytes).await;
    let mut rest = bytes.as_slice();
    while let Some((message, behind)) = framed(rest) {
        messages.lock().unwrap().push(parse(message));
        rest = behind;
    }
    assert!(ended.is_err() || rest.is_empty(), "a session that ends well ends with a whole message");
    if manner == Manner::Syslog {
        let _ = stream.shutdown().await;
    }
}

/// The first message behind its length, and what follows.
fn framed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
    bytes[space + 1..].split_at_checked(length)
}

/// A message by the grammar of RFC 5424, 6.
fn parse(message: &[u8]) -> Message {
    let text = std::str::from_utf8(message).unwrap();
    let (priority, rest) = text.strip_prefix('<').unwrap().split_once('>').unwrap();
    let priority: u8 = priority.parse().unwrap();
    let mut fields = rest.splitn(7, ' ');
    let mut field = || fields.next().unwrap().to_owned();
    assert_eq!(field(), "1", "the version");
    let (at, host, app, process, kind, rest) = (field(), field(), field(), field(), field(), field());
    assert!(!host.is_empty() && process == "-");
    // Elements stand in brackets; none of ours has one inside its values.
    let end = rest.match_indices(']').map(|(at, _)| at).find(|at| rest[at + 1..].starts_with(' ')).unwrap();
    let (data, text) = (&rest[..=end], &rest[end + 2..]);
    let text = text.strip_prefix('\u{feff}').unwrap();
    Message {
        facility: priority / 8,
        severity: priority % 8,
        at,
        app,
        kind,
        data: data.to_owned(),
        text: text.to_owned(),
    }
}

async fn hook(
    stream: TlsStream<TcpStream>,
    posted: Arc<Mutex<Vec<Posted>>>,
    (next, status): (Arc<AtomicU16>, Arc<AtomicU16>),
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let next = next.swap(0, Ordering::SeqCst);
        let (posted, status) = (posted.clone(), if next > 0 { next } else { status.load(Ordering::SeqCst) });
        async move {
            let (parts, body) = request.into_parts();
            let header = parts.headers.get("authenteon-signature").map(|value| value.to_str().unwrap());
            let (path, signature) = (parts.uri.to_string(), header.unwrap_or_default().to_owned());
            let body = body.collect().await?.to_bytes().to_vec();
            posted.lock().unwrap().push(Posted { path, signature, body });
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = status.try_into().unwrap();
            Ok::<_, hyper::Error>(response)
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The number of a record.
pub(crate) fn number(record: &str) -> u64 {
    serde_json::from_str::<Value>(record).unwrap()["number"].as_u64().unwrap()
}
