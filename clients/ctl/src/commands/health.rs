//! `health`: is the box alive, and, for those it knows, is it ready.

use authenteon_box::Client;
use serde_json::{Value, json};

use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;

/// Asks the public route, and the other one if we have a certificate.
pub(crate) async fn run(mut client: Client, identified: bool) -> Result<Outcome, CtlError> {
    let live = client.get("/v1/health/live").await?;
    let mut text = show("live", &live);
    let mut json = json!({"live": live});
    let exit = exit_of(live["state"].as_str());
    if exit != Exit::Ok {
        // Nobody is told more in this state, but what to do.
        let state = client.get("/v1/health/state").await?;
        text.push_str(&show("state", &state));
        json["state"] = state;
    } else if identified {
        let ready = client.get("/v1/health/ready").await?;
        text.push_str(&show("ready", &ready));
        json["ready"] = ready;
    } else {
        text.push_str("ready: not asked; only known clients are told (--cert, --key)\n");
    }
    Ok(Outcome { exit, text, json })
}

/// A box that does its work, is not served by anybody yet, or has failed.
fn exit_of(state: Option<&str>) -> Exit {
    match state {
        Some("locked" | "unprovisioned") => Exit::Locked,
        Some("failed") => Exit::Failure,
        _ => Exit::Ok,
    }
}

/// `live: ok`, or every field on a line of its own.
fn show(name: &str, answer: &Value) -> String {
    let Some(fields) = answer.as_object() else {
        return format!("{name}: {answer}\n");
    };
    let mut lines = format!("{name}: {}\n", fields.get("status").map(plain).unwrap_or_default());
    for (key, value) in fields.iter().filter(|(key, _)| *key != "status") {
        lines.push_str(&format!("  {key}: {}\n", plain(value)));
    }
    lines
}

/// Text without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_sees_by_the_exit_code_whether_the_box_does_its_work() {
        assert_eq!(exit_of(Some("operational")), Exit::Ok);
        assert_eq!(exit_of(Some("degraded")), Exit::Ok);
        assert_eq!(exit_of(Some("locked")), Exit::Locked);
        assert_eq!(exit_of(Some("unprovisioned")), Exit::Locked);
        assert_eq!(exit_of(Some("failed")), Exit::Failure);
    }

    #[test]
    fn every_field_of_an_answer_is_shown() {
        let text = show("ready", &json!({"status": "operational", "subjects": 3}));
        assert_eq!(text, "ready: operational\n  subjects: 3\n");
    }
}
