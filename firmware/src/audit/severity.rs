//! How urgent a record is, for who gets the audit forwarded: the one place where a kind of event has its severity.

use serde_json::Value;

/// Severities of syslog (RFC 5424), those that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody has to act at once: somebody is under duress.
    Alert = 1,
    /// Somebody was at the box, or what it stores is damaged.
    Critical = 2,
    /// Somebody may be trying something.
    Warning = 4,
    /// Something was changed, or somebody refused.
    Notice = 5,
    /// A day as any other.
    Info = 6,
}

/// Kinds of events that are no notice.
const OF_KINDS: &[(&str, Severity)] = &[
    ("store-damaged", Severity::Critical),
    ("subject-lost", Severity::Critical),
    ("case-opened", Severity::Critical),
    ("duplicate-finger", Severity::Warning),
    ("restore-begun", Severity::Warning),
    ("master-key-changed", Severity::Warning),
    ("reader-found", Severity::Warning),
    ("sign-in-refused", Severity::Warning),
    ("configuration-refused", Severity::Warning),
    ("update-trial-ordered", Severity::Warning),
    ("directory-held", Severity::Warning),
];

/// Of what happened, as a record has it. A kind that is not known here changes something, and is a notice.
#[must_use]
pub fn severity(what: &Value) -> Severity {
    let text = |field: &str| what[field].as_str().unwrap_or_default();
    let kind = text("event");
    match kind {
        "verified" | "identified" => match (text("decision"), text("why")) {
            // Accepted, as far as the station knows.
            _ if what["duress"] == true => Severity::Alert,
            ("refuse", why) if why.contains("replay") || why.contains("locked") => Severity::Warning,
            ("refuse", _) => Severity::Notice,
            _ => Severity::Info,
        },
        _ => OF_KINDS.iter().find(|(of, _)| *of == kind).map_or(Severity::Notice, |(_, severity)| *severity),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_that_has_a_severity_is_one_that_there_is() {
        for (kind, _) in
            OF_KINDS.iter().chain(&[("verified", Severity::Info), ("identified", Severity::Info)])
        {
            let read = serde_json::from_value::<crate::audit::Event>(json!({ "event": kind }));
            // What is missing of it is said then, and not that nobody knows it.
            let unknown = read.is_err_and(|why| why.to_string().contains("unknown variant"));
            assert!(!unknown, "{kind}");
        }
    }

    #[test]
    fn an_alarm_is_urgent_a_replay_warns_and_an_accept_is_a_day_as_any_other() {
        for (what, expected) in [
            (json!({"event": "verified", "decision": "accept", "duress": true}), Severity::Alert),
            (json!({"event": "duress-marked", "duress": true}), Severity::Notice),
            (json!({"event": "verified", "decision": "accept", "duress": false}), Severity::Info),
            (json!({"event": "case-opened", "suspended": []}), Severity::Critical),
            (json!({"event": "reader-found"}), Severity::Warning),
            (json!({"event": "verified", "decision": "refuse", "why": "replay"}), Severity::Warning),
            (
                json!({"event": "verified", "decision": "refuse", "why": "below the threshold"}),
                Severity::Notice,
            ),
            (json!({"event": "identified", "decision": "accept", "why": "match"}), Severity::Info),
            (json!({"event": "client-added"}), Severity::Notice),
            (json!({"event": "duress-marked", "duress": true}), Severity::Notice),
        ] {
            assert_eq!(severity(&what), expected, "{what}");
        }
    }
}
