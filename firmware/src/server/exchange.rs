//! A request of HTTP/3 and its answer: what `h3` reads becomes a request for the router, and its answer is written,
//! both bodies as they come.
//!
//! Invariant: a body that is shorter or longer than its head says is an error to who reads it, and an answer that
//! fails half-way is reset.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{
        Method, Request, Response,
        header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
    },
};
use bytes::Buf;
use h3::{
    error::Code,
    server::{RequestResolver, RequestStream},
};
use http_body_util::BodyExt;
use hyper::{
    body::{Frame, SizeHint},
    service::Service,
};
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;
use tracing::debug;

use super::{
    connection::Peer,
    streams::{Connection, Gone, Receiving, Sending, Side},
};
use crate::config::Limits;

/// Answers a request, and says whether the client has the answer.
pub(super) async fn answer(
    request: RequestResolver<Connection, Bytes>,
    side: Side,
    gone: Gone,
    router: Router,
    peer: Peer,
    limits: Limits,
) -> bool {
    let (request, stream) = match timeout(limits.request(), request.resolve_request()).await {
        Ok(Ok(read)) => read,
        Ok(Err(why)) => {
            debug!(%why, "no request");
            return false;
        }
        Err(_) => {
            debug!("a head took too long");
            return false;
        }
    };
    side.answering();
    let (send, stream) = stream.split();
    let length = request.headers().get(CONTENT_LENGTH).map(|v| v.to_str().ok().and_then(|v| v.parse().ok()));
    let Ok(left) = length.map_or(Ok(None), |length| length.ok_or(()).map(Some)) else {
        debug!("a length that is no number");
        return false;
    };
    let only_head = request.method() == Method::HEAD;
    let mut request = request.map(|()| Body::new(Incoming { stream, side, left, ended: false }));
    peer.tell(request.extensions_mut());
    tokio::select! {
        biased;
        answered = respond(request, router, send, only_head, limits.idle()) => answered,
        // Nobody waits for it any more.
        _ = gone => false,
    }
}

async fn respond(
    request: Request<Body>,
    router: Router,
    mut send: RequestStream<Sending<Bytes>, Bytes>,
    only_head: bool,
    patience: Duration,
) -> bool {
    let Ok(answer) = TowerToHyperService::new(router).call(request).await;
    let (mut head, mut body) = answer.into_parts();
    for of_older_versions in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        head.headers.remove(of_older_versions);
    }
    // A client that takes nothing for so long gets no more: dropped, the stream is reset.
    if !matches!(timeout(patience, send.send_response(Response::from_parts(head, ()))).await, Ok(Ok(()))) {
        return false;
    }
    while !only_head && let Some(frame) = body.frame().await {
        let data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) if data.has_remaining() => data,
            Ok(_) => continue,
            Err(why) => {
                debug!(%why, "an answer ended early");
                send.stop_stream(Code::H3_INTERNAL_ERROR);
                return false;
            }
        };
        if !matches!(timeout(patience, send.send_data(data)).await, Ok(Ok(()))) {
            return false;
        }
    }
    matches!(timeout(patience, send.finish()).await, Ok(Ok(())))
}

/// The body of a request.
struct Incoming {
    stream: RequestStream<Receiving, Bytes>,
    side: Side,
    /// Bytes that are to come, where the head says how many.
    left: Option<u64>,
    ended: bool,
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let error = |why: &str| Some(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        Poll::Ready(match ready!(this.stream.poll_recv_data(context)) {
            Ok(Some(mut data)) => {
                let data = data.copy_to_bytes(data.remaining());
                this.side.renew();
                if let Some(left) = &mut this.left {
                    let Some(rest) = left.checked_sub(data.len() as u64) else {
                        this.ended = true;
                        return Poll::Ready(error("longer than its head says"));
                    };
                    *left = rest;
                }
                Some(Ok(Frame::data(data)))
            }
            Ok(None) => {
                this.ended = true;
                if this.left.is_some_and(|left| left > 0) {
                    error("shorter than its head says")
                } else {
                    None
                }
            }
            Err(why) => {
                this.ended = true;
                Some(Err(io::Error::other(why)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
