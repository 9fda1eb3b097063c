//! `audit tail|verify|export|anchor|key|forwarding`.
//!
//! Invariant: a verdict that the audit was changed or cut short is exit code 6, wherever it was found.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use authenteon_box::{Client, Problem};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::understand;
use crate::args::{AuditCommand, AuditFilter, AuditVerify};
use crate::chain::{self, Found, Proof, Signed, Verdict};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::transfer::{Download, bar};

/// Records of a page.
const PAGE: u64 = 500;
/// How often the box is asked for what is new, and how far it is.
const PAUSE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(50);
/// Bytes of an anchor.
const ANCHOR: u64 = 16 << 10;

#[derive(Deserialize)]
struct Page {
    records: Vec<Value>,
    through: u64,
    head: u64,
}

#[derive(Deserialize)]
struct Destinations {
    destinations: Vec<Destination>,
}

#[derive(Deserialize)]
struct Destination {
    name: String,
    kind: String,
    state: String,
    through: u64,
    lag: u64,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Verification {
    check: Option<Check>,
}

#[derive(Deserialize)]
struct Check {
    number: u64,
    state: String,
    done: u64,
    all: u64,
    found: Option<BoxFound>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BoxFound {
    verdict: String,
    number: Option<u64>,
    why: Option<String>,
    records: u64,
    heads: u64,
    first: u64,
    last: u64,
    other_keys: u64,
    archive_of: Option<String>,
    anchor_of_other_key: bool,
}

/// Runs one of the commands; only those that ask the box connect to it.
pub(crate) async fn run(
    command: AuditCommand,
    json: bool,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        AuditCommand::Tail { last, follow, filter } => {
            let mut client = connect().await?;
            if follow {
                let followed = follow_on(&mut client, last, &filter, json);
                return tokio::select! {
                    ended = followed => ended.map(|()| Outcome { exit: Exit::Ok, text: String::new(), json: Value::Null }),
                    _ = tokio::signal::ctrl_c() => Ok(Outcome { exit: Exit::Interrupted, text: String::new(), json: Value::Null }),
                };
            }
            tail(&mut client, last, &filter).await
        }
        AuditCommand::Verify(AuditVerify { anchor, file, proof }) => {
            let anchor: Option<Signed> =
                anchor.as_deref().map(|path| read_small(path, ANCHOR_IS)).transpose()?;
            match (file, proof) {
                (Some(file), _) => verify_file(&file, anchor.as_ref()),
                (None, Some(proof)) => verify_proof(&proof, anchor.as_ref()),
                (None, None) => verify(connect().await?, anchor.as_ref()).await,
            }
        }
        AuditCommand::Export { file, from, to, force } => {
            let mut download = Download::create(&file, force)?;
            let mut path = "/v1/audit/export?".to_owned();
            for (name, moment) in [("since", from), ("until", to)] {
                if let Some(moment) = moment {
                    path.push_str(&format!("{name}={moment}&"));
                }
            }
            let progress = bar("Exporting the audit", None);
            let mut client = connect().await?;
            let mut take = |piece: &[u8]| {
                progress.inc(piece.len() as u64);
                download.write(piece)
            };
            client.fetch(path.trim_end_matches(['?', '&']), &mut take).await?;
            progress.finish_and_clear();
            // What lies there is read again: whoever keeps it must be able to rely on it.
            let found = examined(download.part(), None)?;
            let mut outcome = said(&found, "the export");
            // A box without a device key signs nothing, and what it gives is all there is.
            if found.verdict == Verdict::Unsigned {
                outcome.exit = Exit::Ok;
            }
            if outcome.exit == Exit::Ok {
                download.keep()?;
            }
            Ok(outcome)
        }
        AuditCommand::Anchor => {
            let answer = connect().await?.get("/v1/audit/anchor").await?;
            understand::<Signed>(&answer)?;
            Ok(Outcome::done(answer.to_string(), answer))
        }
        AuditCommand::Forwarding => forwarded(&connect().await?.get("/v1/audit/forwarding").await?),
        AuditCommand::Key => {
            let answer = connect().await?.get("/v1/audit/key").await?;
            let key = answer["key"].as_str().unwrap_or_default().to_owned();
            Ok(Outcome::done(key, answer))
        }
    }
}

fn query(filter: &AuditFilter, place: &str) -> String {
    let mut path = format!("/v1/audit?limit={PAGE}&{place}");
    let subject = filter.subject.map(|subject| subject.to_string());
    for (name, value) in [
        ("event", filter.event.as_ref()),
        ("subject", subject.as_ref()),
        ("since", filter.since.as_ref()),
        ("until", filter.until.as_ref()),
    ] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={value}"));
        }
    }
    path
}

/// A page, and whether there is more behind it.
async fn page(client: &mut Client, filter: &AuditFilter, place: &str) -> Result<Page, CtlError> {
    understand(&client.get(&query(filter, place)).await?)
}

async fn tail(client: &mut Client, last: u64, filter: &AuditFilter) -> Result<Outcome, CtlError> {
    let mut all = Vec::new();
    let mut place = format!("last={last}");
    loop {
        let Page { records, through, head } = page(client, filter, &place).await?;
        all.extend(records);
        if through >= head {
            break;
        }
        place = format!("after={through}");
    }
    let text: String = all.iter().map(|record| line(record) + "\n").collect();
    let text = if text.is_empty() { "no such record\n".to_owned() } else { text };
    Ok(Outcome::done(text, json!({ "records": all })))
}

/// Follows until whoever reads it has gone, as `head` does.
async fn follow_on(client: &mut Client, last: u64, filter: &AuditFilter, json: bool) -> Result<(), CtlError> {
    let mut place = format!("last={last}");
    loop {
        let Page { records, through, head } = page(client, filter, &place).await?;
        for record in &records {
            let text = if json { record.to_string() } else { line(record) };
            match writeln!(io::stdout().lock(), "{text}") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(|error| CtlError::System(error.to_string()))?,
            }
        }
        place = format!("after={through}");
        if through >= head {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A record for people: when, who and from where, what, and whatever else it says.
fn line(record: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (by, what) = (&record["by"], &record["what"]);
    let mut line = format!(
        "{:>6}  {}  {} {}{}  {}",
        record["number"].as_u64().unwrap_or_default(),
        text(&record["at"]),
        text(&by["role"]),
        text(&by["name"]),
        by["from"].as_str().map_or_else(String::new, |from| format!(" at {from}")),
        text(&what["event"])
    );
    for (name, value) in what.as_object().into_iter().flatten().filter(|(name, _)| *name != "event") {
        line.push_str(&format!("  {name}={}", text(value)));
    }
    line
}

const ANCHOR_IS: &str = "it is no signed head, as authenteonctl audit anchor prints it";
const PROOF_IS: &str = "it is no proof of an erasure, as authenteonctl subject erase writes it";

fn read_small<T: DeserializeOwned>(path: &Path, none: &str) -> Result<T, CtlError> {
    let bad = |reason: String| CtlError::File { path: path.to_path_buf(), reason };
    let about = fs::metadata(path).map_err(|error| bad(error.to_string()))?;
    if about.len() > ANCHOR {
        return Err(bad(none.to_owned()));
    }
    let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|_| bad(none.to_owned()))
}

fn verify_proof(path: &Path, anchor: Option<&Signed>) -> Result<Outcome, CtlError> {
    let proof: Proof = read_small(path, PROOF_IS)?;
    let Signed { number, store, subject, key, .. } = &proof.statement;
    let checked = proof.check(anchor);
    let (exit, text) = match &checked {
        Ok(at) => {
            let who = subject.as_deref().unwrap_or_default();
            let by = if anchor.is_some() { "the box of the anchor" } else { "whoever has the key" };
            (
                Exit::Ok,
                format!("{who} was erased at {at}: record {number} of store {store}, signed by {by} {key}\n"),
            )
        }
        Err(why) => (Exit::Tampered, format!("{why}\n")),
    };
    let json = json!({
        "verdict": if checked.is_ok() { "proved" } else { "not-proved" }, "detail": text.trim_end(), "subject": subject,
        "store": store, "number": number, "at": checked.ok(), "key": key,
    });
    Ok(Outcome { exit, text, json })
}

/// How far each destination has the audit.
fn forwarded(answer: &Value) -> Result<Outcome, CtlError> {
    let all: Destinations = understand(answer)?;
    let mut text = String::new();
    for to in &all.destinations {
        text.push_str(&format!(
            "{:<16} {:<8} {:<11} through {:>8}, {} to go",
            to.name, to.kind, to.state, to.through, to.lag
        ));
        if let Some(why) = &to.error {
            text.push_str(&format!(": {why}"));
        }
        text.push('\n');
    }
    if all.destinations.is_empty() {
        text.push_str("the audit is forwarded to nobody\n");
    }
    let failing = all.destinations.iter().any(|to| to.error.is_some());
    let exit = if failing { Exit::Failure } else { Exit::Ok };
    Ok(Outcome { exit, text, json: answer.clone() })
}

fn examined(path: &Path, anchor: Option<&Signed>) -> Result<Found, CtlError> {
    let bad = |error: io::Error| CtlError::File { path: path.to_path_buf(), reason: error.to_string() };
    let file = File::open(path).map_err(bad)?;
    chain::verify(BufReader::with_capacity(1 << 20, file), anchor).map_err(bad)
}

fn verify_file(path: &Path, anchor: Option<&Signed>) -> Result<Outcome, CtlError> {
    Ok(said(&examined(path, anchor)?, "the export"))
}

/// What was found in an export.
fn said(found: &Found, what: &str) -> Outcome {
    let Found { verdict, store, records, first, last, hash } = found;
    let (exit, says) = match verdict {
        Verdict::Whole => (Exit::Ok, String::new()),
        Verdict::Unsigned => (
            Exit::Failure,
            format!(
                "unsigned: whole as far as it goes, records {first} to {last}; nobody signed its end, so anybody may have written it"
            ),
        ),
        Verdict::Broken { number, why } => (Exit::Tampered, format!("broken at record {number}: {why}")),
        Verdict::StartForged => (Exit::Tampered, "its start is not what the box signed".to_owned()),
        Verdict::HeadForged => {
            (Exit::Tampered, format!("the box signed another head than record {last} of this file"))
        }
        Verdict::Cut { last } => (Exit::Tampered, format!("it was cut: it ends after record {last}")),
        Verdict::Rewritten { number } => (Exit::Tampered, rewritten(*number)),
        Verdict::Truncated { number, head } => (Exit::Tampered, truncated(*number, *head)),
        Verdict::OtherKey => (
            Exit::Tampered,
            "the anchor fits, and another key than the anchor's signed this export: another box, or one whose authority was made anew"
                .to_owned(),
        ),
        Verdict::AnchorForged => (Exit::Failure, ANCHOR_FORGED.to_owned()),
        Verdict::AnchorForeign => (Exit::Failure, format!("the anchor is of another box than this export ({store})")),
        Verdict::AnchorTooOld { first } => (Exit::Failure, too_old(*first)),
        Verdict::EndsBeforeAnchor { number } => (
            Exit::Failure,
            format!(
                "it ends at record {last}, before the anchor's record {number}, as it was asked for or taken then: whole, and the \
                 anchor says nothing of it; take an anchor of a record in it"
            ),
        ),
    };
    let text = match verdict {
        Verdict::Whole if *records == 0 => format!("{what} holds no records\n"),
        Verdict::Whole => format!("{what} is whole: {records} records, {first} to {last}\n"),
        _ => format!("{what}: {says}\n"),
    };
    let json = json!({
        "verdict": verdict.name(), "detail": text.trim_end(), "store": store, "records": records, "first": first,
        "last": last, "hash": hash,
    });
    Outcome { exit, text, json }
}

const ANCHOR_FORGED: &str = "the anchor's own signature does not hold: it was changed, or is no signed head";

fn rewritten(number: u64) -> String {
    format!("the audit was rewritten: record {number} is another one than was signed")
}

fn truncated(number: u64, head: u64) -> String {
    format!("the audit was cut short: it ends at record {head}, and record {number} was signed")
}

fn too_old(first: u64) -> String {
    format!("the anchor is older than record {first}, the first that is kept: take a newer anchor")
}

/// Has the box verify its audit, and waits for what it finds.
async fn verify(mut client: Client, anchor: Option<&Signed>) -> Result<Outcome, CtlError> {
    let body = json!({ "anchor": anchor });
    let begun: Check = understand(&client.post("/v1/audit/verify", &body).await?)?;
    let bar = ProgressBar::new(begun.all.max(1));
    if let Ok(style) = ProgressStyle::with_template("verifying [{wide_bar}] {percent:>3} % {eta:>4}") {
        bar.set_style(style);
    }
    let mut pause = SOON;
    let (check, answer) = loop {
        let answer = client.get("/v1/audit/verify").await?;
        let check = understand::<Verification>(&answer)?.check;
        let Some(check) = check.filter(|check| check.number == begun.number) else {
            return Err(CtlError::Answer("the box was started anew meanwhile: verify again".to_owned()));
        };
        if check.state != "running" {
            break (check, answer);
        }
        bar.set_length(check.all.max(1));
        bar.set_position(check.done);
        tokio::time::sleep(pause).await;
        pause = PAUSE.min(pause * 2);
    };
    bar.finish_and_clear();
    if let Some(problem) = check.problem {
        return Err(CtlError::Problem(problem));
    }
    let found = check.found.ok_or_else(|| CtlError::Answer("it did not say what it found".to_owned()))?;
    let (exit, text) = judged(&found);
    Ok(Outcome { exit, text, json: answer["check"].clone() })
}

/// How the command ends, and what it says.
fn judged(found: &BoxFound) -> (Exit, String) {
    let number = found.number.unwrap_or_default();
    let of = found.archive_of.as_ref().map_or_else(String::new, |store| {
        format!(
            "the anchor is of the box {store}, whose backup was restored here: what is kept of its audit was verified with it\n"
        )
    });
    let (exit, says) = match found.verdict.as_str() {
        "whole" => (
            Exit::Ok,
            format!(
                "the audit is whole: {} records, {} to {}; heads that were signed and fit: {}",
                found.records, found.first, found.last, found.heads
            ),
        ),
        "broken" => {
            let why = found.why.as_deref().unwrap_or_default();
            (Exit::Tampered, format!("the audit is broken at record {number}: {why}"))
        }
        "start-forged" => {
            (Exit::Tampered, "more was cut off the audit than the box did: its start is not signed".to_owned())
        }
        "rewritten" => (Exit::Tampered, rewritten(number)),
        "truncated" => (Exit::Tampered, truncated(number, found.last)),
        "anchor-forged" => (Exit::Failure, ANCHOR_FORGED.to_owned()),
        "anchor-foreign" => {
            (Exit::Failure, "the anchor is of a box whose audit is not here, nor in a backup that was restored".to_owned())
        }
        "anchor-too-old" => (Exit::Failure, too_old(found.first)),
        "anchor-after-backup" => (
            Exit::Failure,
            "the anchor is later than the backup: what is here of that box holds, and the anchor is to be compared with the \
             other box itself"
                .to_owned(),
        ),
        other => (Exit::Tampered, format!("the box says: {other}")),
    };
    let mut text = format!("{of}{says}\n");
    let mut exit = exit;
    if found.other_keys > 0 || found.anchor_of_other_key {
        text.push_str(
            "another device key than the box has now signed some of it: its authority was made anew, or it was forged\n",
        );
        exit = if exit == Exit::Ok { Exit::Tampered } else { exit };
    }
    (exit, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_with_when_who_from_where_what_and_the_rest() {
        let mut record = json!({
            "number": 7, "at": "2026-11-23T08:30:00Z", "previous": "00", "hash": "11",
            "by": {"client": "ab", "role": "station", "name": "door"},
            "what": {"event": "verified", "decision": "accept", "score": 51.5},
        });
        let expected = "     7  2026-11-23T08:30:00Z  station door  verified  decision=accept  score=51.5";
        assert_eq!(line(&record), expected);
        record["by"]["from"] = "192.0.2.7".into();
        assert!(line(&record).contains("  station door at 192.0.2.7  verified"), "{}", line(&record));
    }

    fn found(verdict: &str) -> BoxFound {
        BoxFound {
            verdict: verdict.to_owned(),
            number: Some(4),
            why: Some("the record is missing".to_owned()),
            records: 9,
            heads: 1,
            first: 1,
            last: 3,
            other_keys: 0,
            archive_of: None,
            anchor_of_other_key: false,
        }
    }

    #[test]
    fn what_another_key_signed_is_not_taken_for_the_box_s() {
        for found in [
            BoxFound { other_keys: 1, ..found("whole") },
            BoxFound { anchor_of_other_key: true, ..found("whole") },
        ] {
            let (exit, text) = judged(&found);
            assert!(exit == Exit::Tampered && text.contains("another device key"), "{text}");
        }
    }

    #[test]
    fn what_a_box_finds_is_an_exit_code_of_its_own_only_when_something_was_changed() {
        for (verdict, exit, says) in [
            ("whole", Exit::Ok, "9 records, 1 to 3; heads that were signed and fit: 1"),
            ("broken", Exit::Tampered, "record 4: the record is missing"),
            ("rewritten", Exit::Tampered, "record 4"),
            ("truncated", Exit::Tampered, "ends at record 3, and record 4"),
            ("start-forged", Exit::Tampered, "start"),
            ("anchor-foreign", Exit::Failure, "not here"),
            ("anchor-after-backup", Exit::Failure, "other box itself"),
            ("of a later version", Exit::Tampered, "later version"),
        ] {
            let (ended, text) = judged(&found(verdict));
            assert_eq!(ended, exit, "{verdict}");
            assert!(text.contains(says), "{text}");
        }
    }
}
