//! The agent's socket: one request a connection, a few connections at a time, each with a limit on
//! how long and how much it may say.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tracing::{debug, warn};

use super::{Agent, AgentError, refusal};
use crate::update::protocol::{Kind, LONGEST_LINE, Reply, Request};

/// Connections at a time. The daemon needs two: one that installs and one that asks.
const CONNECTIONS: usize = 8;
/// Time to say the request, and to take each line of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For the daemon's group and nobody else.
const MODE: u32 = 0o660;

/// Answers on a socket at `path` for as long as the process lives.
///
/// # Errors
/// [`AgentError::Socket`].
pub fn serve(agent: &Arc<Agent>, path: &Path, group: Option<u32>) -> Result<(), AgentError> {
    let listener = listen(path, group).map_err(AgentError::Socket)?;
    let watched = Arc::clone(agent);
    thread::Builder::new()
        .name("restart".to_owned())
        .spawn(move || watched.watch())
        .map_err(AgentError::Socket)?;
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(why) => {
                warn!(%why, "cannot accept a connection");
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        let place = Place::take(&open);
        let agent = Arc::clone(agent);
        let spawned = thread::Builder::new().name("request".to_owned()).spawn(move || {
            let Some(_place) = place else {
                let _ = say(&stream, &Reply::Error(refusal(Kind::Busy, "too many ask at a time")));
                return;
            };
            if let Err(why) = answer(&agent, &stream) {
                debug!(%why, "whoever asked has gone");
            }
        });
        if let Err(why) = spawned {
            warn!(%why, "cannot answer a connection");
        }
    }
    Ok(())
}

/// One of the connections, counted until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::Relaxed) < CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn listen(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    // A socket that a killed agent left behind answers nobody.
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}

fn answer(agent: &Agent, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_until(b'\n', &mut line)?;
    let request: Request = match serde_json::from_slice(&line) {
        Ok(request) if line.ends_with(b"\n") => request,
        Ok(_) => return say(stream, &Reply::Error(refusal(Kind::Request, "a request ends with a newline"))),
        Err(why) => return say(stream, &Reply::Error(refusal(Kind::Request, why.to_string()))),
    };
    // An installation goes on when nobody listens any more.
    let mut listening = true;
    let done = agent.handle(&request, &mut |progress| {
        listening = listening && say(stream, &Reply::Progress(progress)).is_ok();
    });
    if let Err(why) = &done {
        warn!(kind = ?why.kind, why = why.detail, "refused");
    }
    say(stream, &done.map_or_else(Reply::Error, Reply::Done))
}

fn say(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}
