//! `diagnose`: what is wrong with the box, and what to do about it.

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::Value;

use super::understand;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;

const PATH: &str = "/v1/health/diagnose";

#[derive(Deserialize)]
struct Diagnosis {
    state: String,
    result: String,
    version: String,
    started: String,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    check: String,
    result: String,
    detail: String,
}

pub(crate) async fn run(
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let answer: Value = connect().await?.get(PATH).await?;
    let diagnosis: Diagnosis = understand(&answer)?;
    Ok(Outcome { exit: exit(&diagnosis), text: describe(&diagnosis), json: answer })
}

/// As for `health`: a script need not read the text.
fn exit(Diagnosis { state, result, .. }: &Diagnosis) -> Exit {
    match (state.as_str(), result.as_str()) {
        ("locked" | "unprovisioned", _) => Exit::Locked,
        (_, "good" | "doubtful") => Exit::Ok,
        _ => Exit::Failure,
    }
}

fn describe(Diagnosis { state, version, started, checks, .. }: &Diagnosis) -> String {
    let mut text = format!("{state}, version {version}, since {started}\n");
    for Check { check, result, detail } in checks {
        text.push_str(&format!("{result:<9} {check:<13} {detail}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(state: &str, result: &str) -> Diagnosis {
        serde_json::from_value(serde_json::json!({
            "state": state, "result": result, "version": "1", "started": "now",
            "checks": [{"check": "disk", "result": result, "detail": "full"}],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_bad_ends_with_a_failure_and_a_locked_box_with_its_own_code() {
        assert_eq!(exit(&diagnosis("operational", "good")), Exit::Ok);
        assert_eq!(exit(&diagnosis("operational", "doubtful")), Exit::Ok);
        assert_eq!(exit(&diagnosis("operational", "bad")), Exit::Failure);
        assert_eq!(exit(&diagnosis("failed", "bad")), Exit::Failure);
        assert_eq!(exit(&diagnosis("locked", "bad")), Exit::Locked);
        assert!(describe(&diagnosis("operational", "bad")).contains("bad       disk          full"));
    }
}
