//! `station add|list|remove`: who holds a certificate of the box.

use serde::Deserialize;
use serde_json::json;

use super::{confirm, understand};
use crate::args::StationCommand;
use crate::client::Client;
use crate::error::CtlError;
use crate::keys::{keep_key, request, write_new};
use crate::outcome::Outcome;

#[derive(Deserialize)]
struct Station {
    name: String,
    role: String,
    sha256: String,
}

#[derive(Deserialize)]
struct Stations {
    stations: Vec<Station>,
}

#[derive(Deserialize)]
struct Added {
    station: Station,
    certificate: String,
    ca: String,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: StationCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        StationCommand::Add { name, role, out } => {
            let [authority, certificate, key] =
                ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}.key")]
                    .map(|file| out.join(file));
            if certificate.exists() {
                let why =
                    format!("{} is there already: take another folder with --out", certificate.display());
                return Err(CtlError::Usage(why));
            }
            let mut client = connect().await?;
            let pair = keep_key(&out, &key)?;
            let body = json!({"name": name, "role": role.name(), "csr": request(&pair)?});
            let answer = client.post("/v1/stations", &body).await?;
            let added: Added = understand(&answer)?;
            write_new(&certificate, added.certificate.as_bytes(), 0o644)?;
            if !authority.exists() {
                write_new(&authority, added.ca.as_bytes(), 0o644)?;
            }
            let text = format!(
                "added {} {}\nwrote {} and {}; give them and {} to the station, and keep the key to it alone\n",
                added.station.role,
                added.station.name,
                certificate.display(),
                key.display(),
                authority.display(),
            );
            let json = json!({
                "name": added.station.name, "role": added.station.role, "sha256": added.station.sha256,
                "cacert": authority, "cert": certificate, "key": key,
            });
            Ok(Outcome::done(text, json))
        }
        StationCommand::List => {
            let answer = connect().await?.get("/v1/stations").await?;
            let all: Stations = understand(&answer)?;
            let line = |s: &Station| format!("{:<24} {:<14} {}\n", s.name, s.role, s.sha256);
            Ok(Outcome::done(all.stations.iter().map(line).collect::<String>(), answer))
        }
        StationCommand::Remove { name, yes } => {
            confirm(&format!("Remove {name}: its certificate is worth nothing any more"), yes)?;
            connect().await?.delete(&format!("/v1/stations/{name}")).await?;
            Ok(Outcome::done(format!("removed {name}"), json!({"removed": name})))
        }
    }
}
