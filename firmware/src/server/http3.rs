//! One HTTP/3 connection: its requests, each a task, and when it ends.
//!
//! Invariants: a request ends with its connection, and a connection that is let go in peace has given every answer it
//! began; who sends what comes to nothing again and again is let go.

use std::pin::pin;

use axum::Router;
use bytes::Bytes;
use h3::error::Code;
use rustls_pki_types::CertificateDer;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::debug;

use super::{
    connection::{HEAD, Peer, PeerAddress, PeerCertificate, Share, told},
    exchange,
    streams::Connection,
};
use crate::config::Limits;

/// Requests more that came to nothing than were answered, until a client is let go: it opens and resets, say.
const WASTED: usize = 100;

/// Serves a connection after its handshake, until it ends, is idle for too long, or `stop` says so and the last
/// answer is taken.
pub(super) async fn serve(
    connection: quinn::Connection,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let chain = connection.peer_identity().and_then(|it| it.downcast::<Vec<CertificateDer<'static>>>().ok());
    let peer = Peer {
        certificate: PeerCertificate::of(chain.as_ref().and_then(|chain| chain.first())),
        address: PeerAddress(connection.remote_address().ip()),
    };
    let share = Share::of(peer.certificate);
    if share != Share::STRANGER {
        connection.set_receive_window(share.window().into());
        connection.set_max_concurrent_bi_streams(share.streams.into());
    }
    let (transport, latest) = Connection::new(connection.clone());
    let mut builder = h3::server::builder();
    builder.max_field_section_size(HEAD as u64).send_grease(false);
    // It opens streams, which the peer may not let it.
    let mut http = match timeout(limits.handshake(), builder.build::<_, Bytes>(transport)).await {
        Ok(Ok(http)) => http,
        Ok(Err(why)) => {
            return debug!(%why, "no HTTP/3");
        }
        Err(_) => return debug!("a client that lets no streams be opened"),
    };
    let mut exchanges = JoinSet::new();
    let (mut wasted, mut ending, mut last) = (0_usize, false, false);
    let mut idle = pin!(sleep(limits.idle()));
    let code = loop {
        tokio::select! {
            accepted = http.accept(), if !last => match accepted {
                Ok(Some(request)) => if let Some((side, gone)) = latest.take() {
                    let router = router.clone();
                    exchanges.spawn(exchange::answer(request, side, gone, router, peer, limits));
                },
                // The client goes when it has its answers.
                Ok(None) => last = true,
                Err(why) => {
                    debug!(%why, "connection ended");
                    break Code::H3_NO_ERROR;
                }
            },
            Some(ended) = exchanges.join_next() => {
                let answered = ended.unwrap_or(false);
                wasted = if answered { wasted.saturating_sub(1) } else { wasted + 1 };
                if wasted > WASTED {
                    debug!("a client whose requests come to nothing");
                    break Code::H3_EXCESSIVE_LOAD;
                }
                idle.as_mut().reset(Instant::now() + limits.idle());
            }
            () = &mut idle, if exchanges.is_empty() => {
                debug!("connection idle for too long");
                break Code::H3_NO_ERROR;
            }
            () = told(&mut stop), if !ending => {
                ending = true;
                // One more than the last: that one is answered. A peer that does not let it be said is told less.
                let _ = timeout(limits.handshake(), http.shutdown(1)).await;
            }
        }
        if (ending || last) && exchanges.is_empty() {
            break Code::H3_NO_ERROR;
        }
    };
    // Before `http` is dropped, which has another code. All codes are small.
    connection.close(u32::try_from(code.value()).unwrap_or(u32::MAX).into(), b"");
}
