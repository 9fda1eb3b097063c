//! What connections have in common, whatever protocol they speak: who is at the other end, what he may use, and whether
//! anything goes on.

use std::{
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::Extensions,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tokio::{sync::watch, time::timeout};

/// SHA-256 of the certificate that the peer proved to hold, if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerCertificate(pub(crate) Option<[u8; 32]>);

impl PeerCertificate {
    /// Of the first certificate of a chain that was verified.
    pub(super) fn of(leaf: Option<&CertificateDer<'_>>) -> Self {
        Self(leaf.map(|certificate| Sha256::digest(certificate).into()))
    }
}

/// Where the peer is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// Who is at the other end, as every request on a connection tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) certificate: PeerCertificate,
    pub(super) address: PeerAddress,
}

impl Peer {
    /// Says it with a request. Not as a layer of the router: that would be a router of its own for each connection.
    pub(super) fn tell(self, extensions: &mut Extensions) {
        extensions.insert(self.certificate);
        extensions.insert(self.address);
    }
}

/// Said with an answer that takes long: the connection is not idle while the box makes the next part of it. A client that
/// takes none for the idle time gets no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongAnswer;

/// Bytes of a request's head.
pub(super) const HEAD: usize = 16 << 10;
/// Bytes of a body that a client may send before somebody reads them.
pub(super) const WINDOW: u32 = 64 << 10;

/// What a connection may hold. Its window is that of all its requests, so that none of them waits for another to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Requests at a time.
    pub(super) streams: u32,
}

impl Share {
    /// Of who has shown a certificate of this box.
    pub(super) const CLIENT: Self = Self { streams: 32 };
    /// Of everybody else.
    pub(super) const STRANGER: Self = Self { streams: 4 };

    pub(super) fn of(peer: PeerCertificate) -> Self {
        if peer.0.is_some() { Self::CLIENT } else { Self::STRANGER }
    }

    /// Bytes that may be sent before somebody reads them.
    pub(super) fn window(self) -> u32 {
        self.streams * WINDOW
    }
}

/// Waits until it is said that no more is to be begun.
pub(super) async fn told(stop: &mut watch::Receiver<bool>) {
    // Who would say it has gone: the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What goes on on a connection of TCP. Cheap to clone.
#[derive(Clone)]
pub(super) struct Activity(watch::Sender<Going>);

#[derive(Clone, Copy, Default)]
struct Going {
    /// Requests that the box works on.
    requests: usize,
    /// Whether something came since the last of them: a head that is not whole yet.
    heard: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Going::default()))
    }

    /// Counts a request from here to where it is dropped.
    pub(super) fn begin(&self) -> Working {
        self.0.send_modify(|going| *going = Going { requests: going.requests + 1, heard: false });
        Working(self.0.clone())
    }

    /// Something came: unless there is a request, it is the beginning of one.
    pub(super) fn heard(&self) {
        self.0.send_if_modified(|going| {
            let first = going.requests == 0 && !going.heard;
            going.heard |= first;
            first
        });
    }

    /// Resolves when there was no request for too long: for the idle time, or for the time of a head once one has begun.
    /// A client can keep a connection alive with nothing but answers to pings, and the connections are counted.
    pub(super) fn quiet(&self, head: Duration, idle: Duration) -> impl Future<Output = ()> + use<> {
        let mut going = self.0.subscribe();
        async move {
            loop {
                let limit = if going.borrow_and_update().heard { head } else { idle };
                match timeout(limit, going.changed()).await {
                    Err(_) if going.borrow().requests == 0 => return,
                    // Nobody counts any more: the connection is ending by itself.
                    Ok(Err(_)) => return std::future::pending().await,
                    Ok(Ok(())) | Err(_) => {}
                }
            }
        }
    }
}

/// A request that the box works on.
pub(super) struct Working(watch::Sender<Going>);

impl Working {
    /// Ends with the answer's head, or with a long answer's last byte.
    pub(super) fn until_answered(self, response: Response, activity: &Activity) -> Response {
        if response.extensions().get::<LongAnswer>().is_none() {
            return response;
        }
        let activity = activity.clone();
        response.map(|body| Body::new(Counted { body, activity, working: Some(self) }))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|going| going.requests -= 1);
    }
}

/// A long answer: worked on while its next part is made, and the client's turn while that is not taken.
struct Counted {
    body: Body,
    activity: Activity,
    working: Option<Working>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.working.is_none() {
            this.working = Some(this.activity.begin());
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if polled.is_ready() {
            this.working = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Instant};

    use tokio::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(600);
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_connection_without_a_request_is_idle_and_one_with_half_a_head_is_slow() {
        let activity = Activity::new();
        let began = Instant::now();
        activity.quiet(LONG, SHORT).await;
        assert!(began.elapsed() >= SHORT);
        drop(activity.begin());
        activity.heard();
        timeout(PATIENCE, activity.quiet(SHORT, LONG)).await.unwrap();
        drop(activity.begin());
        assert!(timeout(2 * SHORT, activity.quiet(SHORT, LONG)).await.is_err(), "what was heard is answered");
        let working = activity.begin();
        assert!(timeout(2 * SHORT, activity.quiet(SHORT, SHORT)).await.is_err());
        drop(working);
        timeout(PATIENCE, activity.quiet(SHORT, SHORT)).await.unwrap();
    }

    /// A body whose parts somebody sends.
    struct Parts(mpsc::Receiver<Bytes>);

    impl HttpBody for Parts {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
        }
    }

    #[tokio::test]
    async fn a_long_answer_is_worked_on_while_it_is_made_and_idle_while_nobody_takes_it() {
        let (parts, receiver) = mpsc::channel(1);
        let activity = Activity::new();
        let mut response = Response::new(Body::new(Parts(receiver)));
        response.extensions_mut().insert(LongAnswer);
        let mut body = activity.begin().until_answered(response, &activity).into_body();
        // The client waits for the next part, however long that takes.
        let waits =
            poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context).is_pending())).await;
        assert!(waits);
        assert!(timeout(3 * SHORT, activity.quiet(SHORT, SHORT)).await.is_err());
        parts.send(Bytes::from_static(b"part")).await.unwrap();
        assert!(poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some());
        // Now it is the client's turn, and it takes nothing.
        timeout(PATIENCE, activity.quiet(SHORT, SHORT)).await.unwrap();
    }
}
