//! What the demo prints: a line a step for people, or one JSON object.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde::Serialize;
use serde_json::Value;

/// One step.
#[derive(Serialize)]
struct Step {
    step: String,
    expected: String,
    actual: String,
    ok: bool,
    ms: f64,
}

/// The steps so far.
pub(super) struct Report {
    listen: SocketAddr,
    json: bool,
    steps: Vec<Step>,
    subject: Option<String>,
    probe: Option<Value>,
}

#[derive(Serialize)]
struct Whole<'a> {
    ok: bool,
    listen: String,
    steps: &'a [Step],
}

impl Report {
    pub(super) fn new(listen: SocketAddr, json: bool) -> Self {
        let report = Self { listen, json, steps: Vec::new(), subject: None, probe: None };
        report.say(&format!("authenteond serves on https://{listen} (TLS 1.3, its own authority, a store in a temporary folder)"));
        report
    }

    #[expect(clippy::print_stdout, reason = "the demo is for reading")]
    fn say(&self, line: &str) {
        if !self.json {
            println!("{line}");
        }
    }

    /// Something worth knowing that is no step.
    pub(super) fn note(&self, line: &str) {
        self.say(&format!("         {line}"));
    }

    /// A step is done.
    pub(super) fn step(&mut self, step: &str, expected: &str, actual: &str, took: Duration) {
        let (ok, ms) = (expected == actual, (took.as_secs_f64() * 1e4).round() / 10.0);
        let mark = if ok { "right" } else { "WRONG" };
        let but = if ok { String::new() } else { format!(" (expected {expected})") };
        self.say(&format!("{mark} {ms:>8.1} ms  {step}: {actual}{but}"));
        self.steps.push(Step {
            step: step.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
            ok,
            ms,
        });
    }

    /// What the invitation will use.
    pub(super) fn keep_for_curl(&mut self, subject: String, probe: Value) {
        self.subject = Some(subject);
        self.probe = Some(probe);
    }

    pub(super) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    pub(super) fn probe(&self) -> Option<&Value> {
        self.probe.as_ref()
    }

    /// Prints the end; true when every step was right.
    #[expect(clippy::print_stdout, reason = "the demo is for reading")]
    pub(super) fn finish(&self) -> bool {
        let ok = self.steps.iter().all(|s| s.ok);
        if self.json {
            let whole = Whole { ok, listen: self.listen.to_string(), steps: &self.steps };
            println!("{}", serde_json::to_string_pretty(&whole).unwrap_or_default());
        } else {
            let wrong = self.steps.iter().filter(|s| !s.ok).count();
            println!("{} steps, {wrong} wrong", self.steps.len());
        }
        ok
    }

    /// How to go on by hand.
    pub(super) fn invite(&self, pki: &Path, sample: &Path, subject: Option<&str>) {
        let (pki, listen) = (pki.display(), self.listen);
        self.say(&format!(
            "\nhttps://{listen}/v1/openapi.json describes the API. Verify a fresh impression yourself:"
        ));
        self.say(&format!(
            "  curl --cacert {pki}/ca.pem --cert {pki}/station.pem --key {pki}/station.key --json @{} https://{listen}/v1/verify",
            sample.display()
        ));
        if let Some(subject) = subject {
            self.say(&format!("The subject is {subject}. Ctrl-C stops."));
        }
    }
}
