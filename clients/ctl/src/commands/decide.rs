//! `verify` and `identify`: a print goes up, a decision comes down.
//!
//! Invariant: an answer counts only if it carries the request id and the nonce that we made for
//! this request; an answer to somebody else's question is never shown as ours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::understand;
use crate::args::Probe;
use crate::client::Client;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::live::Live;
use crate::outcome::Outcome;
use crate::sample;

#[derive(Deserialize)]
struct Answer {
    decision: Decision,
    subject_id: Option<String>,
    reason: Option<String>,
    hint: Option<String>,
    request_id: String,
    nonce: String,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Decision {
    Accept,
    Refuse,
    Retry,
}

/// Is this the finger of that subject?
pub(crate) async fn verify(
    subject: Uuid,
    probe: &Probe,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    ask("/v1/verify", json!({"subject_id": subject}), probe, connect, live).await
}

/// Whose finger is this?
pub(crate) async fn identify(
    probe: &Probe,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    ask("/v1/identify", json!({}), probe, connect, live).await
}

async fn ask(
    path: &str,
    mut body: Value,
    probe: &Probe,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    let (request_id, nonce) = (Uuid::new_v4().to_string(), nonce()?);
    body["request_id"] = json!(request_id);
    body["nonce"] = json!(nonce);
    let json = match (&probe.place.sensor, &probe.file) {
        (Some(sensor), _) => {
            body["sample"] = probe.place.sample(sensor);
            live.ask(&mut connect().await?, path, &body).await?
        }
        (None, Some(file)) => {
            body["sample"] = sample::read(file, probe.dpi)?;
            connect().await?.post(path, &body).await?
        }
        (None, None) => return Err(CtlError::Usage("an IMAGE, or --sensor READER".to_owned())),
    };
    let answer: Answer = understand(&json)?;
    if answer.request_id != request_id || answer.nonce != nonce {
        return Err(CtlError::Answer("it belongs to another request".to_owned()));
    }
    judge(&answer, json)
}

fn judge(answer: &Answer, json: Value) -> Result<Outcome, CtlError> {
    let (exit, text) = match answer.decision {
        Decision::Accept => {
            let subject = answer.subject_id.as_deref();
            let subject = subject.ok_or_else(|| CtlError::Answer("accepted, but nobody".to_owned()))?;
            (Exit::Ok, format!("accepted: {subject}"))
        }
        Decision::Refuse => (Exit::NoMatch, with("refused", answer.reason.as_deref())),
        Decision::Retry => (Exit::Failure, with("try again", answer.hint.as_deref())),
    };
    Ok(Outcome { exit, text, json })
}

fn with(text: &str, more: Option<&str>) -> String {
    more.map_or_else(|| text.to_owned(), |more| format!("{text}: {more}"))
}

/// 24 random bytes: nobody can have prepared an answer to it.
fn nonce() -> Result<String, CtlError> {
    let mut bytes = [0; 24];
    let filled = aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| CtlError::System("the system gives no random numbers".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(json: Value) -> Result<Outcome, CtlError> {
        judge(&understand(&json)?, json)
    }

    #[test]
    fn each_decision_has_its_exit_code() {
        let ids = |mut json: Value| {
            json["request_id"] = json!("1");
            json["nonce"] = json!("2");
            judged(json).map(|outcome| (outcome.exit, outcome.text))
        };
        let accepted = ids(json!({"decision": "accept", "subject_id": "s"})).unwrap();
        assert_eq!(accepted, (Exit::Ok, "accepted: s".to_owned()));
        let refused = ids(json!({"decision": "refuse", "reason": "not-matched"})).unwrap();
        assert_eq!(refused, (Exit::NoMatch, "refused: not-matched".to_owned()));
        let retry = ids(json!({"decision": "retry", "hint": "press harder"})).unwrap();
        assert_eq!(retry, (Exit::Failure, "try again: press harder".to_owned()));
        assert!(ids(json!({"decision": "accept"})).is_err());
        assert!(ids(json!({"decision": "perhaps"})).is_err());
    }

    #[test]
    fn nonces_differ_and_have_the_length_that_the_box_wants() {
        let (one, other) = (nonce().unwrap(), nonce().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}
