//! The steps of the demo: enrol everybody, then ask what an office asks.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use authenteon_hal::{FingerprintSensor, Frame, Wait, replay::ReplaySensor};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    DemoError,
    client::Client,
    prints::{Finger, Print, Prints},
    report::Report,
};

/// Impressions that the enrolment takes.
const ENROLLED: usize = 3;
/// How long the demo waits for a recorded finger.
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody enrolled, and impressions that nobody has seen yet.
struct Enrolled {
    name: String,
    subject: String,
    fresh: VecDeque<Print>,
}

pub(super) async fn run(
    report: &mut Report,
    officer: &Client,
    station: &Client,
    stranger: &Client,
    prints: Prints,
) -> Result<(), DemoError> {
    let mut people = Vec::new();
    for finger in prints.fingers {
        people.extend(enrol(report, officer, finger).await?);
    }
    roles(report, officer, station, stranger).await?;
    let Some((first, others)) = people.split_first_mut() else { return Ok(()) };
    let Some(second) = others.first_mut() else { return Ok(()) };

    let probe = take(first)?;
    verify(report, station, "a right finger", &first.subject, &first.name, probe, &accept(&first.name))
        .await?;
    let probe = take(second)?;
    verify(report, station, "a wrong finger", &first.subject, &first.name, probe, "refuse: not-matched")
        .await?;
    // Everybody with an impression left is identified; the last impression is kept for `curl`.
    for at in 0..people.len() {
        let Some(person) = people.get_mut(at) else { break };
        if let Some(probe) = person.fresh.pop_front() {
            let (name, subject) = (person.name.clone(), person.subject.clone());
            if report.probe().is_none() && person.fresh.is_empty() && at + 1 < people.len() && at > 1 {
                keep(report, &subject, probe);
            } else {
                identify(report, station, &people, &name, probe).await?;
            }
        }
    }
    Ok(())
}

/// Enrols a finger from its first impressions; one that the box refuses is skipped, and the next taken.
async fn enrol(report: &mut Report, officer: &Client, finger: Finger) -> Result<Option<Enrolled>, DemoError> {
    let began = Instant::now();
    let step = format!("enrol finger {}", finger.name);
    let (status, subject) =
        officer.ask(Method::POST, "/v1/subjects", Some(&json!({ "name": finger.name }))).await?;
    let Some(subject) = subject["subject_id"].as_str().map(str::to_owned) else {
        report.step(&step, "enrolled", &told(status, &subject), began.elapsed());
        return Ok(None);
    };
    let mut waiting: VecDeque<Print> = finger.impressions.into();
    let mut chosen: Vec<Print> = waiting.drain(..ENROLLED.min(waiting.len())).collect();
    let path = format!("/v1/subjects/{subject}/fingers");
    loop {
        let samples =
            chosen.iter().map(|p| Ok(sample(&present(p)?))).collect::<Result<Vec<_>, DemoError>>()?;
        let body = json!({ "position": "right-index", "samples": samples });
        let (status, answer) = officer.ask(Method::POST, &path, Some(&body)).await?;
        if status == StatusCode::CREATED {
            report.step(&step, "enrolled", "enrolled", began.elapsed());
            return Ok(Some(Enrolled { name: finger.name, subject, fresh: waiting }));
        }
        // Another impression for the one that was refused, as an officer would ask for; one must be
        // left to present.
        match refused(&answer).filter(|at| *at < chosen.len() && waiting.len() > 1) {
            Some(at) => {
                let bad = chosen.remove(at);
                report.note(&format!(
                    "impression {} is not taken: {}",
                    bad.label,
                    answer["detail"].as_str().unwrap_or("refused")
                ));
                chosen.extend(waiting.pop_front());
            }
            None => {
                report.step(&step, "enrolled", &told(status, &answer), began.elapsed());
                return Ok(None);
            }
        }
    }
}

/// Which sample a problem is about.
fn refused(problem: &Value) -> Option<usize> {
    let detail = problem["detail"].as_str()?.strip_prefix("sample ")?;
    detail.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn roles(
    report: &mut Report,
    officer: &Client,
    station: &Client,
    stranger: &Client,
) -> Result<(), DemoError> {
    let questions = [
        ("an officer asks to identify", officer, Method::POST, "/v1/identify", "403"),
        ("a station asks for the subjects", station, Method::GET, "/v1/subjects", "403"),
        ("a stranger asks for the subjects", stranger, Method::GET, "/v1/subjects", "401"),
    ];
    for (step, client, method, path, expected) in questions {
        let began = Instant::now();
        let (status, _) = client.ask(method, path, None).await?;
        report.step(step, expected, status.as_str(), began.elapsed());
    }
    Ok(())
}

async fn verify(
    report: &mut Report,
    station: &Client,
    who: &str,
    subject: &str,
    name: &str,
    probe: Print,
    expected: &str,
) -> Result<(), DemoError> {
    let frame = present(&probe)?;
    let began = Instant::now();
    let mut body = asked(&frame);
    body["subject_id"] = json!(subject);
    let (status, answer) = station.ask(Method::POST, "/v1/verify", Some(&body)).await?;
    let actual = decision(status, &answer, &[(subject, name)]);
    report.step(&format!("verify {who} ({}) as {name}", probe.label), expected, &actual, began.elapsed());
    Ok(())
}

async fn identify(
    report: &mut Report,
    station: &Client,
    people: &[Enrolled],
    name: &str,
    probe: Print,
) -> Result<(), DemoError> {
    let frame = present(&probe)?;
    let began = Instant::now();
    let (status, answer) = station.ask(Method::POST, "/v1/identify", Some(&asked(&frame))).await?;
    let names: Vec<(&str, &str)> = people.iter().map(|p| (p.subject.as_str(), p.name.as_str())).collect();
    let actual = decision(status, &answer, &names);
    report.step(
        &format!("identify an unannounced finger ({})", probe.label),
        &accept(name),
        &actual,
        began.elapsed(),
    );
    Ok(())
}

fn keep(report: &mut Report, subject: &str, probe: Print) {
    let mut body = asked(&probe.frame);
    body["subject_id"] = json!(subject);
    report.keep_for_curl(subject.to_owned(), body);
}

fn accept(name: &str) -> String {
    format!("accept: {name}")
}

fn take(person: &mut Enrolled) -> Result<Print, DemoError> {
    let missing = || DemoError::TooFew(format!("finger {} has no impression left to present", person.name));
    person.fresh.pop_front().ok_or_else(missing)
}

/// Puts a recorded finger on the replay sensor and captures it.
fn present(print: &Print) -> Result<Frame, DemoError> {
    let mut sensor = ReplaySensor::new([print.frame.clone()]);
    let wait = Wait::up_to(PATIENCE);
    sensor.wait_for_finger(&wait)?;
    let frame = sensor.capture(&wait)?;
    sensor.wait_for_lift(&wait)?;
    Ok(frame)
}

fn sample(frame: &Frame) -> Value {
    json!({
        "format": "raw-grey",
        "width": frame.width(),
        "height": frame.height(),
        "dpi": frame.dpi().get(),
        "data": STANDARD.encode(frame.pixels()),
    })
}

/// What verification and identification share.
fn asked(frame: &Frame) -> Value {
    json!({
        "request_id": uuid::Uuid::new_v4().to_string(),
        "nonce": uuid::Uuid::new_v4().simple().to_string(),
        "sample": sample(frame),
    })
}

/// The decision in words, with the name behind a subject's id.
fn decision(status: StatusCode, answer: &Value, names: &[(&str, &str)]) -> String {
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    match text("decision") {
        "accept" => {
            let id = text("subject_id");
            accept(names.iter().find(|(subject, _)| *subject == id).map_or(id, |(_, name)| name))
        }
        "refuse" => format!("refuse: {}", text("reason")),
        "retry" => format!("retry: {}", text("hint")),
        _ => told(status, answer),
    }
}

/// A problem in words.
fn told(status: StatusCode, problem: &Value) -> String {
    format!("{} {}", status.as_u16(), problem["detail"].as_str().unwrap_or_default())
}
