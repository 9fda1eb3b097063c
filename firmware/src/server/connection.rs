//! What connections have in common, whatever protocol they speak: who is at the other end, and whether anything goes on.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::{sync::watch, time::timeout};

/// SHA-256 of the certificate that the peer proved to hold, if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerCertificate(pub(crate) Option<[u8; 32]>);

/// Said with an answer that takes long: the connection is not idle until its last byte is taken. Who makes it sees to it
/// that a client which takes nothing gets no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongAnswer;

/// Streams of one connection at a time.
pub(super) const STREAMS: u32 = 32;
/// Bytes of a request's head.
pub(super) const HEAD: usize = 16 << 10;

/// Counts a request while it is worked on, and a long answer until its end.
pub(super) async fn counted(busy: watch::Sender<usize>, request: Request, next: Next) -> Response {
    let working = Working::begin(busy);
    let response = next.run(request).await;
    if response.extensions().get::<LongAnswer>().is_none() {
        return response;
    }
    response.map(|body| Body::new(Counted { body, _working: working }))
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
pub(super) async fn idle(mut activity: watch::Receiver<usize>, limit: Duration) {
    loop {
        match timeout(limit, activity.changed()).await {
            Err(_) if *activity.borrow() == 0 => return,
            // Nobody counts any more: the connection is ending by itself.
            Ok(Err(_)) => return std::future::pending().await,
            Ok(Ok(())) | Err(_) => {}
        }
    }
}
