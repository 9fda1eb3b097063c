//! `station`: who holds a certificate of the box, and who may come to get one.

use std::path::Path;
use std::time::Duration;

use authenteon_box::{Client, Server};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{confirm, understand};
use crate::args::{Connection, StationCommand};
use crate::error::CtlError;
use crate::invitation;
use crate::keys::{Next, keep_key, request, write_new};
use crate::outcome::Outcome;
use crate::passphrase;
use crate::pin::Pinned;
use crate::profile::{Files, Place, Target, target};

#[derive(Deserialize)]
struct Station {
    name: String,
    role: String,
    sha256: String,
    expires: Option<String>,
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

#[derive(Deserialize)]
struct Invitation {
    id: String,
    name: String,
    role: String,
    by: String,
    expires: String,
    used: Option<String>,
}

#[derive(Deserialize)]
struct Invitations {
    invitations: Vec<Invitation>,
}

#[derive(Deserialize)]
struct Made {
    invitation: Invitation,
    code: String,
}

#[derive(Deserialize)]
struct Joined {
    name: String,
    role: String,
    certificate: String,
    ca: String,
    device_id: Uuid,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: StationCommand,
    given: &Connection,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    match command {
        StationCommand::Join { code_file, out } => {
            let server = given.server.clone().unwrap_or_default();
            let place = Place::choose(out, given.profile.clone(), &server)?;
            join(code_file.as_deref(), place, server, given.limit()).await
        }
        StationCommand::Renew => renew(target(given)?, connect).await,
        StationCommand::Invite { name, role, expires } => {
            let body = json!({"name": name, "role": role.name(), "expires_minutes": expires});
            let server = target(given)?.server;
            let answer = connect().await?.post("/v1/invitations", &body).await?;
            let made: Made = understand(&answer)?;
            let text = format!(
                "{}\nThis code is shown once. It gets the {} {} its certificate, once, until {}. On that machine:\n  \
                 authenteonctl station join --server {server}\nand type or paste the code. To take it back: authenteonctl station \
                 withdraw {}\n",
                made.code,
                made.invitation.role,
                made.invitation.name,
                made.invitation.expires,
                made.invitation.id,
            );
            Ok(Outcome::done(text, answer))
        }
        StationCommand::Invitations => {
            let answer = connect().await?.get("/v1/invitations").await?;
            let all: Invitations = understand(&answer)?;
            let line = |i: &Invitation| {
                let end = match &i.used {
                    Some(used) => format!("used {used}"),
                    None => format!("until {}", i.expires),
                };
                format!("{}  {:<24} {:<14} {end}, by {}\n", i.id, i.name, i.role, i.by)
            };
            Ok(Outcome::done(all.invitations.iter().map(line).collect::<String>(), answer))
        }
        StationCommand::Withdraw { id } => {
            connect().await?.delete(&format!("/v1/invitations/{}", plain(&id)?)).await?;
            Ok(Outcome::done(format!("withdrew {id}"), json!({"withdrawn": id})))
        }
        StationCommand::Grant { name, granted } => super::handover::grant(&name, &granted, connect).await,
        StationCommand::Rename { name, to } => {
            let answer =
                connect().await?.patch(&format!("/v1/stations/{name}"), &json!({"name": to})).await?;
            Ok(Outcome::done(format!("{name} is called {to}"), answer))
        }
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
            let line = |s: &Station| {
                let until = s.expires.as_deref().unwrap_or("unknown").split('T').next().unwrap_or_default();
                format!("{:<24} {:<14} until {until:<11} {}\n", s.name, s.role, s.sha256)
            };
            Ok(Outcome::done(all.stations.iter().map(line).collect::<String>(), answer))
        }
        StationCommand::Remove { name, yes } => {
            confirm(&format!("Remove {name}: its certificate is worth nothing any more"), yes)?;
            connect().await?.delete(&format!("/v1/stations/{name}")).await?;
            Ok(Outcome::done(format!("removed {name}"), json!({"removed": name})))
        }
    }
}

/// Comes in with a code. Nothing is sent to a box of another authority than the one in the code.
async fn join(
    code_file: Option<&Path>,
    place: Place,
    server: Server,
    limit: Duration,
) -> Result<Outcome, CtlError> {
    let code: invitation::Invitation = passphrase::given(code_file, "Code of the invitation: ")?
        .parse()
        .map_err(|why: &str| CtlError::Usage(why.to_owned()))?;
    let name = &code.name;
    let files = place.files(name)?;
    let pinned = Pinned::new(code.authority);
    let mut client = pinned.connect(&server, limit).await?;
    let pair = keep_key(&place.folder, &files.key)?;
    let body = json!({"ticket": code.ticket, "csr": request(&pair)?});
    let answer = client.post("/v1/join", &body).await?;
    let joined: Joined = understand(&answer)?;
    pinned.check(&joined.ca, &joined.certificate, &pair)?;
    write_new(&files.id, format!("{}\n", joined.device_id).as_bytes(), 0o644)?;
    write_new(&files.certificate, joined.certificate.as_bytes(), 0o644)?;
    write_new(&files.authority, joined.ca.as_bytes(), 0o644)?;
    // What was written is worth something: the box knows who asks.
    let mut client = pinned.connect_as(&server, limit, &joined.certificate, &pair).await?;
    client.get("/v1/health/ready").await?;
    let (profile, next) = place.keep(server, code.authority, &files, joined.device_id.to_string())?;
    let Files { authority, certificate, key, .. } = files;
    let text = format!(
        "joined as {} {}\nwrote {}, {} and {}\nNext:\n  authenteonctl {next} health\n",
        joined.role,
        joined.name,
        authority.display(),
        certificate.display(),
        key.display(),
    );
    let mut json = json!({
        "name": joined.name, "role": joined.role, "cacert": authority, "cert": certificate, "key": key,
    });
    if let Some(profile) = profile {
        json["profile"] = json!(profile);
    }
    Ok(Outcome::done(text, json))
}

#[derive(Deserialize)]
struct Renewed {
    certificate: String,
    ca: String,
}

/// Renews our own certificate. The old one is good until the new one is used: whatever is cut in between, one of them is
/// on the disk with its key.
async fn renew(
    ours: Target,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let (Some(cert), Some(key), server) = (ours.cert, ours.key, ours.server) else {
        return Err(CtlError::Missing("--cert and --key are missing: what is to be renewed"));
    };
    if cert == key {
        let why = "certificate and key are one file: renew it with --cert and --key in two";
        return Err(CtlError::Usage(why.to_owned()));
    }
    let mut client = connect().await?;
    let next = Next::of(&cert, &key);
    let pair = next.key()?;
    let answer = client.post("/v1/stations/self/renew", &json!({"csr": request(&pair)?})).await?;
    let renewed: Renewed = understand(&answer)?;
    let pinned = Pinned::of(&renewed.ca)?;
    pinned.check(&renewed.ca, &renewed.certificate, &pair)?;
    next.keep(&renewed.certificate)?;
    let text = format!(
        "renewed: {} and {} are new\nThe old ones are good for another hour, for programs that have read them. {server} knows \
         the new ones.\n",
        cert.display(),
        key.display()
    );
    Ok(Outcome::done(text, json!({"cert": cert, "key": key, "station": answer["station"]})))
}

/// A part of a path.
fn plain(id: &str) -> Result<&str, CtlError> {
    let good = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    good.then_some(id)
        .ok_or_else(|| CtlError::Usage("an invitation is called by eight hexadecimal digits".to_owned()))
}
