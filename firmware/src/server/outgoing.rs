//! What is too long for memory on its way out, written on a thread of its own: an export as it is read, and a backup,
//! written to a file without a name first, so that the store waits for no client, and sent from there; straight from the
//! store where the disk has no room for it.
//!
//! Invariant: a body that ends well is whole; what fails before its first byte is told as a problem.

use std::{
    error::Error,
    fs::File,
    io::{self, Seek, Write},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{Receiver, Sender, channel},
        oneshot,
    },
    time::timeout,
};
use tracing::{info, warn};

use super::{backups::SPARED, problem::Problem};
use crate::{
    backup::BackupError,
    request::Caller,
    services::{Passphrase, Services},
};

/// Parts that wait for a slow client.
const WAITING: usize = 8;
/// Bytes of a part.
const PART: usize = 64 << 10;
/// A client that takes nothing for so long gets no more.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked how much of the disk is free, in bytes that were written.
const LOOKED_AT: u64 = 8 << 20;

/// A backup to be taken. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) by: Caller,
    pub(crate) passphrase: Arc<Passphrase>,
    pub(crate) days: u32,
}

/// Takes a backup, with the disk of `folder` if there is one. Gives its body, and how long it is where that is known.
pub(crate) async fn take(
    services: Services,
    folder: Option<&Path>,
    asked: Asked,
) -> Result<(Body, Option<u64>), Problem> {
    if let Some(folder) = folder {
        let (folder, services, asked) = (folder.to_owned(), services.clone(), asked.clone());
        let spooled = tokio::task::spawn_blocking(move || spool(&folder, &services, &asked)).await;
        if let Some((mut file, length)) = spooled.map_err(|why| Problem::internal(&why))?? {
            let copy = move |mut out: Outgoing| -> Result<(), BackupError> {
                let copied = io::copy(&mut file, &mut out).and_then(|_| out.flush());
                copied.map_err(|why| BackupError::Io(why.to_string()))
            };
            return Ok((body(copy).await?, Some(length)));
        }
        info!("no room for a backup beside the store: it is sent as it is made");
    }
    let make = move |out: Outgoing| services.backup(&asked.by, &asked.passphrase, asked.days, out).map(drop);
    Ok((body(make).await?, None))
}

/// Writes a backup to a file; `None` when there is no room for it.
fn spool(folder: &Path, services: &Services, asked: &Asked) -> Result<Option<(File, u64)>, Problem> {
    let file = tempfile::tempfile_in(folder).map_err(|why| Problem::internal(&why))?;
    let mut out =
        Spool { folder, file: io::BufWriter::with_capacity(PART, file), written: 0, looked: 0, full: false };
    out.look().map_err(|why| Problem::internal(&why))?;
    let done = if out.full {
        Ok(())
    } else {
        services.backup(&asked.by, &asked.passphrase, asked.days, &mut out).map(drop)
    };
    if out.full {
        return Ok(None);
    }
    done?;
    let length = out.written;
    let file = out.file.into_inner().map_err(|why| Problem::internal(why.error()));
    let mut file = file?;
    file.rewind().map_err(|why| Problem::internal(&why))?;
    Ok(Some((file, length)))
}

/// A file that leaves some of the disk to the store.
struct Spool<'a> {
    folder: &'a Path,
    file: io::BufWriter<File>,
    written: u64,
    looked: u64,
    full: bool,
}

impl Spool<'_> {
    fn look(&mut self) -> io::Result<()> {
        let space = rustix::fs::statvfs(self.folder)?;
        self.full |= space.f_bavail * space.f_frsize < SPARED + LOOKED_AT;
        self.looked = self.written;
        Ok(())
    }
}

impl Write for Spool<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written - self.looked >= LOOKED_AT {
            self.look()?;
        }
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The body that somebody writes on a thread of his own.
pub(crate) async fn body<E: Fails>(
    write: impl FnOnce(Outgoing) -> Result<(), E> + Send + 'static,
) -> Result<Body, Problem> {
    let (ends, ended) = oneshot::channel();
    let (outgoing, stream) = pipe(ended);
    tokio::task::spawn_blocking(move || {
        let done = write(outgoing);
        if let Err(why) = &done {
            warn!(%why, "what was sent ended early");
        }
        // Nobody may be there any more.
        let _ = ends.send(done);
    });
    stream.begun().await
}

/// How writing a body fails: told as a problem before its first byte, by cutting it after.
pub(crate) trait Fails: Error + Into<Problem> + Send + Sync + 'static {}

impl<E: Error + Into<Problem> + Send + Sync + 'static> Fails for E {}

/// Takes what is written, and gives it to the client.
pub(crate) struct Outgoing {
    sender: Sender<Bytes>,
    handle: Handle,
    part: Vec<u8>,
}

/// The body that it becomes.
struct Stream<E> {
    receiver: Receiver<Bytes>,
    /// How it ended: nothing when it ended well.
    ended: oneshot::Receiver<Result<(), E>>,
}

/// What is written here is read there.
fn pipe<E>(ended: oneshot::Receiver<Result<(), E>>) -> (Outgoing, Stream<E>) {
    let (sender, receiver) = channel(WAITING);
    (Outgoing { sender, handle: Handle::current(), part: Vec::new() }, Stream { receiver, ended })
}

impl Outgoing {
    fn send(&mut self) -> io::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.part));
        // Inside, where there is a clock: the store reads on threads of its own.
        let sent = self.handle.block_on(async { timeout(PATIENCE, self.sender.send(part)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::other("the client has gone")),
            Err(_) => Err(io::Error::other("the client takes nothing any more")),
        }
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend(bytes);
        if self.part.len() >= PART {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.send() }
    }
}

impl<E: Fails> Stream<E> {
    /// Waits for the first part: what fails before it is told as a problem.
    async fn begun(mut self) -> Result<Body, Problem> {
        match self.receiver.recv().await {
            Some(first) => Ok(Body::new(Begun { first: Some(first), rest: self })),
            None => match self.ended.await {
                Ok(Err(why)) => Err(why.into()),
                _ => Err(Problem::internal(&"what was to be sent ended before it began")),
            },
        }
    }
}

struct Begun<E> {
    first: Option<Bytes>,
    rest: Stream<E>,
}

impl<E: Fails> HttpBody for Begun<E> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match ready!(self.rest.receiver.poll_recv(context)) {
            Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
            // Whoever gets a body that ends well must be able to rely on it.
            None => match ready!(Pin::new(&mut self.rest.ended).poll(context)) {
                Ok(Ok(())) => Poll::Ready(None),
                Ok(Err(why)) => Poll::Ready(Some(Err(io::Error::other(why)))),
                Err(why) => Poll::Ready(Some(Err(io::Error::other(why)))),
            },
        }
    }
}
