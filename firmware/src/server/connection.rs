//! One connection: TLS or nothing, then HTTP with the peer's certificate at hand.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::{self, Next},
};
use hyper::body::{Frame, SizeHint};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::Watcher},
    service::TowerToHyperService,
};
use sha2::{Digest, Sha256};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::State;

/// SHA-256 of the certificate that the peer proved to hold, if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerCertificate(pub(crate) Option<[u8; 32]>);

/// Said with an answer that takes long: the connection is not idle until its last byte is taken. Who makes it sees to it
/// that a client which takes nothing gets no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongAnswer;

/// First byte of a TLS record that begins a handshake.
const HANDSHAKE: u8 = 0x16;
/// The answer to whoever speaks plainly.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 65\r\nconnection: close\r\n\r\nThis port speaks TLS only: use https and the certificate it has.\n";
/// Streams of one HTTP/2 connection at a time.
const STREAMS: u32 = 32;
/// Bytes of a request's head.
const HEAD: usize = 16 << 10;

pub(super) async fn serve(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    router: Router,
    state: &State,
    watcher: Watcher,
) {
    let limits = &state.limits;
    // Answers are small and somebody waits for them.
    if let Err(why) = stream.set_nodelay(true) {
        debug!(%why, "no delay");
    }
    let Ok(Some(stream)) = timeout(limits.handshake(), only_tls(stream)).await else { return };
    let stream = match timeout(limits.handshake(), acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(why)) => return debug!(%why, "handshake refused"),
        Err(_) => return debug!("handshake took too long"),
    };
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = PeerCertificate(leaf.map(|certificate| Sha256::digest(certificate).into()));
    let (busy, activity) = watch::channel(0_usize);
    let counted = middleware::from_fn(move |request: Request, next: Next| {
        let working = Working::begin(busy.clone());
        async move {
            let response = next.run(request).await;
            if response.extensions().get::<LongAnswer>().is_none() {
                return response;
            }
            response.map(|body| Body::new(Counted { body, _working: working }))
        }
    });
    let service = TowerToHyperService::new(router.layer(Extension(peer)).layer(counted));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request())
        .max_buf_size(HEAD.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD as u32)
        .keep_alive_interval(limits.request())
        .keep_alive_timeout(limits.request());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = watcher.watch(connection.into_owned()) => if let Err(why) = ended {
            debug!(%why, "connection ended");
        },
        () = idle(activity, limits.idle()) => debug!("connection idle for too long"),
    }
}

/// A request in progress: counted from its beginning to its end, cancelled or not.
struct Working(watch::Sender<usize>);

impl Working {
    fn begin(count: watch::Sender<usize>) -> Self {
        count.send_modify(|requests| *requests += 1);
        Self(count)
    }
}

/// A body that is part of a request in progress.
struct Counted {
    body: Body,
    _working: Working,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// Resolves when there was no request for so long. An HTTP/2 client can keep a connection alive with
/// nothing but answers to pings, and the connections are counted.
async fn idle(mut activity: watch::Receiver<usize>, limit: Duration) {
    loop {
        match timeout(limit, activity.changed()).await {
            Err(_) if *activity.borrow() == 0 => return,
            // Nobody counts any more: the connection is ending by itself.
            Ok(Err(_)) => return std::future::pending().await,
            Ok(Ok(())) | Err(_) => {}
        }
    }
}

/// The stream, when its first byte begins TLS; else it is told so and closed.
async fn only_tls(mut stream: TcpStream) -> Option<TcpStream> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first == [HANDSHAKE] => Some(stream),
        Ok(1) => {
            // Whoever does not read it has gone already.
            let _ = stream.write_all(PLAIN.as_bytes()).await;
            let _ = stream.shutdown().await;
            // Unread input would turn the close into a reset, and the answer would be lost with it.
            let mut rest = vec![0; HEAD];
            let _ = stream.try_read(&mut rest);
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_answer_announces_its_own_length() {
        let (head, body) = PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}
