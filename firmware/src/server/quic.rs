//! HTTP/3 on the UDP port of the same number: QUIC with the certificates of TCP.
//!
//! One task accepts; each connection is a task of its own, bounded in number, time and memory. An address that asks for
//! much while much goes on has to show first that it is there. `h3` calls itself experimental, and nothing but this
//! port depends on it: `[server] http3 = false` closes it.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::QuicServerConfig,
};
use tokio::{
    sync::{mpsc, watch},
    time::{interval, timeout},
};
use tracing::{debug, info};

use super::{
    ROUND, ServeError, State,
    connection::{Share, WINDOW, told},
    http3,
    tls::Tls,
};
use crate::{
    config::Limits,
    places::{Place, Places},
};

/// The protocol that is spoken here.
const PROTOCOL: &[u8] = b"h3";
/// Streams of a client that are no requests: three of HTTP/3 itself, and some that nobody knows yet.
const OTHER_STREAMS: u32 = 8;
/// Bytes of answers that a client has not taken yet.
const SENT: u32 = 512 << 10;
/// Handshakes at a time until addresses have to show that they are there.
const HANDSHAKES: usize = 32;
/// Attempts that wait to be looked at, and bytes that each and all of them bring.
const WAITING: usize = 256;
const WAITING_BYTES: u64 = 64 << 10;
const ALL_WAITING_BYTES: u64 = 4 << 20;
/// Last words get this long to be sent.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Binds the UDP port.
///
/// # Errors
/// [`ServeError`].
pub(super) fn bind(address: SocketAddr, tls: &Tls, limits: &Limits) -> Result<Endpoint, ServeError> {
    let listen = |why| ServeError::Udp { address, why };
    let quic = QuicServerConfig::try_from(tls.config(&[PROTOCOL])?)
        .map_err(|why| listen(std::io::Error::other(why)))?;
    let mut config = ServerConfig::with_crypto(Arc::new(quic));
    config
        .transport_config(Arc::new(transport(limits)))
        .max_incoming(WAITING)
        .incoming_buffer_size(WAITING_BYTES)
        .incoming_buffer_size_total(ALL_WAITING_BYTES);
    let socket = UdpSocket::bind(address).map_err(listen)?;
    Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime)).map_err(listen)
}

fn transport(limits: &Limits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    // Until it is known who it is, and then a client gets more.
    let share = Share::STRANGER;
    // Who waits for a finger says nothing for long, and one who has gone does not either: so he is asked.
    let dead = u32::try_from(3 * limits.request().as_millis()).unwrap_or(u32::MAX);
    transport
        .max_concurrent_bidi_streams(share.streams.into())
        .max_concurrent_uni_streams(OTHER_STREAMS.into())
        .stream_receive_window(WINDOW.into())
        .receive_window(share.window().into())
        .send_window(SENT.into())
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(limits.request()))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(dead))));
    transport
}

/// Accepts until `stop` says so, then lets open requests finish for the drain time.
pub(super) async fn serve(
    endpoint: Endpoint,
    router: Router,
    state: &State,
    places: Places,
    mut stop: watch::Receiver<bool>,
) {
    // Every connection holds a sender: when none is left, all have ended.
    let (open, mut ended) = mpsc::channel::<()>(1);
    let shaking = Arc::new(());
    let pulse = state.operation.heartbeats.pulse("acceptor-quic");
    let mut round = interval(ROUND);
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = round.tick() => {
                pulse.beat();
                continue;
            }
            () = told(&mut stop) => break,
        };
        // The endpoint is not closed before.
        let Some(incoming) = incoming else { break };
        let peer = incoming.remote_address();
        let busy = Arc::strong_count(&shaking) > HANDSHAKES || places.crowded(peer.ip());
        if busy && !incoming.remote_address_validated() && incoming.may_retry() {
            debug!(%peer, "has to show that it is there");
            // It comes back with what it was sent, unless it is not where it says.
            if let Err(why) = incoming.retry() {
                debug!(%why, "cannot ask to come again");
            }
            continue;
        }
        let place = places.free_now().and_then(|free| places.give(free, peer.ip()));
        let Some(place) = place else {
            debug!(%peer, "no place for another connection");
            incoming.refuse();
            continue;
        };
        debug!(%peer, "connection");
        let (router, limits, stop) = (router.clone(), state.limits.now(), stop.clone());
        let counted = state.operation.metrics.connection("quic");
        let (open, shaking) = (open.clone(), Arc::clone(&shaking));
        tokio::spawn(async move {
            connection(incoming, router, limits, stop, shaking, place).await;
            drop((open, counted));
        });
    }
    endpoint.set_server_config(None);
    drop(open);
    if timeout(state.limits.drain(), ended.recv()).await.is_err() {
        info!("HTTP/3 connections were still open after the drain time");
    }
    endpoint.close(VarInt::from_u32(0), b"");
    // Whoever does not take them finds out by himself.
    let _ = timeout(LAST_WORDS, endpoint.wait_idle()).await;
}

async fn connection(
    incoming: Incoming,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
    shaking: Arc<()>,
    place: Place,
) {
    let shaken = async { incoming.accept()?.await };
    match timeout(limits.handshake(), shaken).await {
        Ok(Ok(connection)) => {
            drop(shaking);
            http3::serve(connection, router, limits, stop).await;
        }
        Ok(Err(why)) => debug!(%why, "handshake refused"),
        Err(_) => debug!("handshake took too long"),
    }
    drop(place);
}
