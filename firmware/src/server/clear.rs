//! Listeners in clear: HTTP/1.1 without TLS, for the few things that nobody minds who reads.
//!
//! Invariant: some paths are answered to GET and nothing else, a few at a time, each within seconds.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tracing::{debug, warn};

/// So many are answered at a time.
const AT_A_TIME: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
pub(in crate::server) type Answer = Response<Full<Bytes>>;

/// Answers for ever, by what `answer` says of a path: nothing where there is nothing. `what` is for the log.
pub(in crate::server) async fn serve<A: Future<Output = Option<Answer>> + Send + 'static>(
    listener: TcpListener,
    what: &'static str,
    answer: impl Fn(String) -> A + Clone + Send + Sync + 'static,
) {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(why) => {
                warn!(%why, "cannot accept a connection for {what}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
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
    let Some(found) = answer(request.uri().path().to_owned()).await else {
        return Ok(said(StatusCode::NOT_FOUND, "there is nothing of this name\n"));
    };
    if request.method() != Method::GET {
        let mut refused = said(StatusCode::METHOD_NOT_ALLOWED, "GET alone\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Ok(refused);
    }
    Ok(found)
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
