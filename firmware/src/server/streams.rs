//! QUIC's streams as HTTP/3 wants them, over quinn.
//!
//! `h3` keeps what it cannot decode yet and has no bound of its own, so the bound is here: a stream gives so many
//! bytes and no more until somebody has made sense of them. Invariants: nothing here panics, whatever the peer does
//! and in whatever order it is called; an answer that was not finished is reset and never looks whole.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::{ConnectionError, ReadError, StoppedError, VarInt, WriteError};

use super::connection::HEAD;

/// Bytes that are read at a time.
const PIECE: usize = 8 << 10;
/// Bytes of a head's frame: what is a little too large is read, and answered with a status.
const HEAD_ON_THE_WIRE: usize = 2 * HEAD;
/// Bytes that a body's stream gives until some of them are data: whatever else is in between must fit.
const BETWEEN: usize = 64 << 10;
/// Bytes of a control stream in the whole life of its connection: settings, and some hundred thousand small frames.
const CONTROL: usize = 1 << 20;

type Opened<T> = Pin<Box<dyn Future<Output = Result<T, ConnectionError>> + Send>>;
/// Resolves when the peer wants no answer any more, or has all of it.
pub(super) type Gone = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send>>;

/// What is known of a request's stream beside what `h3` does with it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Side(Arc<Known>);

struct Known {
    /// Bytes that the peer's part may still give.
    left: AtomicUsize,
    /// Whether the answer is ours to give, and half of it must not pass for all.
    answering: AtomicBool,
}

impl Side {
    fn new(bytes: usize) -> Self {
        Self(Arc::new(Known { left: AtomicUsize::new(bytes), answering: AtomicBool::new(false) }))
    }

    /// The head is read, and somebody answers.
    pub(super) fn answering(&self) {
        self.0.answering.store(true, Ordering::Relaxed);
        self.renew();
    }

    /// What came made sense: the next part of a body may come.
    pub(super) fn renew(&self) {
        self.0.left.store(BETWEEN, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.0.left.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: usize) {
        // Renewed and spent by the one task that reads the stream.
        self.0.left.store(self.left().saturating_sub(bytes), Ordering::Relaxed);
    }
}

/// Where the side of the stream that was accepted last is found.
#[derive(Clone, Default)]
pub(super) struct Latest(Arc<Mutex<Option<(Side, Gone)>>>);

impl Latest {
    /// Takes it.
    pub(super) fn take(&self) -> Option<(Side, Gone)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, side: (Side, Gone)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(side);
    }
}

/// A connection.
pub(super) struct Connection {
    connection: quinn::Connection,
    requests: Opened<(quinn::SendStream, quinn::RecvStream)>,
    controls: Opened<quinn::RecvStream>,
    opener: Opener,
    latest: Latest,
}

impl Connection {
    /// A connection, and where the side of each accepted stream is found.
    pub(super) fn new(connection: quinn::Connection) -> (Self, Latest) {
        let latest = Latest::default();
        let this = Self {
            requests: next_request(&connection),
            controls: next_control(&connection),
            opener: Opener { connection: connection.clone(), opening: None, opening_both: None },
            connection,
            latest: latest.clone(),
        };
        (this, latest)
    }
}

fn next_request(connection: &quinn::Connection) -> Opened<(quinn::SendStream, quinn::RecvStream)> {
    let connection = connection.clone();
    Box::pin(async move { connection.accept_bi().await })
}

fn next_control(connection: &quinn::Connection) -> Opened<quinn::RecvStream> {
    let connection = connection.clone();
    Box::pin(async move { connection.accept_uni().await })
}

impl<B: Buf> quic::Connection<B> for Connection {
    type RecvStream = Receiving;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Receiving, ConnectionErrorIncoming>> {
        let accepted = ready!(self.controls.as_mut().poll(context));
        self.controls = next_control(&self.connection);
        Poll::Ready(accepted.map_err(lost).and_then(|stream| Receiving::new(stream, Side::new(CONTROL))))
    }

    fn poll_accept_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Both<B>, ConnectionErrorIncoming>> {
        let accepted = ready!(self.requests.as_mut().poll(context));
        self.requests = next_request(&self.connection);
        Poll::Ready(accepted.map_err(lost).and_then(|(send, receive)| {
            let side = Side::new(HEAD_ON_THE_WIRE);
            self.latest.put((side.clone(), Box::pin(send.stopped())));
            Both::new(send, receive, side)
        }))
    }

    fn opener(&self) -> Opener {
        Opener { connection: self.connection.clone(), opening: None, opening_both: None }
    }
}

impl<B: Buf> quic::OpenStreams<B> for Connection {
    type BidiStream = Both<B>;
    type SendStream = Sending<B>;

    fn poll_open_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<Both<B>, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(context)
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<Sending<B>, StreamErrorIncoming>> {
        self.opener.poll_open_send(context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<B>::close(&mut self.opener, code, reason);
    }
}

/// Opens streams.
pub(super) struct Opener {
    connection: quinn::Connection,
    opening: Option<Opened<quinn::SendStream>>,
    opening_both: Option<Opened<(quinn::SendStream, quinn::RecvStream)>>,
}

impl<B: Buf> quic::OpenStreams<B> for Opener {
    type BidiStream = Both<B>;
    type SendStream = Sending<B>;

    fn poll_open_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<Both<B>, StreamErrorIncoming>> {
        let connection = &self.connection;
        let opening = self.opening_both.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_bi().await })
        });
        let opened = ready!(opening.as_mut().poll(context));
        self.opening_both = None;
        let both =
            opened.map_err(lost).and_then(|(send, receive)| Both::new(send, receive, Side::new(CONTROL)));
        Poll::Ready(both.map_err(with_connection))
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<Sending<B>, StreamErrorIncoming>> {
        let connection = &self.connection;
        let opening = self.opening.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(context));
        self.opening = None;
        let sending = opened.map_err(lost).and_then(|stream| Sending::new(stream, Side::new(0)));
        Poll::Ready(sending.map_err(with_connection))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(number(code.value()), reason);
    }
}

/// Both directions of a stream.
pub(super) struct Both<B> {
    send: Sending<B>,
    receive: Receiving,
}

impl<B> Both<B> {
    fn new(
        send: quinn::SendStream,
        receive: quinn::RecvStream,
        side: Side,
    ) -> Result<Self, ConnectionErrorIncoming> {
        Ok(Self { send: Sending::new(send, side.clone())?, receive: Receiving::new(receive, side)? })
    }
}

impl<B: Buf> quic::BidiStream<B> for Both<B> {
    type SendStream = Sending<B>;
    type RecvStream = Receiving;

    fn split(self) -> (Sending<B>, Receiving) {
        (self.send, self.receive)
    }
}

impl<B: Buf> quic::RecvStream for Both<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(context)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl<B: Buf> quic::SendStream<B> for Both<B> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(context)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(context)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// What the peer sends.
pub(super) struct Receiving {
    id: StreamId,
    stream: quinn::RecvStream,
    side: Side,
}

impl Receiving {
    fn new(stream: quinn::RecvStream, side: Side) -> Result<Self, ConnectionErrorIncoming> {
        Ok(Self { id: identifier(stream.id())?, stream, side })
    }
}

impl quic::RecvStream for Receiving {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let left = self.side.left().min(PIECE);
        if left == 0 {
            return Poll::Ready(Err(StreamErrorIncoming::Unknown("more than a frame may hold".into())));
        }
        // Together, however small the parts are that they came in.
        let mut piece = [0; PIECE];
        let read = ready!(self.stream.poll_read(context, &mut piece[..left])).map_err(unread)?;
        self.side.spend(read);
        Poll::Ready(Ok((read > 0).then(|| Bytes::copy_from_slice(&piece[..read]))))
    }

    fn stop_sending(&mut self, code: u64) {
        // It may have ended by itself.
        let _ = self.stream.stop(number(code));
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Whoever answers before he has read all is not to be sent the rest; nothing is wrong with that.
        let _ = self.stream.stop(number(Code::H3_NO_ERROR.value()));
    }
}

/// What the peer gets.
pub(super) struct Sending<B> {
    id: StreamId,
    stream: quinn::SendStream,
    writing: Option<WriteBuf<B>>,
    /// Whether anything was written.
    begun: bool,
    /// Once it is finished: whether the peer has all of it.
    taken: Option<Gone>,
    side: Side,
}

impl<B> Sending<B> {
    fn new(stream: quinn::SendStream, side: Side) -> Result<Self, ConnectionErrorIncoming> {
        Ok(Self { id: identifier(stream.id())?, stream, writing: None, begun: false, taken: None, side })
    }
}

impl<B: Buf> quic::SendStream<B> for Sending<B> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(data) = &mut self.writing {
            while data.has_remaining() {
                let stream = Pin::new(&mut self.stream);
                let written = ready!(stream.poll_write(context, data.chunk())).map_err(unwritten)?;
                data.advance(written);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown("written before the last was".into()));
        }
        self.writing = Some(data.into());
        self.begun = true;
        Ok(())
    }

    /// Finishes the stream and waits until the peer has all of it.
    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if self.taken.is_none() {
            self.stream.finish().map_err(|why| StreamErrorIncoming::Unknown(Box::new(why)))?;
        }
        let stream = &self.stream;
        let taken = self.taken.get_or_insert_with(|| Box::pin(stream.stopped()));
        Poll::Ready(match ready!(taken.as_mut().poll(context)) {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }),
            Err(StoppedError::ConnectionLost(why)) => Err(with_connection(lost(why))),
            Err(why) => Err(StreamErrorIncoming::Unknown(Box::new(why))),
        })
    }

    fn reset(&mut self, code: u64) {
        // It may have ended by itself.
        let _ = self.stream.reset(number(code));
    }

    fn send_id(&self) -> StreamId {
        self.id
    }
}

impl<B> Drop for Sending<B> {
    fn drop(&mut self) {
        // What `h3` itself answers to a head that is too large is whole.
        if self.taken.is_none() && (self.side.0.answering.load(Ordering::Relaxed) || !self.begun) {
            // Else it would be finished, and half an answer would be taken for a whole one.
            let _ = self.stream.reset(number(Code::H3_REQUEST_CANCELLED.value()));
        }
    }
}

/// An error code; those of HTTP/3 are all small.
fn number(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn identifier(id: quinn::StreamId) -> Result<StreamId, ConnectionErrorIncoming> {
    // Both have 62 bits.
    StreamId::try_from(u64::from(id)).map_err(|why| ConnectionErrorIncoming::InternalError(why.to_string()))
}

fn lost(why: ConnectionError) -> ConnectionErrorIncoming {
    match why {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        why => ConnectionErrorIncoming::Undefined(Arc::new(why)),
    }
}

fn with_connection(connection_error: ConnectionErrorIncoming) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error }
}

fn unread(why: ReadError) -> StreamErrorIncoming {
    match why {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(why) => with_connection(lost(why)),
        why => StreamErrorIncoming::Unknown(Box::new(why)),
    }
}

fn unwritten(why: WriteError) -> StreamErrorIncoming {
    match why {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(why) => with_connection(lost(why)),
        why => StreamErrorIncoming::Unknown(Box::new(why)),
    }
}
