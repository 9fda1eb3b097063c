//! `assertion`, `certificate` and what a station is granted.

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::json;

use super::{confirm, understand};
use crate::args::{AssertionCommand, CertificateCommand, Granted};
use crate::error::CtlError;
use crate::outcome::Outcome;

#[derive(Deserialize)]
struct Key {
    kid: String,
}

#[derive(Deserialize)]
struct Authority {
    certificate: String,
    sha256: String,
}

#[derive(Deserialize)]
struct Grant {
    audiences: Vec<String>,
    may_issue: bool,
}

/// Runs `assertion`.
pub(crate) async fn assertion(
    command: AssertionCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let mut client = connect().await?;
    match command {
        AssertionCommand::Keys => {
            let keys = client.get("/v1/assertions/keys").await?;
            let text =
                serde_json::to_string_pretty(&keys).map_err(|why| CtlError::Answer(why.to_string()))?;
            Ok(Outcome::done(text, keys))
        }
        AssertionCommand::Rotate => {
            let answer = client.post("/v1/assertions/keys/rotate", &json!({})).await?;
            let Key { kid } = understand(&answer)?;
            let text = format!("key {kid} signs from now on; the one before is published until tomorrow");
            Ok(Outcome::done(text, answer))
        }
    }
}

/// Runs `certificate`.
pub(crate) async fn certificate(
    command: CertificateCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    const PATH: &str = "/v1/certificates/authority";
    match command {
        CertificateCommand::Authority { out } => {
            let answer = connect().await?.get(PATH).await?;
            let Authority { certificate, sha256 } = understand(&answer)?;
            let Some(file) = out else { return Ok(Outcome::done(certificate, answer)) };
            let failed = |why: std::io::Error| CtlError::File { path: file.clone(), reason: why.to_string() };
            std::fs::write(&file, certificate).map_err(failed)?;
            Ok(Outcome::done(
                format!("{} has the authority with the SHA-256 {sha256}", file.display()),
                answer,
            ))
        }
        CertificateCommand::CreateAuthority { yes } => {
            confirm("Make an authority that can be everybody in the directories which trust it", yes)?;
            let answer = connect().await?.post(PATH, &json!({})).await?;
            let Authority { sha256, .. } = understand(&answer)?;
            let text = format!(
                "made, with the SHA-256 {sha256}\nhave directories and Kerberos servers trust it: authenteonctl certificate \
                 authority --out FILE"
            );
            Ok(Outcome::done(text, answer))
        }
    }
}

/// Shows what a station may have, or has it have something else.
pub(crate) async fn grant(
    name: &str,
    asked: &Granted,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let path = format!("/v1/stations/{name}/grant");
    let mut client = connect().await?;
    if asked.nothing {
        client.delete(&path).await?;
    } else if asked.may_issue || !asked.audiences.is_empty() {
        client.put(&path, &json!({"audiences": asked.audiences, "may_issue": asked.may_issue})).await?;
    }
    let answer = client.get(&path).await?;
    let Grant { audiences, may_issue } = understand(&answer)?;
    let audiences = if audiences.is_empty() { "none".to_owned() } else { audiences.join(", ") };
    let issue = if may_issue { "yes" } else { "only of fingers at the box's own readers" };
    Ok(Outcome::done(format!("assertions for: {audiences}\ncertificates of people: {issue}"), answer))
}
