//! The question to the box, and its decision.
//!
//! Invariant: a decision counts only when it has the id and the nonce of this request, and an accept only with a subject: the
//! one that was named, where one was.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use authenteon_box::{BoxError, Client, Event};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::LoginError;
use crate::key::Key;

/// Who is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A subject of the box.
    Subject(Uuid),
    /// Whoever has this login or principal name in a directory that the box follows.
    Login(String),
}

impl FromStr for Who {
    type Err = Infallible;

    /// A subject's id, or else a login.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Login(text.to_owned()), Self::Subject))
    }
}

/// What is presented.
#[derive(Clone)]
pub enum Finger {
    /// The next one on a reader of the box.
    At {
        /// The reader, as the box calls it.
        sensor: String,
        /// How long it waits for the finger and its frame.
        wait: Duration,
    },
    /// A print that was taken, as the API has it.
    Taken(Value),
}

impl fmt::Debug for Finger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { sensor, wait } => write!(f, "At {{ {sensor}, {wait:?} }}"),
            // Biometrics are in no log.
            Self::Taken(_) => f.write_str("Taken"),
        }
    }
}

/// Is this the finger of that person?
#[derive(Clone)]
pub struct Asked {
    /// Who is claimed.
    pub who: Who,
    /// What is presented.
    pub finger: Finger,
    /// What he knows, where the policy wants it.
    pub pin: Option<String>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked {{ {:?}, {:?} }}", self.who, self.finger)
    }
}

/// What the box decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accepted {
        /// Who he is at the box.
        subject: Uuid,
    },
    /// It is not, or he is not let in.
    Refused {
        /// Why, as the API names it, where the box says so.
        reason: Option<String>,
        /// How many fingers would do, where one is too few.
        fingers: Option<u8>,
        /// Seconds of a lockout.
        retry_after_s: Option<u32>,
    },
    /// The print was of no use: what the person can do, and another try.
    Again {
        /// For people.
        hint: Option<String>,
    },
}

/// A decision, and the request that it is of.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The decision.
    pub verdict: Verdict,
    /// The request.
    pub request_id: String,
    /// All that the box said.
    pub json: Value,
}

/// What the box says.
#[derive(Deserialize)]
struct Said {
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

/// Asks; with a key, for an accept that is good for a certificate of it. What happens at a reader is told.
///
/// # Errors
/// [`LoginError::Box`].
pub async fn verify(
    client: &mut Client,
    asked: &Asked,
    key: Option<&Key>,
    told: &mut (dyn FnMut(&Event) + Send),
) -> Result<Answer, LoginError> {
    // 122 random bits: nobody can have prepared an answer to it.
    let (request_id, nonce) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let body = body(asked, key, &request_id, &nonce);
    let json = match asked.finger {
        Finger::At { .. } => client.follow("/v1/verify", &body, told).await?,
        Finger::Taken(_) => client.post("/v1/verify", &body).await?,
    };
    let said = Said::deserialize(&json).map_err(|why| BoxError::Answer(why.to_string()))?;
    if (said.request_id.as_str(), said.nonce.as_str()) != (request_id.as_str(), nonce.as_str()) {
        return Err(BoxError::Answer("it belongs to another request".to_owned()).into());
    }
    Ok(Answer { verdict: verdict(&asked.who, said)?, request_id, json })
}

fn body(asked: &Asked, key: Option<&Key>, request_id: &str, nonce: &str) -> Value {
    let sample = match &asked.finger {
        Finger::At { sensor, wait } => {
            json!({ "sensor": sensor, "timeout_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) })
        }
        Finger::Taken(sample) => sample.clone(),
    };
    let mut body = json!({ "request_id": request_id, "nonce": nonce, "sample": sample });
    match &asked.who {
        Who::Subject(id) => body["subject_id"] = json!(id),
        Who::Login(login) => body["login"] = json!(login),
    }
    if let Some(pin) = &asked.pin {
        body["pin"] = json!(pin);
    }
    if let Some(key) = key {
        body["certificate"] = json!({ "key_sha256": key.digest() });
    }
    body
}

fn verdict(who: &Who, said: Said) -> Result<Verdict, BoxError> {
    let Said { decision, subject_id, reason, hint, retry_after_s, fingers, .. } = said;
    match (decision.as_str(), who, subject_id) {
        ("accept", Who::Subject(asked), Some(subject)) if *asked == subject => {
            Ok(Verdict::Accepted { subject })
        }
        ("accept", Who::Login(_), Some(subject)) => Ok(Verdict::Accepted { subject }),
        ("accept", ..) => Err(BoxError::Answer("it accepts somebody else, or nobody".to_owned())),
        ("refuse", ..) => Ok(Verdict::Refused { reason, fingers, retry_after_s }),
        ("retry", ..) => Ok(Verdict::Again { hint }),
        (other, ..) => Err(BoxError::Answer(format!("{other:?} is no decision"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);

    fn decided(who: &Who, text: &str) -> Result<Verdict, BoxError> {
        let rest = r#","request_id":"r","nonce":"n","liveness":"not-assessed"}"#;
        verdict(who, serde_json::from_str(&format!("{}{rest}", text.trim_end_matches('}'))).unwrap())
    }

    #[test]
    fn an_accept_is_of_whom_was_asked_about() {
        let (subject, login) = (Who::Subject(ONE), Who::Login("alice".to_owned()));
        let accepted = |who: &Who, text: &str| matches!(decided(who, text), Ok(Verdict::Accepted { .. }));
        let one = format!(r#"{{"decision":"accept","subject_id":"{ONE}"}}"#);
        let other = format!(r#"{{"decision":"accept","subject_id":"{}"}}"#, Uuid::from_u128(2));
        assert!(accepted(&subject, &one) && accepted(&login, &one));
        assert!(!accepted(&subject, &other));
        for none in [r#"{"decision":"accept"}"#, r#"{"decision":"refuse"}"#, r#"{"decision":"yes"}"#] {
            assert!(!accepted(&subject, none) && !accepted(&login, none), "{none}");
        }
        assert!(decided(&login, r#"{"decision":"yes"}"#).is_err());
    }

    #[tokio::test]
    async fn the_box_is_asked_about_one_person_and_told_what_the_accept_is_for() {
        let finger = Finger::At { sensor: "usb-1".to_owned(), wait: Duration::from_secs(3) };
        let mut asked = Asked { who: "alice".parse().unwrap(), finger, pin: None };
        let sample = json!({ "sensor": "usb-1", "timeout_ms": 3000 });
        let plain = json!({ "request_id": "r", "nonce": "n", "login": "alice", "sample": sample });
        assert_eq!(body(&asked, None, "r", "n"), plain);
        asked.who = ONE.to_string().parse().unwrap();
        asked.pin = Some("1234".to_owned());
        let key = Key::make().await.unwrap();
        let body = body(&asked, Some(&key), "r", "n");
        assert_eq!((&body["subject_id"], body.get("login")), (&json!(ONE), None));
        assert_eq!(
            (&body["pin"], &body["certificate"]["key_sha256"]),
            (&json!("1234"), &json!(key.digest()))
        );
        assert!(!format!("{asked:?}").contains("1234"));
    }

    #[test]
    fn a_print_is_in_no_log() {
        let taken = Finger::Taken(json!({ "format": "png", "data": "biometric" }));
        assert_eq!(format!("{taken:?}"), "Taken");
    }
}
