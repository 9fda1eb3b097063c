//! HTTP/1.1 and HTTP/2 over TLS 1.3: TLS or nothing, then HTTP with the peer's certificate at hand.
//!
//! One task accepts; each connection is a task of its own, bounded in number and time.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{
    Request,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, info, warn};

use super::{
    ROUND, ServeError, State,
    connection::{Activity, HEAD, Peer, PeerAddress, PeerCertificate, Share, WINDOW, told},
    tls::Tls,
};
use crate::{config::Limits, places::Places};

/// First byte of a TLS record that begins a handshake.
const HANDSHAKE: u8 = 0x16;
/// The answer to whoever speaks plainly.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 65\r\nconnection: close\r\n\r\nThis port speaks TLS only: use https and the certificate it has.\n";

/// The protocols that are spoken here, the better first.
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];
/// Streams that a client has reset and the box has not looked at yet, and streams that the box resets.
const RESETS: usize = 32;

/// The listener: a socket, and how TLS is spoken on it.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(super) async fn bind(address: SocketAddr, tls: &Tls) -> Result<Self, ServeError> {
        let acceptor = TlsAcceptor::from(Arc::new(tls.config(PROTOCOLS)?));
        let socket = TcpListener::bind(address).await.map_err(|why| ServeError::Listen { address, why })?;
        Ok(Self { socket, acceptor })
    }

    /// Accepts until `stop` says so, then lets open requests finish for the drain time.
    pub(super) async fn serve(
        self,
        router: Router,
        state: &State,
        places: Places,
        mut stop: watch::Receiver<bool>,
    ) {
        let graceful = GracefulShutdown::new();
        let pulse = state.operation.heartbeats.pulse("acceptor");
        let mut round = interval(ROUND);
        loop {
            let free = tokio::select! {
                free = places.free() => free,
                _ = round.tick() => {
                    pulse.beat();
                    continue;
                }
                () = told(&mut stop) => break,
            };
            let Some(free) = free else { break };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = round.tick() => {
                    pulse.beat();
                    continue;
                }
                () = told(&mut stop) => break,
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
            let Some(place) = places.give(free, peer.ip()) else {
                debug!(%peer, "no place for another connection of this address");
                continue;
            };
            debug!(%peer, "connection");
            let (acceptor, router, limits) = (self.acceptor.clone(), router.clone(), state.limits.now());
            let watcher = graceful.watcher();
            let open = state.operation.metrics.connection("tcp");
            tokio::spawn(async move {
                serve(stream, &acceptor, router, &limits, watcher).await;
                drop((place, open));
            });
        }
        drop(self);
        if timeout(state.limits.drain(), graceful.shutdown()).await.is_err() {
            info!("connections were still open after the drain time");
        }
    }
}

async fn serve(stream: TcpStream, acceptor: &TlsAcceptor, router: Router, limits: &Limits, watcher: Watcher) {
    let Ok(from) = stream.peer_addr() else { return };
    // Answers are small and somebody waits for them.
    if let Err(why) = stream.set_nodelay(true) {
        debug!(%why, "no delay");
    }
    let shaken = async { Some(acceptor.accept(only_tls(stream).await?).await) };
    let stream = match timeout(limits.handshake(), shaken).await {
        Ok(Some(Ok(stream))) => stream,
        Ok(Some(Err(why))) => return debug!(%why, "handshake refused"),
        Ok(None) => return,
        Err(_) => return debug!("handshake took too long"),
    };
    let tls = stream.get_ref().1;
    let certificate = PeerCertificate::of(tls.peer_certificates().and_then(|chain| chain.first()));
    let peer = Peer { certificate, address: PeerAddress(from.ip()) };
    let share = Share::of(certificate);
    // What comes between requests of HTTP/2 may be an answer to a ping.
    let beginnings = tls.alpn_protocol() != Some(PROTOCOLS[0]);
    let activity = Activity::new();
    let quiet = activity.quiet(limits.request(), limits.idle());
    let stream = Listening { stream, activity: beginnings.then(|| activity.clone()) };
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        peer.tell(request.extensions_mut());
        let (working, activity) = (activity.begin(), activity.clone());
        let answer = TowerToHyperService::new(router.clone()).call(request);
        async move { answer.await.map(|answer| working.until_answered(answer, &activity)) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // How long a head takes is measured here: there the time between requests would count too.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(share.streams)
        .max_header_list_size(HEAD as u32)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(share.window())
        .keep_alive_interval(limits.request())
        .keep_alive_timeout(limits.request());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = watcher.watch(connection.into_owned()) => if let Err(why) = ended {
            debug!(%why, "connection ended");
        },
        () = quiet => debug!("connection idle or slow for too long"),
    }
}

/// A stream that tells when something comes.
struct Listening {
    stream: TlsStream<TcpStream>,
    activity: Option<Activity>,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(activity) = self.activity.as_ref().filter(|_| buffer.filled().len() > before) {
            activity.heard();
        }
        read
    }
}

impl AsyncWrite for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
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
