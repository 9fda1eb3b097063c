//! `lockout list|clear`, and `subject unlock`.

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::understand;
use crate::args::LockoutCommand;
use crate::error::CtlError;
use crate::outcome::Outcome;

#[derive(Deserialize)]
struct Failed {
    scope: String,
    id: String,
    failures: u64,
    retry_after_s: Option<u64>,
}

#[derive(Deserialize)]
struct All {
    lockouts: Vec<Failed>,
    left_out: u64,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: LockoutCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        LockoutCommand::List => {
            let answer = connect().await?.get("/v1/lockouts").await?;
            let all: All = understand(&answer)?;
            Ok(Outcome::done(table(&all), answer))
        }
        LockoutCommand::Clear { whose } => match (whose.subject, whose.station, whose.sensor) {
            (Some(subject), ..) => subject_unlocked(subject, connect).await,
            (_, Some(station), _) => clear("stations", "station", &station, connect).await,
            (_, _, Some(sensor)) => clear("sensors", "sensor", &sensor, connect).await,
            // The arguments ask for one.
            (None, None, None) => Err(CtlError::Usage("whose? --subject, --station or --sensor".to_owned())),
        },
    }
}

/// Takes away what counts against a subject.
pub(crate) async fn subject_unlocked(
    subject: Uuid,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    clear("subjects", "subject", &subject.to_string(), connect).await
}

async fn clear(
    many: &str,
    one: &str,
    id: &str,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    connect().await?.delete(&format!("/v1/{many}/{id}/lockout")).await?;
    Ok(Outcome::done(format!("nothing counts against {one} {id}"), json!({"unlocked": {one: id}})))
}

fn table(all: &All) -> String {
    if all.lockouts.is_empty() {
        return "nobody failed\n".to_owned();
    }
    let line = |f: &Failed| {
        let wait = f.retry_after_s.map_or_else(String::new, |s| format!(", locked out for {s} seconds"));
        format!("{:<8} {:<36} {} failures{wait}\n", f.scope, f.id, f.failures)
    };
    let mut text: String = all.lockouts.iter().map(line).collect();
    if all.left_out > 0 {
        text.push_str(&format!("and {} more\n", all.left_out));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_who_waits_how_long() {
        let all: All = understand(&json!({ "left_out": 3, "lockouts": [
            {"scope": "station", "id": "door", "failures": 100, "retry_after_s": 30},
            {"scope": "sensor", "id": "usb-1", "failures": 2},
        ]}))
        .unwrap();
        let text = table(&all);
        assert!(
            text.contains("door") && text.contains("100 failures, locked out for 30 seconds\n"),
            "{text}"
        );
        assert!(text.contains("2 failures\n") && text.ends_with("and 3 more\n"), "{text}");
    }
}
