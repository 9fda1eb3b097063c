//! HTTP/1.1 and HTTP/2 over TLS 1.3: TLS or nothing, then HTTP with the peer's certificate at hand.
//!
//! One task accepts; each connection is a task of its own, bounded in number and time.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Request,
    middleware::{self, Next},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::{
    State,
    connection::{HEAD, PeerCertificate, STREAMS, counted, idle},
};

/// First byte of a TLS record that begins a handshake.
const HANDSHAKE: u8 = 0x16;
/// The answer to whoever speaks plainly.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 65\r\nconnection: close\r\n\r\nThis port speaks TLS only: use https and the certificate it has.\n";

/// Accepts until `stop` resolves. The connections go on, and end as `graceful` is told to.
pub(super) async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    state: &State,
    graceful: &GracefulShutdown,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(state.limits.connections));
    let mut stop = std::pin::pin!(stop);
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            () = &mut stop => return,
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(why) => {
                // Out of descriptors, say: what is open goes on, and closing makes room.
                warn!(%why, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        debug!(%peer, "connection");
        let (acceptor, router, state) = (acceptor.clone(), router.clone(), state.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            serve(stream, &acceptor, router, &state, watcher).await;
            drop(permit);
        });
    }
}

async fn serve(stream: TcpStream, acceptor: &TlsAcceptor, router: Router, state: &State, watcher: Watcher) {
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
    let counted =
        middleware::from_fn(move |request: Request, next: Next| counted(busy.clone(), request, next));
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
