//! Listeners in clear: HTTP/1.1 without TLS, for the few things that nobody minds who reads.
//!
//! Invariant: some paths are answered to GET and HEAD and nothing else, a few at a time, each within seconds, whatever a client
//! does.

use std::{convert::Infallible, future::Future, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, time::timeout};
use tracing::{debug, warn};

use crate::places::Places;

/// So many connections there are at a time, and of one address.
const AT_A_TIME: usize = 32;
const OF_ONE: usize = 8;
/// And each is over by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
pub(in crate::server) type Answer = Response<Full<Bytes>>;

/// Answers for ever, by what `answer` says of a path: nothing where there is nothing. `what` is for the log.
pub(in crate::server) async fn serve<A: Future<Output = Option<Answer>> + Send + 'static>(
    listener: TcpListener,
    what: &'static str,
    answer: impl Fn(String) -> A + Clone + Send + Sync + 'static,
) {
    let places = Places::of(AT_A_TIME, OF_ONE);
    loop {
        // There always will be.
        let Some(free) = places.free().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(why) => {
                warn!(%why, "cannot accept a connection for {what}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = places.give(free, peer.ip()) else {
            debug!(%peer, "no place for another connection of this address for {what}");
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answered(request, &answer));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .max_buf_size(8192)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(PATIENCE, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => debug!(%why, "a connection for {what} ended"),
                Err(_) => debug!("a connection for {what} took too long"),
            }
            drop(place);
        });
    }
}

async fn answered<B, A: Future<Output = Option<Answer>>>(
    request: Request<B>,
    answer: &impl Fn(String) -> A,
) -> Result<Answer, Infallible> {
    // Nothing is made for who could not have it.
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = said(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD alone\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    let found = answer(request.uri().path().to_owned()).await;
    Ok(found.unwrap_or_else(|| said(StatusCode::NOT_FOUND, "there is nothing of this name\n")))
}

/// A text.
pub(in crate::server) fn said(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    given(status, "text/plain; charset=utf-8", text)
}

/// Something of a kind.
pub(in crate::server) fn given(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(content.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, "tests", |path| async move {
            (path == "/there").then(|| said(StatusCode::OK, "something\n"))
        }));
        address
    }

    async fn ask(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut text = String::new();
        // One that finds no place is closed at any of these.
        let _ = stream.write_all(format!("{line} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await;
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    #[tokio::test]
    async fn what_is_there_is_given_to_who_reads_and_to_nobody_who_sends() {
        let address = served().await;
        let got = ask(address, "GET /there").await;
        assert!(got.starts_with("HTTP/1.1 200") && got.ends_with("\r\n\r\nsomething\n"), "{got}");
        let head = ask(address, "HEAD /there").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(ask(address, "GET /elsewhere").await.starts_with("HTTP/1.1 404"));
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = ask(address, &format!("{method} /there")).await;
            assert!(refused.starts_with("HTTP/1.1 405") && refused.contains("allow: GET, HEAD"), "{refused}");
        }
    }

    #[tokio::test]
    async fn one_address_has_no_more_than_its_places_and_gets_those_back_that_it_leaves() {
        let address = served().await;
        let mut silent = Vec::new();
        for _ in 0..OF_ONE {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut one_more = TcpStream::connect(address).await.unwrap();
        assert_eq!(one_more.read(&mut [0; 8]).await.unwrap_or(0), 0, "it is closed");
        drop(silent.pop());
        while !ask(address, "GET /there").await.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
