//! Problem details (RFC 9457) as the box sends them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Types of our own problems start with this.
const PREFIX: &str = "urn:authenteon:problem:";
/// What is before a request's id.
const REQUEST: &str = "urn:authenteon:request:";

/// A refusal by the box.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Problem {
    /// Its type; ours begin with `urn:authenteon:problem:`.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// For people, the same for all of this type.
    #[serde(default)]
    pub title: String,
    /// The status of the answer.
    #[serde(default)]
    pub status: u16,
    /// For people, of this one.
    #[serde(default)]
    pub detail: String,
    /// Which request it was: the box's log has the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl Problem {
    /// Reads an answer's body; one that is no problem document still has its status.
    #[must_use]
    pub fn parse(status: u16, body: &[u8]) -> Self {
        let mut problem = serde_json::from_slice(body).unwrap_or_else(|_| Self {
            kind: about_blank(),
            title: String::new(),
            status,
            detail: String::new(),
            instance: None,
        });
        // The status line is what happened; the body is what somebody wrote.
        problem.status = status;
        if problem.title.is_empty() {
            problem.title = format!("the box answered with status {status}");
        }
        problem
    }

    /// The last part of our own types, such as `unknown-subject`.
    #[must_use]
    pub fn slug(&self) -> &str {
        self.kind.strip_prefix(PREFIX).unwrap_or_default()
    }

    /// The id of the request, as the box's log has it.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.instance.as_deref()?.strip_prefix(REQUEST)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        // Whose fault it is, the log says.
        match (self.status, self.request()) {
            (500.., Some(request)) => write!(f, " (request {request})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_its_title_and_detail() {
        let body = br#"{"type":"urn:authenteon:problem:unknown-subject","title":"Unknown subject",
            "status":404,"detail":"no such subject","instance":"urn:authenteon:request:7"}"#;
        let problem = Problem::parse(404, body);
        assert_eq!((problem.slug(), problem.request()), ("unknown-subject", Some("7")));
        assert_eq!(problem.to_string(), "Unknown subject: no such subject");
        assert_eq!(Problem::parse(500, body).to_string(), "Unknown subject: no such subject (request 7)");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_still_has_a_title() {
        assert_eq!(Problem::parse(502, b"<html>").title, "the box answered with status 502");
    }

    #[test]
    fn the_status_line_wins_over_the_body() {
        assert_eq!(Problem::parse(403, br#"{"status":200}"#).status, 403);
    }
}
