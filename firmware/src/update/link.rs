//! How the daemon asks the agent: a connection a request, blocking, with a limit on every wait.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use super::{
    install::Progress,
    protocol::{LONGEST_LINE, Refusal, Reply, Request, Status},
};

/// The longest that the agent is silent: a slow card that makes a megabyte durable.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why the agent did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It cannot be asked.
    #[error("the update agent does not answer: {0}")]
    Io(#[from] io::Error),
    /// It says what nobody understands.
    #[error("the update agent's answer makes no sense: {0}")]
    Answer(String),
    /// It refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Where the agent listens.
#[derive(Clone, Debug)]
pub struct Link(PathBuf);

impl Link {
    /// The agent at a socket; nothing is connected yet.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self(socket)
    }

    /// Asks, and waits for the end.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn ask(&self, request: &Request, tell: &mut dyn FnMut(Progress)) -> Result<Status, LinkError> {
        let mut stream = UnixStream::connect(&self.0)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut replies = BufReader::new(stream);
        loop {
            line.clear();
            (&mut replies).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
            let reply = serde_json::from_slice(&line).map_err(|why| LinkError::Answer(why.to_string()))?;
            match reply {
                Reply::Progress(progress) => tell(progress),
                Reply::Done(status) => return Ok(status),
                Reply::Error(why) => return Err(why.into()),
            }
        }
    }
}
