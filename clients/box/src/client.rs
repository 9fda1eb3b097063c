//! One TLS connection to the box, and requests over it, one after the other.
//!
//! Invariant: every step ends within the limit given, an answer is never held in memory beyond
//! [`MAX_ANSWER`], and what went wrong on the wire is told apart by what a person would do about it.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::BoxError;
use crate::events::{Event, Parser};
use crate::problem::Problem;
use crate::server::Server;

/// Bytes a second of the slowest line that a file is sent over.
const SLOWEST: u64 = 16 << 10;
/// A page of subjects is a few hundred kilobytes at most.
const MAX_ANSWER: usize = 16 << 20;

/// The body of a request.
pub type Outgoing = BoxBody<Bytes, io::Error>;

/// A body that is in memory.
fn whole(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A connection to the box. What goes wrong with a request is a [`BoxError`]: of the wire, of the time, or the box's own.
pub struct Client {
    server: Server,
    limit: Duration,
    sender: SendRequest<Outgoing>,
    token: Option<HeaderValue>,
}

impl Client {
    /// Connects and shakes hands.
    pub async fn connect(server: Server, tls: Arc<ClientConfig>, limit: Duration) -> Result<Self, BoxError> {
        let opened = tokio::time::timeout(limit, open(&server, tls)).await;
        let sender = opened.map_err(|_| timed_out(&server, limit))??;
        Ok(Self { server, limit, sender, token: None })
    }

    /// The same connection, with a token in its requests.
    pub fn showing(mut self, token: Option<HeaderValue>) -> Self {
        self.token = token;
        self
    }

    /// GET, with the answer as JSON.
    pub async fn get(&mut self, path: &str) -> Result<Value, BoxError> {
        self.call(Method::GET, path, None).await
    }

    /// POST of JSON, with the answer as JSON.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value, BoxError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUT of JSON, with the answer as JSON.
    pub async fn put(&mut self, path: &str, body: &Value) -> Result<Value, BoxError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// PATCH of JSON, with the answer as JSON.
    pub async fn patch(&mut self, path: &str, body: &Value) -> Result<Value, BoxError> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// DELETE; the answer is empty.
    pub async fn delete(&mut self, path: &str) -> Result<(), BoxError> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    /// POST of bytes as they are, with the answer as JSON.
    pub async fn upload(&mut self, path: &str, bytes: Vec<u8>) -> Result<Value, BoxError> {
        let mut request = self.request(Method::POST, path, None)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.rauc.bundle"));
        *request.body_mut() = whole(bytes);
        self.send(request).await
    }

    /// PUT of a body of a known length, with the answer as JSON.
    pub async fn upload_file(
        &mut self,
        path: &str,
        file: Outgoing,
        kind: &'static str,
    ) -> Result<Value, BoxError> {
        let mut request = self.request(Method::PUT, path, None)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let length = file.size_hint().exact().unwrap_or_default();
        let limit = self.limit + Duration::from_secs(length / SLOWEST);
        *request.body_mut() = file;
        self.send_within(request, limit).await
    }

    /// POST of JSON, with the answer in pieces as it comes; `length` is told how long it is, where that is known. The limit
    /// is for each piece.
    pub async fn download<E: From<BoxError>>(
        &mut self,
        path: &str,
        body: &Value,
        length: &mut dyn FnMut(u64),
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let request = self.request(Method::POST, path, Some(body))?;
        self.stream(request, length, take).await
    }

    /// GET, with the answer in pieces as it comes.
    pub async fn fetch<E: From<BoxError>>(
        &mut self,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let request = self.request(Method::GET, path, None)?;
        self.stream(request, &mut |_| {}, take).await
    }

    async fn stream<E: From<BoxError>>(
        &mut self,
        request: Request<Outgoing>,
        length: &mut dyn FnMut(u64),
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let late = |_| timed_out(&self.server, self.limit);
        let wire = |error: hyper::Error| wire_error(&self.server, &error);
        self.sender.ready().await.map_err(wire)?;
        let answer = tokio::time::timeout(self.limit, self.sender.send_request(request)).await;
        let answer = answer.map_err(late)?.map_err(wire)?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        if !(200..300).contains(&status) {
            let whole = Limited::new(body, MAX_ANSWER).collect().await;
            let whole = whole.map_err(|error| wire_error(&self.server, &*error))?.to_bytes();
            return Err(BoxError::Problem(Problem::parse(status, &whole)).into());
        }
        if let Some(exact) = hyper::body::Body::size_hint(&body).exact() {
            length(exact);
        }
        while let Some(frame) = tokio::time::timeout(self.limit, body.frame()).await.map_err(late)? {
            if let Ok(piece) = frame.map_err(wire)?.into_data() {
                take(&piece)?;
            }
        }
        Ok(())
    }

    /// POST of JSON to somebody who tells on the way how far he is: `told` hears of each event but the last, which is the
    /// answer. The limit is for each piece; the box says at least every few seconds that it is still there.
    pub async fn follow(
        &mut self,
        path: &str,
        body: &Value,
        told: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<Value, BoxError> {
        let mut request = self.request(Method::POST, path, Some(body))?;
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/problem+json"));
        let late = |_| timed_out(&self.server, self.limit);
        let wire = |error: hyper::Error| wire_error(&self.server, &error);
        self.sender.ready().await.map_err(wire)?;
        let answer = tokio::time::timeout(self.limit, self.sender.send_request(request)).await;
        let answer = answer.map_err(late)?.map_err(wire)?;
        let status = answer.status().as_u16();
        let kind = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let tells = kind.starts_with(b"text/event-stream");
        let mut body = answer.into_body();
        if !tells {
            // A problem, or a box that tells nothing on the way.
            let whole = tokio::time::timeout(self.limit, Limited::new(body, MAX_ANSWER).collect()).await;
            let whole = whole.map_err(late)?.map_err(|error| wire_error(&self.server, &*error))?.to_bytes();
            return if (200..300).contains(&status) {
                serde_json::from_slice(&whole).map_err(|error| BoxError::Answer(error.to_string()))
            } else {
                Err(BoxError::Problem(Problem::parse(status, &whole)))
            };
        }
        let mut parser = Parser::new(MAX_ANSWER);
        while let Some(frame) = tokio::time::timeout(self.limit, body.frame()).await.map_err(late)? {
            let Ok(piece) = frame.map_err(wire)?.into_data() else { continue };
            for event in parser.take(&piece)? {
                match event.ends() {
                    Ok(answer) => return answer,
                    Err(event) => told(&event),
                }
            }
        }
        Err(BoxError::Answer("it ended before its result".to_owned()))
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, BoxError> {
        let request = self.request(method, path, body)?;
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Outgoing>) -> Result<Value, BoxError> {
        self.send_within(request, self.limit).await
    }

    async fn send_within(&mut self, request: Request<Outgoing>, limit: Duration) -> Result<Value, BoxError> {
        let exchange = exchange(&mut self.sender, request);
        let (status, body) = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| timed_out(&self.server, limit))?
            .map_err(|error| wire_error(&self.server, &*error))?;
        if !(200..300).contains(&status) {
            return Err(BoxError::Problem(Problem::parse(status, &body)));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| BoxError::Answer(error.to_string()))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Outgoing>, BoxError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.server.authority())
            .header(USER_AGENT, concat!("authenteon-client/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, application/problem+json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        request.body(whole(bytes)).map_err(|error| BoxError::Request(error.to_string()))
    }
}

async fn open(server: &Server, tls: Arc<ClientConfig>) -> Result<SendRequest<Outgoing>, BoxError> {
    let unreachable =
        |error: &dyn Error| BoxError::Unreachable { server: server.authority(), reason: error.to_string() };
    let name = server.name.clone().unwrap_or_else(|| server.host.clone());
    let name = ServerName::try_from(name).map_err(|error| unreachable(&error))?;
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await;
    let stream = stream.map_err(|error| unreachable(&error))?;
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    let stream = TlsConnector::from(tls).connect(name, stream).await;
    let stream = stream.map_err(|error| wire_error(server, &error))?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| wire_error(server, &error))?;
    // Its error is seen again by the request that it breaks.
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(
    sender: &mut SendRequest<Outgoing>,
    request: Request<Outgoing>,
) -> Result<(u16, Bytes), Box<dyn Error + Send + Sync>> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await?.to_bytes();
    Ok((status, body))
}

fn timed_out(server: &Server, limit: Duration) -> BoxError {
    BoxError::TimedOut { server: server.authority(), seconds: limit.as_secs() }
}

/// Finds out what a failure on the wire means.
fn wire_error(server: &Server, error: &(dyn Error + 'static)) -> BoxError {
    if causes(error).any(|cause| cause.is::<LengthLimitError>()) {
        return BoxError::Answer(format!("longer than {MAX_ANSWER} bytes"));
    }
    let server = server.authority();
    let reason = innermost(error).to_string();
    match tls_cause(error) {
        Some(rustls::Error::AlertReceived(_)) => BoxError::CertificateRefused { server, reason },
        Some(_) => BoxError::Untrusted { server, reason },
        None => BoxError::Unreachable { server, reason },
    }
}

/// The chain of causes. An `io::Error` hides the error that it wraps from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn tls_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(<dyn Error>::downcast_ref)
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}
