//! The question to the box: a verification at its reader, and a ticket with the accept where one is wanted.
//!
//! Invariant: an accept is what `authenteon_login` takes for one. When this is dropped the connection closes, and the reader
//! waits no longer.

use std::time::{Duration, Instant};

use authenteon_agent_protocol::{Why, Word};
use authenteon_box::{BoxError, Client, Event};
use authenteon_login::{Answer, Asked, Finger, Key, LoginError, Verdict, Who, verify};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};

use crate::config::Config;
use crate::ticket::{Cache, Tickets, not_wished, ticket};

/// How long the box may take to let us in, and to say that it is still there: it says so every five seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// A finger that lies badly may be laid down so often in all.
const TRIES: usize = 3;
/// What is less than this is not worth asking anybody for a finger.
const LEAST: Duration = Duration::from_millis(500);
/// What is left of the time for whoever asked, to take what he is given.
const REST: Duration = Duration::from_millis(500);

/// The last word, and the ticket that it names: it is there as long as this.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) word: Word,
    pub(crate) ticket: Option<Cache>,
}

impl From<Word> for Last {
    fn from(word: Word) -> Self {
        Self { word, ticket: None }
    }
}

/// Asks until the box has decided or the time is over. What happens on the way is told.
pub(crate) async fn ask(
    config: &Config,
    who: &Who,
    wants_ticket: bool,
    wait: Duration,
    tell: &UnboundedSender<Word>,
) -> Last {
    let began = Instant::now();
    let (accepted, end) = (began + wait.min(config.touch()), began + wait);
    let last = match tries(config, who, wants_ticket, (accepted, end), tell).await {
        Ok(last) => last,
        Err(error) => Word::Unavailable { why: why(&error) }.into(),
    };
    let name = match &last.word {
        Word::Accepted { .. } => "accepted",
        Word::Refused { .. } => "refused",
        _ => "unavailable",
    };
    info!(answer = name, seconds = began.elapsed().as_secs_f32(), "the box was asked");
    last
}

/// Until `touched` for the finger, and until `end` for what follows.
async fn tries(
    config: &Config,
    who: &Who,
    wants_ticket: bool,
    (touched, end): (Instant, Instant),
    tell: &UnboundedSender<Word>,
) -> Result<Last, LoginError> {
    let mut wish = match (&config.ticket, wants_ticket) {
        (Some(tickets), true) => Wish::Ticket(tickets, Key::make().await?),
        (None, true) => Wish::Not("[ticket] is not in the agent's configuration".to_owned()),
        (_, false) => Wish::Nothing,
    };
    let mut client = Client::connect(config.server(), config.identity()?.config, PATIENCE).await?;
    for _ in 0..TRIES {
        let left = touched.saturating_duration_since(Instant::now());
        if left < LEAST {
            break;
        }
        let finger = Finger::At { sensor: config.sensor.clone(), wait: left };
        let asked = Asked { who: who.clone(), finger, pin: None };
        let mut told = |event: &Event| {
            if event.name == "place-finger" {
                // Whoever asked may have gone; then this ends too.
                let _ = tell.send(Word::PlaceFinger {});
            }
        };
        let answer = match verify(&mut client, &asked, wish.key(), &mut told).await {
            Ok(answer) => answer,
            Err(error) => match (wish.key(), not_wished(&error)) {
                // That the box gives no certificates takes nothing from the login: the finger is asked for without one.
                (Some(_), Some(why)) => {
                    wish = Wish::Not(why);
                    continue;
                }
                _ => return Err(error),
            },
        };
        match &answer.verdict {
            Verdict::Accepted { .. } => return Ok(accepted(config, &wish, &mut client, &answer, end).await),
            Verdict::Refused { reason, fingers, retry_after_s } => {
                let hint = refusal(reason.as_deref(), *fingers, *retry_after_s);
                return Ok(Word::Refused { hint }.into());
            }
            Verdict::Again { hint } => {
                let hint = hint.clone().unwrap_or_else(|| "Lay the finger down again".to_owned());
                let _ = tell.send(Word::Again { hint });
            }
        }
    }
    Ok(Word::Unavailable { why: Why::NoFinger }.into())
}

/// What is wanted with the accept.
enum Wish<'a> {
    Nothing,
    Ticket(&'a Tickets, Key),
    /// A ticket that cannot be had: why, for people.
    Not(String),
}

impl Wish<'_> {
    fn key(&self) -> Option<&Key> {
        match self {
            Self::Ticket(_, key) => Some(key),
            Self::Nothing | Self::Not(_) => None,
        }
    }
}

/// An accept, with a ticket or with why there is none, where one is wanted.
async fn accepted(
    config: &Config,
    wish: &Wish<'_>,
    client: &mut Client,
    answer: &Answer,
    end: Instant,
) -> Last {
    let got = match wish {
        Wish::Nothing => return Word::Accepted { ticket: None, no_ticket: None }.into(),
        Wish::Not(why) => Err(why.clone()),
        Wish::Ticket(tickets, key) => {
            let within = end.saturating_duration_since(Instant::now()).saturating_sub(REST);
            ticket((tickets, &config.socket), client, &answer.request_id, key, within).await
        }
    };
    match got {
        Ok(cache) => {
            let word = Word::Accepted { ticket: Some(cache.path().to_owned()), no_ticket: None };
            Last { word, ticket: Some(cache) }
        }
        Err(why) => Word::Accepted { ticket: None, no_ticket: Some(why) }.into(),
    }
}

/// What the box says more than that the finger is not the person's: it says so to a right finger only.
fn refusal(reason: Option<&str>, fingers: Option<u8>, retry_after_s: Option<u32>) -> Option<String> {
    let text = match reason? {
        "locked-out" => match retry_after_s {
            Some(seconds) => format!("Too many failures: try again in {seconds} s"),
            None => "Too many failures: try again later".to_owned(),
        },
        "outside-hours" => "Not at this hour".to_owned(),
        "account-disabled" => "The account is disabled in its directory".to_owned(),
        "fingers-required" => match fingers {
            Some(fingers) => format!("The policy wants {fingers} fingers, and here is asked for one"),
            None => "The policy wants more than one finger".to_owned(),
        },
        "pin-required" => "The policy wants a PIN too, which cannot be asked for here".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// What an error is for whoever asked; the log has it whole.
fn why(error: &LoginError) -> Why {
    if let LoginError::Box(BoxError::Problem(problem)) = error {
        match problem.slug() {
            "sensor-timeout" => return Why::NoFinger,
            "sensor-busy" => return Why::Busy,
            _ => {}
        }
    }
    warn!(%error, "the box gives no answer");
    Why::Away
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_person_can_do_and_nothing_of_a_wrong_finger() {
        assert_eq!(refusal(Some("not-matched"), None, None), None);
        assert_eq!(refusal(Some("replay"), None, None), None);
        assert_eq!(refusal(None, None, None), None);
        let locked = refusal(Some("locked-out"), None, Some(30));
        assert!(locked.is_some_and(|text| text.contains("30 s")));
        assert!(refusal(Some("fingers-required"), Some(2), None).is_some_and(|text| text.contains('2')));
        assert!(refusal(Some("pin-required"), None, None).is_some());
    }
}
