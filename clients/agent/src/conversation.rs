//! One connection: a question comes in, the box is asked, words go out.
//!
//! Invariant: who asks is whom the kernel names; what comes in is bounded in size and time; whoever hangs up ends his question
//! at the box too; and of one person only one question is open.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authenteon_agent_protocol::{LONGEST, Login, Question, Why, Word};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;
use tracing::warn;

use crate::ask::{Last, ask};
use crate::config::Config;
use crate::who::{Account, account, claim};

/// Who connects asks at once.
const QUESTION: Duration = Duration::from_secs(2);
/// A name is looked up in so long, or nobody is asked.
const LOOK_UP: Duration = Duration::from_secs(5);
/// Who was given a ticket takes it in so long.
const TAKEN: Duration = Duration::from_secs(5);

/// About whom the box is being asked. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<HashSet<Login>>>);

/// Somebody about whom it is, until this goes.
struct Open {
    asked: Asked,
    login: Login,
}

impl Asked {
    fn all(&self) -> MutexGuard<'_, HashSet<Login>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, login: &Login) -> Option<Open> {
        let new = self.all().insert(login.clone());
        new.then(|| Open { asked: self.clone(), login: login.clone() })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.asked.all().remove(&self.login);
    }
}

/// Answers who has connected.
pub(crate) async fn answer(config: &Config, asked: &Asked, stream: UnixStream) -> io::Result<()> {
    let asking = stream.peer_cred()?.uid();
    let (mut from, mut to) = stream.into_split();
    let question = match timeout(QUESTION, line(&mut from)).await {
        Ok(Ok(line)) => Question::read(&line),
        Ok(Err(why)) => return Err(why),
        // He who says nothing is told nothing.
        Err(_) => return Ok(()),
    };
    let question = match question {
        Ok(question) => question,
        Err(error) => {
            warn!(%error, "a question that is none");
            return say(&mut to, &Word::Unavailable { why: Why::NotUnderstood }).await;
        }
    };
    let Question { login, wait_ms, ticket, .. } = question;
    let found = match look_up(&login, LOOK_UP, account).await {
        Ok(found) => found,
        Err(why) => return say(&mut to, &Word::Unavailable { why }).await,
    };
    let who = match claim(config, asking, &login, found) {
        Ok(who) => who,
        Err(why) => return say(&mut to, &Word::Unavailable { why }).await,
    };
    // A ticket is for root, who makes it the person's own, and for an account of this machine.
    let ticket = ticket && asking == 0 && found.is_some();
    let Some(_open) = asked.open(&login) else {
        return say(&mut to, &Word::Unavailable { why: Why::Busy }).await;
    };
    let (tell, mut told) = unbounded_channel();
    let asking = ask(config, &who, ticket, Duration::from_millis(wait_ms.into()), &tell);
    tokio::pin!(asking);
    let mut more = [0];
    let last = loop {
        tokio::select! {
            biased;
            Some(word) = told.recv() => say(&mut to, &word).await?,
            // He has gone, or says what nobody asked for: the question ends, at the reader too.
            _ = from.read(&mut more) => return Ok(()),
            last = &mut asking => break last,
        }
    };
    while let Ok(word) = told.try_recv() {
        say(&mut to, &word).await?;
    }
    // An accept opens an account of this machine, or nothing.
    let Last { word, ticket } = match last {
        Last { word: Word::Accepted { .. }, .. } if found.is_none() => Word::Refused { hint: None }.into(),
        last => last,
    };
    say(&mut to, &word).await?;
    if ticket.is_some() {
        // Whoever hangs up has taken it, or never will.
        let _ = timeout(TAKEN, from.read(&mut more)).await;
    }
    Ok(())
}

/// Who has this login on this machine, if the system says so in time.
async fn look_up(
    login: &Login,
    within: Duration,
    account: impl FnOnce(&Login) -> io::Result<Option<Account>> + Send + 'static,
) -> Result<Option<Account>, Why> {
    let login = login.clone();
    let looking = tokio::task::spawn_blocking(move || account(&login));
    match timeout(within, looking).await {
        Ok(Ok(Ok(found))) => Ok(found),
        Ok(Ok(Err(error))) => {
            warn!(%error, "the system does not say who somebody is");
            Err(Why::NotLookedUp)
        }
        Ok(Err(_)) | Err(_) => {
            warn!("the system does not say in time who somebody is");
            Err(Why::NotLookedUp)
        }
    }
}

/// The first line, as far as a line may be long; behind it nothing may come.
async fn line(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut piece = [0; 512];
    while !line.contains(&b'\n') && line.len() <= LONGEST {
        match from.read(&mut piece).await? {
            0 => break,
            count => line.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    Ok(line)
}

async fn say(to: &mut OwnedWriteHalf, word: &Word) -> io::Result<()> {
    let line = word.line().map_err(io::Error::other)?;
    // Whoever does not take a line of this length at once takes none.
    timeout(QUESTION, to.write_all(&line)).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_person_one_question_is_open() {
        let asked = Asked::default();
        let (alice, bob): (Login, Login) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let open = asked.open(&alice).unwrap();
        assert!(asked.open(&alice).is_none());
        assert!(asked.open(&bob).is_some());
        drop(open);
        assert!(asked.open(&alice).is_some());
    }

    #[tokio::test]
    async fn who_is_not_looked_up_in_time_is_not_nobody() {
        let alice: Login = "alice".parse().unwrap();
        let within = Duration::from_millis(20);
        let slow = |_: &Login| {
            std::thread::sleep(Duration::from_millis(200));
            Ok(None)
        };
        assert_eq!(look_up(&alice, within, slow).await, Err(Why::NotLookedUp));
        let broken = |_: &Login| Err(io::Error::other("the directory is away"));
        assert_eq!(look_up(&alice, LOOK_UP, broken).await, Err(Why::NotLookedUp));
        assert_eq!(look_up(&alice, LOOK_UP, |_| Ok(None)).await, Ok(None));
        let found = Account { uid: 5501 };
        assert_eq!(look_up(&alice, LOOK_UP, move |_| Ok(Some(found))).await, Ok(Some(found)));
    }

    #[tokio::test]
    async fn a_line_is_read_as_far_as_it_may_be_long() {
        assert_eq!(line(&mut &b"abc\n"[..]).await.unwrap(), b"abc\n");
        assert_eq!(line(&mut &b"abc"[..]).await.unwrap(), b"abc");
        let endless = vec![b'x'; 100 * LONGEST];
        let read = line(&mut &endless[..]).await.unwrap();
        assert!(read.len() > LONGEST && read.len() < 2 * LONGEST);
        assert!(Question::read(&read).is_err());
    }
}
