//! The listener of the metrics: HTTP/1.1 in clear, on loopback unless the configuration says otherwise.
//!
//! Invariant: it answers `GET /metrics` and nothing else, a few at a time, each within seconds.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE as TEXT;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tracing::{debug, warn};

use super::gauges;
use crate::server::State;

/// Whoever watches asks every few seconds, and there are few of them.
const AT_A_TIME: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers for ever.
pub(in crate::server) async fn serve(listener: TcpListener, state: State) {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(why) => {
                warn!(%why, "cannot accept a connection for metrics");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, state.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .max_buf_size(8192)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(PATIENCE, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => debug!(%why, "a connection for metrics ended"),
                Err(_) => debug!("a connection for metrics took too long"),
            }
            drop(place);
        });
    }
}

async fn answer(request: Request<Incoming>, state: State) -> Result<Response<Full<Bytes>>, Infallible> {
    let said = |status: StatusCode, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    };
    if request.uri().path() != "/metrics" {
        return Ok(said(StatusCode::NOT_FOUND, "ask for /metrics\n".to_owned()));
    }
    if request.method() != Method::GET {
        let mut refused = said(StatusCode::METHOD_NOT_ALLOWED, "GET /metrics\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Ok(refused);
    }
    // It reads files.
    Ok(match tokio::task::spawn_blocking(move || gauges::text(&state)).await {
        Ok(text) => {
            let mut response = said(StatusCode::OK, text);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
            response
        }
        Err(why) => {
            warn!(%why, "no metrics");
            said(StatusCode::INTERNAL_SERVER_ERROR, "no metrics; the log says why\n".to_owned())
        }
    })
}
