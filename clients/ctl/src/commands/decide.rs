//! `verify` and `identify`: a print goes up, a decision comes down.
//!
//! Invariant: an answer counts only if it carries the request id and the nonce that we made for
//! this request; an answer to somebody else's question is never shown as ours.

use std::path::PathBuf;

use authenteon_box::Client;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::understand;
use crate::args::{AtReader, Identify, Known, Verify};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::live::Live;
use crate::outcome::Outcome;
use crate::passphrase;
use crate::sample;

#[derive(Deserialize)]
struct Answer {
    decision: Decision,
    subject_id: Option<String>,
    reason: Option<String>,
    /// How many different fingers would do, where that is why.
    fingers: Option<u64>,
    /// On a lockout.
    retry_after_s: Option<u64>,
    hint: Option<String>,
    request_id: String,
    nonce: String,
    assertion: Option<String>,
}

/// A decision, and the request that it is of.
struct Handed {
    outcome: Outcome,
    request_id: String,
}

/// Who is claimed: a subject's id, or else a login.
fn who(text: &str) -> Value {
    match text.parse::<Uuid>() {
        Ok(id) => json!({"subject_id": id}),
        Err(_) => json!({"login": text}),
    }
}

/// What is given after an accept.
#[derive(Deserialize)]
struct Given {
    one_time_code: String,
    good_for_s: u64,
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
    asked: &Verify,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    let mut body = who(&asked.subject);
    with_audience(&mut body, asked.audience.as_deref());
    with_pin(&mut body, &asked.known)?;
    let place = &asked.place;
    match &asked.recovery_code_file {
        Some(file) => body["recovery_code"] = json!(passphrase::given(Some(file), "")?),
        None if asked.grace => body["grace"] = json!(true),
        None => with_fingers(&mut body, place, asked.fingers, (&asked.files, asked.dpi))?,
    }
    let live = place.sensor.as_ref().map(|_| live);
    let mut client = connect().await?;
    let handed = ask("/v1/verify", body, &mut client, live).await?;
    if asked.one_time_code { with_code(handed, &mut client).await } else { Ok(handed.outcome) }
}

/// With so many fingers at a reader, or else those of the files.
fn with_fingers(
    body: &mut Value,
    place: &AtReader,
    fingers: u64,
    (files, dpi): (&[PathBuf], u32),
) -> Result<(), CtlError> {
    match (&place.sensor, files) {
        (Some(sensor), _) if fingers == 1 => body["sample"] = place.sample(sensor),
        (Some(sensor), _) => body["samples"] = (0..fingers).map(|_| place.sample(sensor)).collect(),
        (None, [file]) => body["sample"] = sample::read(file, dpi)?,
        (None, files) => body["samples"] = json!(sample::read_all(files, dpi)?),
    }
    Ok(())
}

/// With an assertion for somebody.
fn with_audience(body: &mut Value, audience: Option<&str>) {
    if let Some(audience) = audience {
        body["assertion"] = json!({"audience": audience});
    }
}

/// With what the person knows.
fn with_pin(body: &mut Value, known: &Known) -> Result<(), CtlError> {
    if let Some(file) = &known.pin_file {
        body["pin"] = json!(passphrase::given(Some(file), "")?);
    }
    Ok(())
}

/// Whose finger is this, or whose are these two?
pub(crate) async fn identify(
    asked: &Identify,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    let (mut body, place) = (json!({}), &asked.place);
    with_fingers(&mut body, place, asked.fingers, (&asked.files, asked.dpi))?;
    with_pin(&mut body, &asked.known)?;
    with_audience(&mut body, asked.audience.as_deref());
    let live = place.sensor.as_ref().map(|_| live);
    Ok(ask("/v1/identify", body, &mut connect().await?, live).await?.outcome)
}

/// With the one-time code that an accept gives.
async fn with_code(handed: Handed, client: &mut Client) -> Result<Outcome, CtlError> {
    let Handed { mut outcome, request_id } = handed;
    if outcome.exit != Exit::Ok {
        return Ok(outcome);
    }
    let given = client.post("/v1/one-time-codes", &json!({"request_id": request_id})).await?;
    let Given { one_time_code, good_for_s } = understand(&given)?;
    outcome.text += &format!("\none-time code: {one_time_code}, good once within {good_for_s} seconds");
    outcome.json["one_time_code"] = json!(one_time_code);
    outcome.json["good_for_s"] = json!(good_for_s);
    Ok(outcome)
}

/// Asks, and where a finger is waited for shows how far it is.
async fn ask(
    path: &str,
    mut body: Value,
    client: &mut Client,
    live: Option<Live>,
) -> Result<Handed, CtlError> {
    let (request_id, nonce) = (Uuid::new_v4().to_string(), nonce()?);
    body["request_id"] = json!(request_id);
    body["nonce"] = json!(nonce);
    let json = match live {
        Some(live) => live.ask(client, path, &body).await?,
        None => client.post(path, &body).await?,
    };
    let answer: Answer = understand(&json)?;
    if answer.request_id != request_id || answer.nonce != nonce {
        return Err(CtlError::Answer("it belongs to another request".to_owned()));
    }
    Ok(Handed { outcome: judge(&answer, json)?, request_id })
}

/// What a decision is for whoever asked.
pub(super) fn outcome(json: Value) -> Result<Outcome, CtlError> {
    judge(&understand(&json)?, json)
}

fn judge(answer: &Answer, json: Value) -> Result<Outcome, CtlError> {
    let (exit, text) = match answer.decision {
        Decision::Accept => {
            let subject = answer.subject_id.as_deref();
            let subject = subject.ok_or_else(|| CtlError::Answer("accepted, but nobody".to_owned()))?;
            let token = answer.assertion.as_ref().map(|token| format!("\n{token}")).unwrap_or_default();
            (Exit::Ok, format!("accepted: {subject}{token}"))
        }
        Decision::Refuse => {
            let wait = answer.retry_after_s.map(|s| format!(", wait {s} seconds")).unwrap_or_default();
            let more = answer.fingers.map(|n| format!(", present {n} different fingers")).unwrap_or_default();
            (Exit::NoMatch, with("refused", answer.reason.as_deref()) + &more + &wait)
        }
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

    #[test]
    fn each_decision_has_its_exit_code() {
        let ids = |mut json: Value| {
            json["request_id"] = json!("1");
            json["nonce"] = json!("2");
            outcome(json).map(|outcome| (outcome.exit, outcome.text))
        };
        let accepted = ids(json!({"decision": "accept", "subject_id": "s"})).unwrap();
        assert_eq!(accepted, (Exit::Ok, "accepted: s".to_owned()));
        let refused = ids(json!({"decision": "refuse", "reason": "not-matched"})).unwrap();
        assert_eq!(refused, (Exit::NoMatch, "refused: not-matched".to_owned()));
        let locked = ids(json!({"decision": "refuse", "reason": "locked-out", "retry_after_s": 30})).unwrap();
        assert_eq!(locked, (Exit::NoMatch, "refused: locked-out, wait 30 seconds".to_owned()));
        let more = ids(json!({"decision": "refuse", "reason": "gallery-too-large", "fingers": 2})).unwrap();
        assert_eq!(
            more,
            (Exit::NoMatch, "refused: gallery-too-large, present 2 different fingers".to_owned())
        );
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
