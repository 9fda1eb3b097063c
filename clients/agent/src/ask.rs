//! The question to the box: a verification at its reader.
//!
//! Invariant: an accept counts only when it answers this request and its nonce, and for a subject that was named when it is of
//! that subject. When this is dropped the connection closes, and the reader waits no longer.

use std::time::{Duration, Instant};

use authenteon_agent_protocol::{Why, Word};
use authenteon_box::{BoxError, Client, Event};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};
use uuid::Uuid;

use crate::config::Config;
use crate::who::Claim;

/// How long the box may take to let us in, and to say that it is still there: it says so every five seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// A finger that lies badly may be laid down so often in all.
const TRIES: usize = 3;
/// What is less than this is not worth asking anybody for a finger.
const LEAST: Duration = Duration::from_millis(500);

/// What the box says.
#[derive(Deserialize)]
struct Answer {
    decision: String,
    request_id: String,
    nonce: String,
    #[serde(default)]
    subject_id: Option<Uuid>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    retry_after_s: Option<u32>,
    #[serde(default)]
    fingers: Option<u8>,
}

/// Asks until the box has decided or the time is over: the last word. What happens on the way is told.
pub(crate) async fn ask(
    config: &Config,
    claim: &Claim,
    wait: Duration,
    tell: &UnboundedSender<Word>,
) -> Word {
    let began = Instant::now();
    let word = match tries(config, claim, began + wait.min(config.touch()), tell).await {
        Ok(word) => word,
        Err(error) => Word::Unavailable { why: why(&error) },
    };
    let name = match &word {
        Word::Accepted { .. } => "accepted",
        Word::Refused { .. } => "refused",
        _ => "unavailable",
    };
    info!(answer = name, seconds = began.elapsed().as_secs_f32(), "the box was asked");
    word
}

async fn tries(
    config: &Config,
    claim: &Claim,
    end: Instant,
    tell: &UnboundedSender<Word>,
) -> Result<Word, BoxError> {
    let mut client = Client::connect(config.server(), config.identity()?.config, PATIENCE).await?;
    for _ in 0..TRIES {
        let left = end.saturating_duration_since(Instant::now());
        if left < LEAST {
            break;
        }
        let (request_id, nonce) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        let body = body(claim, &request_id, &nonce, &config.sensor, left);
        let mut told = |event: &Event| {
            if event.name == "place-finger" {
                // Whoever asked may have gone; then this ends too.
                let _ = tell.send(Word::PlaceFinger {});
            }
        };
        let answer = client.follow("/v1/verify", &body, &mut told).await?;
        let answer = Answer::deserialize(answer).map_err(|why| BoxError::Answer(why.to_string()))?;
        if (answer.request_id.as_str(), answer.nonce.as_str()) != (request_id.as_str(), nonce.as_str()) {
            return Err(BoxError::Answer("it is of another request".to_owned()));
        }
        match decided(claim, answer)? {
            Word::Again { hint } => {
                let _ = tell.send(Word::Again { hint });
            }
            word => return Ok(word),
        }
    }
    Ok(Word::Unavailable { why: Why::NoFinger })
}

fn body(claim: &Claim, request_id: &str, nonce: &str, sensor: &str, left: Duration) -> Value {
    let sample =
        json!({ "sensor": sensor, "timeout_ms": u64::try_from(left.as_millis()).unwrap_or(u64::MAX) });
    let mut body = json!({ "request_id": request_id, "nonce": nonce, "sample": sample });
    match claim {
        Claim::Subject(id) => body["subject_id"] = json!(id),
        Claim::Login(login) => body["login"] = json!(login),
    }
    body
}

/// What a decision is for whoever asked.
fn decided(claim: &Claim, answer: Answer) -> Result<Word, BoxError> {
    match answer.decision.as_str() {
        "accept" => match (claim, answer.subject_id) {
            (Claim::Subject(asked), Some(accepted)) if *asked == accepted => {
                Ok(Word::Accepted { ticket: None })
            }
            (Claim::Login(_), Some(_)) => Ok(Word::Accepted { ticket: None }),
            _ => Err(BoxError::Answer("it accepts somebody else".to_owned())),
        },
        "refuse" => Ok(Word::Refused { hint: refusal(&answer) }),
        "retry" => {
            Ok(Word::Again { hint: answer.hint.unwrap_or_else(|| "Lay the finger down again".to_owned()) })
        }
        other => Err(BoxError::Answer(format!("{other:?} is no decision"))),
    }
}

/// What the box says more than that the finger is not the person's: it says so to a right finger only.
fn refusal(answer: &Answer) -> Option<String> {
    let text = match answer.reason.as_deref()? {
        "locked-out" => match answer.retry_after_s {
            Some(seconds) => format!("Too many failures: try again in {seconds} s"),
            None => "Too many failures: try again later".to_owned(),
        },
        "outside-hours" => "Not at this hour".to_owned(),
        "account-disabled" => "The account is disabled in its directory".to_owned(),
        "fingers-required" => match answer.fingers {
            Some(fingers) => format!("The policy wants {fingers} fingers, and here is asked for one"),
            None => "The policy wants more than one finger".to_owned(),
        },
        "pin-required" => "The policy wants a PIN too, which cannot be asked for here".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// What an error is for whoever asked; the log has it whole.
fn why(error: &BoxError) -> Why {
    if let BoxError::Problem(problem) = error {
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

    const ONE: Uuid = Uuid::from_u128(1);

    fn answer(text: &str) -> Answer {
        let rest = r#","request_id":"r","nonce":"n","liveness":"not-assessed"}"#;
        serde_json::from_str(&format!("{}{rest}", text.trim_end_matches('}'))).unwrap()
    }

    #[test]
    fn an_accept_is_of_whom_was_asked_about() {
        let accepted =
            |claim: &Claim, text: &str| matches!(decided(claim, answer(text)), Ok(Word::Accepted { .. }));
        let (subject, login) = (Claim::Subject(ONE), Claim::Login("alice".parse().unwrap()));
        let one = format!(r#"{{"decision":"accept","subject_id":"{ONE}"}}"#);
        let other = format!(r#"{{"decision":"accept","subject_id":"{}"}}"#, Uuid::from_u128(2));
        assert!(accepted(&subject, &one) && accepted(&login, &one));
        assert!(!accepted(&subject, &other));
        for none in [r#"{"decision":"accept"}"#, r#"{"decision":"refuse"}"#, r#"{"decision":"yes"}"#] {
            assert!(!accepted(&subject, none) && !accepted(&login, none), "{none}");
        }
    }

    #[test]
    fn a_refusal_says_what_the_person_can_do_and_nothing_of_a_wrong_finger() {
        let hint = |text: &str| match decided(&Claim::Subject(ONE), answer(text)) {
            Ok(Word::Refused { hint }) => hint,
            other => panic!("{other:?}"),
        };
        assert_eq!(hint(r#"{"decision":"refuse","reason":"not-matched"}"#), None);
        assert_eq!(hint(r#"{"decision":"refuse","reason":"replay"}"#), None);
        let locked = hint(r#"{"decision":"refuse","reason":"locked-out","retry_after_s":30}"#);
        assert!(locked.is_some_and(|text| text.contains("30 s")));
        assert!(hint(r#"{"decision":"refuse","reason":"pin-required"}"#).is_some());
    }

    #[test]
    fn the_box_is_asked_about_one_person_at_one_reader() {
        let asked = body(&Claim::Login("alice".parse().unwrap()), "r", "n", "usb-1", Duration::from_secs(3));
        let sample = json!({ "sensor": "usb-1", "timeout_ms": 3000 });
        assert_eq!(asked, json!({ "request_id": "r", "nonce": "n", "login": "alice", "sample": sample }));
        let asked = body(&Claim::Subject(ONE), "r", "n", "usb-1", Duration::from_secs(3));
        assert_eq!((&asked["subject_id"], asked.get("login")), (&json!(ONE), None));
    }
}
