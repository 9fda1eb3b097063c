//! The steps of the demo: enrol everybody, then ask what an office asks.
//!
//! Every print of the set is presented, so a wrong label anywhere shows as a wrong step. A finger that is
//! not recognised may be presented again, as a person would; taken for somebody else it is wrong at once.

use std::{collections::VecDeque, time::Instant};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    DemoError,
    client::Client,
    presented::{asked, moved, sample},
    prints::{Finger, Print, Prints},
    report::Report,
};

/// Impressions that the enrolment takes.
const ENROLLED: usize = 3;
/// How often a person presents a finger before giving up.
const TRIES: usize = 3;

/// Who asks.
pub(super) struct Askers {
    pub(super) officer: Client,
    pub(super) station: Client,
    pub(super) stranger: Client,
}

/// Somebody enrolled.
struct Enrolled {
    name: String,
    subject: String,
    /// Impressions that the box has not seen.
    fresh: VecDeque<Print>,
    /// Impressions that the enrolment found unlike the others.
    unlike: Vec<Print>,
}

pub(super) async fn run(report: &mut Report, askers: &Askers, prints: Prints) -> Result<(), DemoError> {
    let mut people = Vec::new();
    for finger in prints.fingers {
        people.extend(enrol(report, &askers.officer, finger).await?);
    }
    roles(report, askers).await?;
    let station = &askers.station;
    let names: Vec<(String, String)> = people.iter().map(|p| (p.subject.clone(), p.name.clone())).collect();
    let [first, second, ..] = people.as_slice() else { return Ok(()) };
    let (claimed, wrong) = (first.subject.clone(), second.fresh.front().cloned());

    for (at, person) in people.iter_mut().enumerate() {
        if at == 0 {
            right(report, station, person, &names).await?;
            if let Some(print) = &wrong {
                refused(report, station, &claimed, &person.name, print, &names).await?;
            }
        } else {
            identified(report, station, person, &names).await?;
        }
    }
    for person in &mut people {
        others(report, station, person, &names).await?;
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
    let mut fresh: VecDeque<Print> = finger.impressions.into();
    let mut chosen: Vec<Print> = fresh.drain(..ENROLLED.min(fresh.len())).collect();
    let mut unlike = Vec::new();
    let path = format!("/v1/subjects/{subject}/fingers");
    loop {
        let samples = chosen.iter().map(|p| sample(&p.frame)).collect::<Result<Vec<_>, DemoError>>()?;
        let body = json!({ "position": "right-index", "samples": samples });
        let (status, answer) = officer.ask(Method::POST, &path, Some(&body)).await?;
        if status == StatusCode::CREATED {
            report.step(&step, "enrolled", "enrolled", began.elapsed());
            return Ok(Some(Enrolled { name: finger.name, subject, fresh, unlike }));
        }
        // Another impression for the one that was refused, as an officer would ask for; one must be
        // left to present.
        match culprit(&answer).filter(|at| *at < chosen.len() && fresh.len() > 1) {
            Some(at) => {
                let bad = chosen.remove(at);
                report.note(&format!("impression {} is not taken: {}", bad.label, detail(&answer)));
                if answer["type"] == "urn:authenteon:problem:inconsistent-samples" {
                    unlike.push(bad);
                }
                chosen.extend(fresh.pop_front());
            }
            None => {
                report.step(&step, "enrolled", &told(status, &answer), began.elapsed());
                return Ok(None);
            }
        }
    }
}

/// Which sample a problem is about.
fn culprit(problem: &Value) -> Option<usize> {
    let detail = detail(problem).strip_prefix("sample ")?;
    detail.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn roles(report: &mut Report, askers: &Askers) -> Result<(), DemoError> {
    let questions = [
        ("an officer asks to identify", &askers.officer, Method::POST, "/v1/identify", "403"),
        ("a station asks for the subjects", &askers.station, Method::GET, "/v1/subjects", "403"),
        ("a stranger asks for the subjects", &askers.stranger, Method::GET, "/v1/subjects", "401"),
    ];
    for (step, client, method, path, expected) in questions {
        let began = Instant::now();
        let (status, _) = client.ask(method, path, None).await?;
        report.step(step, expected, status.as_str(), began.elapsed());
    }
    Ok(())
}

/// The owner of a finger says who it is.
async fn right(
    report: &mut Report,
    station: &Client,
    person: &mut Enrolled,
    names: &[(String, String)],
) -> Result<(), DemoError> {
    let expected = accept(&person.name);
    for attempt in 1..=TRIES {
        let Some(print) = person.fresh.pop_front() else { break };
        let began = Instant::now();
        let mut body = asked(&print.frame)?;
        body["subject_id"] = json!(person.subject);
        let (status, answer) = station.ask(Method::POST, "/v1/verify", Some(&body)).await?;
        let actual = decision(status, &answer, names);
        if actual != expected && attempt < TRIES && !person.fresh.is_empty() {
            report.note(&format!("impression {} as {}: {actual}; once more", print.label, person.name));
            continue;
        }
        let step = format!("verify a right finger ({}) as {}", print.label, person.name);
        report.step(&step, &expected, &actual, began.elapsed());
        if actual == expected {
            let mut body = asked(&moved(&print.frame)?)?;
            body["subject_id"] = json!(person.subject);
            report.keep_for_curl(person.subject.clone(), body);
        }
        break;
    }
    Ok(())
}

/// Somebody else says it, with a finger a little off its recorded place: the picture itself comes again
/// when it is identified, and would be a replay.
async fn refused(
    report: &mut Report,
    station: &Client,
    claimed: &str,
    name: &str,
    print: &Print,
    names: &[(String, String)],
) -> Result<(), DemoError> {
    let began = Instant::now();
    let mut body = asked(&moved(&print.frame)?)?;
    body["subject_id"] = json!(claimed);
    let (status, answer) = station.ask(Method::POST, "/v1/verify", Some(&body)).await?;
    let actual = decision(status, &answer, names);
    let step = format!("verify a wrong finger ({}) as {name}", print.label);
    report.step(&step, "refuse: not-matched", &actual, began.elapsed());
    Ok(())
}

/// Somebody says nothing and is known.
async fn identified(
    report: &mut Report,
    station: &Client,
    person: &mut Enrolled,
    names: &[(String, String)],
) -> Result<(), DemoError> {
    let expected = accept(&person.name);
    for attempt in 1..=TRIES {
        let Some(print) = person.fresh.pop_front() else { break };
        let began = Instant::now();
        let actual = who(station, &asked(&print.frame)?, names).await?;
        let another_try = !actual.starts_with("accept") && attempt < TRIES && !person.fresh.is_empty();
        if another_try {
            report.note(&format!("impression {}: {actual}; once more", print.label));
            continue;
        }
        let step = format!("identify an unannounced finger ({})", print.label);
        report.step(&step, &expected, &actual, began.elapsed());
        break;
    }
    Ok(())
}

/// All other impressions of the finger. Not each must be recognised, but none may be taken for another's.
async fn others(
    report: &mut Report,
    station: &Client,
    person: &mut Enrolled,
    names: &[(String, String)],
) -> Result<(), DemoError> {
    let began = Instant::now();
    let mut rest: Vec<Print> = person.fresh.drain(..).collect();
    // The box has seen these pictures.
    for print in person.unlike.drain(..) {
        rest.push(Print { frame: moved(&print.frame)?, ..print });
    }
    if rest.is_empty() {
        return Ok(());
    }
    let (total, mut known, mut mistaken) = (rest.len(), 0, Vec::new());
    for Print { label, frame } in rest {
        let actual = who(station, &asked(&frame)?, names).await?;
        if actual == accept(&person.name) {
            known += 1;
        } else if actual.starts_with("accept") {
            mistaken.push(format!("{label}: {actual}"));
        }
    }
    report.note(&format!("{known} of {total} other impressions of {} are recognised", person.name));
    let actual = if mistaken.is_empty() { "none".to_owned() } else { mistaken.join(", ") };
    let step = format!("other impressions of {} taken for somebody else's", person.name);
    report.step(&step, "none", &actual, began.elapsed());
    Ok(())
}

async fn who(station: &Client, body: &Value, names: &[(String, String)]) -> Result<String, DemoError> {
    let (status, answer) = station.ask(Method::POST, "/v1/identify", Some(body)).await?;
    Ok(decision(status, &answer, names))
}

fn accept(name: &str) -> String {
    format!("accept: {name}")
}

/// The decision in words, with the name behind a subject's id.
fn decision(status: StatusCode, answer: &Value, names: &[(String, String)]) -> String {
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    match text("decision") {
        "accept" => {
            let id = text("subject_id");
            accept(names.iter().find(|(subject, _)| subject == id).map_or(id, |(_, name)| name))
        }
        "refuse" => format!("refuse: {}", text("reason")),
        "retry" => format!("retry: {}", text("hint")),
        _ => told(status, answer),
    }
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap_or_default()
}

/// A problem in words.
fn told(status: StatusCode, problem: &Value) -> String {
    format!("{} {}", status.as_u16(), detail(problem))
}
