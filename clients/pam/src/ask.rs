//! One question to the agent, over its socket.
//!
//! Invariant: only the agent is asked, and root; it ends by its deadline, whatever the agent does; and a connection that is
//! closed here ends the question there.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use authenteon_agent_protocol::{LONGEST, Login, NotUnderstood, Question, Why, Word};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use nix::unistd::User;

use crate::interrupt::Interrupt;
use crate::options::{Options, Ticket};
use crate::ticket::{Cache, take};

const INTERRUPTED: &str = "interrupted";

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the person; and what became of the ticket, where one is wanted.
    Accepted(Option<Result<Cache, String>>),
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

/// Asks, and shows what happens until it is answered, or until the person is shown something and wants no more: that is false.
pub(crate) fn ask(
    options: &Options,
    login: Login,
    deadline: Instant,
    interrupt: Option<&Interrupt>,
    show: &mut dyn FnMut(Shown<'_>) -> bool,
) -> Outcome {
    converse(options, login, deadline, interrupt, show).unwrap_or_else(Outcome::Away)
}

fn converse(
    options: &Options,
    login: Login,
    deadline: Instant,
    interrupt: Option<&Interrupt>,
    show: &mut dyn FnMut(Shown<'_>) -> bool,
) -> Result<Outcome, String> {
    let away = |why: &dyn std::fmt::Display| format!("no agent at {}: {why}", options.socket.display());
    let mut stream = open(&options.socket).map_err(|why| away(&why))?;
    let agent = getsockopt(&stream, PeerCredentials).map_err(|why| away(&why))?.uid();
    if !trusted(agent, || user(&options.agent)) {
        return Err(away(&format!(
            "user {agent} listens there, which is neither {} nor root",
            options.agent
        )));
    }
    let wants_ticket = options.ticket != Ticket::No;
    let wait = u32::try_from(left(deadline).as_millis()).unwrap_or(u32::MAX);
    let question =
        Question::new(login, wait).with_ticket(wants_ticket).line().map_err(|why| why.to_string())?;
    // So short a line is taken at once, or the agent does not listen.
    stream.write_all(&question).map_err(|why| away(&why))?;
    let mut lines = Lines::default();
    loop {
        match next(&mut stream, &mut lines, deadline, interrupt)? {
            Word::PlaceFinger {} => {
                // A prompt waits for the person, who may press Ctrl-C at it.
                let _aside = interrupt.filter(|_| options.enter).map(Interrupt::aside);
                if !show(Shown::Place) {
                    return Err(INTERRUPTED.to_owned());
                }
            }
            Word::Again { hint } => {
                show(Shown::Hint(&hint));
            }
            // Who was kept by a prompt may read an answer that came in time, and is too late for it.
            _ if left(deadline).is_zero() => return Err(Why::NoFinger.to_string()),
            Word::Accepted { .. } if !wants_ticket => return Ok(Outcome::Accepted(None)),
            Word::Accepted { ticket: Some(path), .. } => {
                return Ok(Outcome::Accepted(Some(take(&path, agent))));
            }
            Word::Accepted { no_ticket, .. } => {
                let why = no_ticket.unwrap_or_else(|| "the agent gives none".to_owned());
                return Ok(Outcome::Accepted(Some(Err(why))));
            }
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

/// Whether this user is one who may say that somebody was accepted. Who the agent is, is looked up for others than root.
fn trusted(peer: u32, agent: impl FnOnce() -> Option<u32>) -> bool {
    peer == 0 || agent() == Some(peer)
}

/// The number of a user.
fn user(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
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
            Ok(_) if interrupt.is_some_and(Interrupt::came) => return Err(INTERRUPTED.to_owned()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(why) => return Err(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
