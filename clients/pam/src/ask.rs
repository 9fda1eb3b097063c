//! One question to the agent, over its socket.
//!
//! Invariant: it ends by its deadline, whatever the agent does; and a connection that is closed here ends the question there.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use authenteon_agent_protocol::{LONGEST, Login, NotUnderstood, Question, Why, Word};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::interrupt::Interrupt;

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the person.
    Accepted,
    /// It is not, or he is not let in.
    Refused,
    /// That was not found out: why, for an administrator.
    Away(String),
}

/// What the person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// The reader waits.
    Place,
    /// The print was of no use.
    Hint(&'a str),
    /// Why the box does not let him in.
    Refusal(&'a str),
}

/// Asks, and shows what happens until it is answered.
pub(crate) fn ask(
    path: &Path,
    login: Login,
    deadline: Instant,
    interrupt: Option<&Interrupt>,
    show: &mut dyn FnMut(Shown<'_>),
) -> Outcome {
    converse(path, login, deadline, interrupt, show).unwrap_or_else(Outcome::Away)
}

fn converse(
    path: &Path,
    login: Login,
    deadline: Instant,
    interrupt: Option<&Interrupt>,
    show: &mut dyn FnMut(Shown<'_>),
) -> Result<Outcome, String> {
    let away = |why: &dyn std::fmt::Display| format!("no agent at {}: {why}", path.display());
    let mut stream = open(path).map_err(|why| away(&why))?;
    let wait = u32::try_from(left(deadline).as_millis()).unwrap_or(u32::MAX);
    let question = Question::new(login, wait).line().map_err(|why| why.to_string())?;
    // So short a line is taken at once, or the agent does not listen.
    stream.write_all(&question).map_err(|why| away(&why))?;
    let mut lines = Lines::default();
    loop {
        match next(&mut stream, &mut lines, deadline, interrupt)? {
            Word::PlaceFinger {} => show(Shown::Place),
            Word::Again { hint } => show(Shown::Hint(&hint)),
            // Who was kept by a prompt may read an answer that came in time, and is too late for it.
            _ if left(deadline).is_zero() => return Err(Why::NoFinger.to_string()),
            Word::Accepted { .. } => return Ok(Outcome::Accepted),
            Word::Refused { hint } => {
                if let Some(hint) = hint {
                    show(Shown::Refusal(&hint));
                }
                return Ok(Outcome::Refused);
            }
            Word::Unavailable { why } => return Err(why.to_string()),
        }
    }
}

fn left(deadline: Instant) -> std::time::Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Connects without ever waiting: an agent whose queue is full is away.
fn open(path: &Path) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let made = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(made.as_raw_fd(), &address)?;
    Ok(UnixStream::from(made))
}

/// Bytes that have come, until they are a line.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The first line, if it is whole.
    fn take(&mut self) -> Option<Vec<u8>> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        Some(self.0.drain(..=end).collect())
    }
}

/// The next word of the agent.
fn next(
    stream: &mut UnixStream,
    lines: &mut Lines,
    deadline: Instant,
    interrupt: Option<&Interrupt>,
) -> Result<Word, String> {
    loop {
        if let Some(line) = lines.take() {
            return Word::read(&line).map_err(|why| why.to_string());
        }
        if lines.0.len() > LONGEST {
            return Err(NotUnderstood::TooLong.to_string());
        }
        wait(stream, deadline, interrupt)?;
        let mut piece = [0; 512];
        match stream.read(&mut piece) {
            Ok(0) => return Err("the agent hung up".to_owned()),
            Ok(count) => lines.0.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(why) => return Err(format!("the agent: {why}")),
        }
    }
}

/// Waits until there is something to read.
fn wait(stream: &UnixStream, deadline: Instant, interrupt: Option<&Interrupt>) -> Result<(), String> {
    loop {
        let left = left(deadline);
        if left.is_zero() {
            return Err(Why::NoFinger.to_string());
        }
        // Rounded up: a wait of nothing would turn in circles until the end.
        let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
        let mut watched = vec![PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        watched.extend(interrupt.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, timeout) {
            Ok(_) if interrupt.is_some_and(Interrupt::came) => return Err("interrupted".to_owned()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(why) => return Err(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
