//! The socket, and a task for each connection.
//!
//! Invariant: so many connections at a time and no more, of which no one but root has more than his share; the socket is there
//! for everybody, since who asks is looked at with each question.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::conversation::{Asked, answer};
use crate::error::AgentError;

/// Connections at a time.
const MOST: usize = 64;
/// Of one who is not root.
const SHARE: usize = 4;
/// From so many days before its end on, the certificate is warned of.
const SOON: i64 = 30;
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(12 * 3600);

/// Answers until it is told to stop.
pub(crate) async fn run(config: Config) -> Result<(), AgentError> {
    // What is wrong with the files is told now, and not to the first who lays down a finger.
    config.identity()?;
    let listener =
        listen(&config.socket).map_err(|why| AgentError::Listen { path: config.socket.clone(), why })?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    info!(socket = %config.socket.display(), sensor = config.sensor, "listening");
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let (config, asked) = (Arc::new(config), Asked::default());
    let mut connections = Connections::default();
    // For the first time at once.
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.take(stream, &config, &asked),
                Err(error) => {
                    // Out of descriptors, say: others give theirs back.
                    warn!(%error, "no connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            _ = look.tick() => look_at_certificate(&config),
            Some(ended) = connections.tasks.join_next() => connections.ended(ended.ok()),
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    // Whoever waits for a finger is let go, and asks the next module.
    connections.tasks.shutdown().await;
    let _ = fs::remove_file(&config.socket);
    info!("stopped");
    Ok(())
}

/// Says what is to be said of the machine's certificate, which somebody may have renewed meanwhile.
fn look_at_certificate(config: &Config) {
    match config.identity().map(|identity| of_certificate(identity.days_left)) {
        Ok(None) => {}
        Ok(Some(said)) => warn!("{said}"),
        Err(error) => warn!(%error, "the machine's certificate cannot be read"),
    }
}

/// With so many days left; none when it has ended.
fn of_certificate(days_left: Option<i64>) -> Option<String> {
    match days_left {
        None => Some(
            "the machine's certificate has expired: the box answers nobody here; get another one with: authenteonctl \
             station invite, then station join"
                .to_owned(),
        ),
        Some(days) if days < SOON => Some(format!(
            "the machine's certificate ends in {days} days; renew it with: authenteonctl station renew"
        )),
        Some(_) => None,
    }
}

/// The connections, each with whose it is.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<u32>,
    of: HashMap<u32, usize>,
}

impl Connections {
    fn take(&mut self, stream: UnixStream, config: &Arc<Config>, asked: &Asked) {
        let Ok(whose) = stream.peer_cred().map(|peer| peer.uid()) else { return };
        let held = self.of.get(&whose).copied().unwrap_or_default();
        if self.tasks.len() >= MOST || (whose != 0 && held >= SHARE) {
            warn!(uid = whose, "too many connections");
            return;
        }
        self.of.insert(whose, held + 1);
        let (config, asked) = (config.clone(), asked.clone());
        self.tasks.spawn(async move {
            if let Err(error) = answer(&config, &asked, stream).await {
                debug!(%error, "a connection broke");
            }
            whose
        });
    }

    fn ended(&mut self, whose: Option<u32>) {
        let Some(whose) = whose else { return };
        let left = self.of.get(&whose).map_or(0, |held| held.saturating_sub(1));
        if left == 0 {
            self.of.remove(&whose);
        } else {
            self.of.insert(whose, left);
        }
    }
}

/// Listens at a path, in the place of an agent that is no more.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("something else is there"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::other("another agent listens there"));
        }
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_before_its_end_and_told_when_it_is_over() {
        assert_eq!(of_certificate(Some(SOON)), None);
        assert!(of_certificate(Some(29)).is_some_and(|said| said.contains("in 29 days")));
        assert!(of_certificate(Some(0)).is_some_and(|said| said.contains("renew")));
        assert!(of_certificate(None).is_some_and(|said| said.contains("expired")));
    }

    #[tokio::test]
    async fn the_place_of_an_agent_that_was_killed_is_taken_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let first = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert!(listen(&path).unwrap_err().to_string().contains("another agent"));
        drop(first);
        drop(listen(&path).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        assert!(listen(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
