//! `policy show|set|remove`: what a decision needs, for everybody and for some.

use std::fmt::Write as _;

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{confirm, understand};
use crate::args::PolicyCommand;
use crate::error::CtlError;
use crate::outcome::Outcome;

#[derive(Deserialize)]
struct Restricted {
    kind: String,
    name: String,
    restriction: serde_json::Map<String, Value>,
    in_force: serde_json::Map<String, Value>,
    effective: bool,
}

#[derive(Deserialize)]
struct Policy {
    everybody: serde_json::Map<String, Value>,
    restrictions: Vec<Restricted>,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: PolicyCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        PolicyCommand::Show => {
            let answer = connect().await?.get("/v1/policy").await?;
            let policy: Policy = understand(&answer)?;
            let mut text = format!("everybody\n{}", lines(&policy.everybody));
            for restricted in &policy.restrictions {
                text.push_str(&described(restricted));
            }
            Ok(Outcome::done(text, answer))
        }
        PolicyCommand::Set { whom, values, dry_run } => {
            let body = serde_json::to_value(&values).map_err(|why| CtlError::System(why.to_string()))?;
            if body.as_object().is_none_or(serde_json::Map::is_empty) {
                return Err(CtlError::Usage("what is to be restricted? see --help".to_owned()));
            }
            let (kind, name) = whom.place();
            let query = if dry_run { "?dry_run=true" } else { "" };
            let answer = connect().await?.put(&format!("/v1/policy/{kind}/{name}{query}"), &body).await?;
            let restricted: Restricted = understand(&answer)?;
            let said = if dry_run { "nothing was kept; in force would be\n" } else { "in force\n" };
            Ok(Outcome::done(described(&restricted) + said + &lines(&restricted.in_force), answer))
        }
        PolicyCommand::Remove { whom, yes } => {
            let (kind, name) = whom.place();
            confirm(&format!("Remove what restricts {kind} {name}"), yes)?;
            connect().await?.delete(&format!("/v1/policy/{kind}/{name}")).await?;
            Ok(Outcome::done(
                format!("removed {kind} {name}"),
                json!({"removed": {"kind": kind, "name": name}}),
            ))
        }
    }
}

fn described(restricted: &Restricted) -> String {
    let Restricted { kind, name, restriction, effective, .. } = restricted;
    let note = if *effective { "" } else { " (no stricter than what holds for everybody: without effect)" };
    format!("{kind} {name}{note}\n{}", lines(restriction))
}

/// Values, one a line.
fn lines(values: &serde_json::Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in values {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<21} {}", name.replace('_', "-"), shown(value));
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) if all.is_empty() => "any".to_owned(),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join("; "),
        Value::Number(n) => {
            n.as_f64().filter(|n| n.fract() == 0.0).map_or_else(|| n.to_string(), |n| format!("{n:.0}"))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restriction_without_effect_is_said_to_be_so() {
        let restricted: Restricted = understand(&json!({
            "kind": "group", "name": "night", "effective": false, "in_force": {},
            "restriction": {"verify_one_in": 100.0, "hours": ["mon 07:00-08:00 +00:00"]},
        }))
        .unwrap();
        let text = described(&restricted);
        assert!(text.starts_with("group night (no stricter"), "{text}");
        assert!(
            text.contains("verify-one-in         100\n") && text.contains("mon 07:00-08:00 +00:00\n"),
            "{text}"
        );
    }
}
