//! `health`: is the box alive, and, for those it knows, is it ready.

use serde_json::{Value, json};

use crate::client::Client;
use crate::error::CtlError;
use crate::outcome::Outcome;

/// Asks the public route, and the other one if we have a certificate.
pub(crate) async fn run(mut client: Client, identified: bool) -> Result<Outcome, CtlError> {
    let live = client.get("/v1/health/live").await?;
    let mut text = show("live", &live);
    let mut json = json!({"live": live});
    if identified {
        let ready = client.get("/v1/health/ready").await?;
        text.push_str(&show("ready", &ready));
        json["ready"] = ready;
    } else {
        text.push_str("ready: not asked; only known clients are told (--cert, --key)\n");
    }
    Ok(Outcome::done(text, json))
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
    fn every_field_of_an_answer_is_shown() {
        let text = show("ready", &json!({"status": "operational", "subjects": 3}));
        assert_eq!(text, "ready: operational\n  subjects: 3\n");
    }
}
