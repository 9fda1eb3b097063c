//! `token`: programs that come in without a certificate.

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::json;

use super::{confirm, understand};
use crate::args::TokenCommand;
use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::transfer::Download;

#[derive(Deserialize)]
struct Token {
    name: String,
    role: String,
    scopes: Vec<String>,
    by: String,
    expires: String,
}

#[derive(Deserialize)]
struct Made {
    token: Token,
    secret: String,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<Token>,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: TokenCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        TokenCommand::Add { name, role, expires_days, scopes, out } => {
            if out.exists() {
                return Err(CtlError::Usage(format!("{} is there already", out.display())));
            }
            // The secret is told once: its file is there before it is asked for.
            let mut file = Download::create(&out, false)?;
            let body =
                json!({"name": name, "role": role.name(), "expires_days": expires_days, "scopes": scopes});
            let answer = connect().await?.post("/v1/tokens", &body).await?;
            let made: Made = understand(&answer)?;
            file.write(made.secret.as_bytes())?;
            file.keep()?;
            let Token { name, role, expires, .. } = &made.token;
            let text = format!(
                "made the token {name} of the role {role}, good until {expires}; it is in {}, and shown nowhere else\n",
                out.display()
            );
            Ok(Outcome::done(text, json!({"token": answer["token"], "file": out})))
        }
        TokenCommand::List => {
            let answer = connect().await?.get("/v1/tokens").await?;
            let all: Tokens = understand(&answer)?;
            let line = |t: &Token| {
                let scopes = if t.scopes.is_empty() { "everything".to_owned() } else { t.scopes.join(", ") };
                format!("{:<24} {:<14} until {}, by {}: {scopes}\n", t.name, t.role, t.expires, t.by)
            };
            Ok(Outcome::done(all.tokens.iter().map(line).collect::<String>(), answer))
        }
        TokenCommand::Remove { name, yes } => {
            confirm(&format!("Revoke the token {name}"), yes)?;
            connect().await?.delete(&format!("/v1/tokens/{name}")).await?;
            Ok(Outcome::done(format!("revoked {name}"), json!({"removed": name})))
        }
    }
}
