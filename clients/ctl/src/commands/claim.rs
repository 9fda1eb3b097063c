//! `claim`: make a key, look whether this is the box whose console we read, and only then give the code.
//!
//! Invariant: nothing that exists is overwritten, and the key is on the disk before the box is asked: when
//! the answer is lost, the same command gets it again.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rcgen::KeyPair;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;

use super::understand;
use crate::args::{Claim, Connection};
use crate::client::Client;
use crate::error::CtlError;
use crate::keys::{keep_key, request, write_new};
use crate::outcome::Outcome;
use crate::pin::Pinned;
use crate::profile::{Place, Profile};

/// More than any code has.
const CODE: u64 = 256;

#[derive(Deserialize)]
struct Answer {
    certificate: String,
    ca: String,
    device_id: String,
}

/// Claims a box.
pub(crate) async fn run(asked: Claim, given: &Connection) -> Result<Outcome, CtlError> {
    let limit = given.limit();
    let server = asked.url.or_else(|| given.server.clone()).unwrap_or_default();
    let place = Place::choose(asked.out, given.profile.clone(), &server)?;
    let [authority, certificate, key] =
        ["ca.pem", "administrator.pem", "administrator.key"].map(|name| place.folder.join(name));
    for taken in [&authority, &certificate] {
        if taken.exists() {
            let why = format!("{} is there already: take another folder with --out", taken.display());
            return Err(CtlError::Usage(why));
        }
    }
    let pinned = Pinned::new(asked.ca_sha256);
    let connected = Client::connect(server.clone(), pinned.config()?, limit).await;
    let mut client = connected.map_err(|error| match error {
        CtlError::Untrusted { server, reason } if pinned.authority().is_none() => {
            let expected = asked.ca_sha256.to_string();
            CtlError::WrongAuthority { server, expected, reason }
        }
        other => other,
    })?;
    let code = code(asked.code.as_deref())?;
    let pair = keep_key(&place.folder, &key)?;
    let csr = request(&pair)?;
    let answer = client.post("/v1/system/claim", &json!({"code": code, "csr": csr})).await?;
    let given: Answer = understand(&answer)?;
    check(&given, &pair, &pinned)?;
    write_new(&authority, given.ca.as_bytes(), 0o644)?;
    write_new(&certificate, given.certificate.as_bytes(), 0o644)?;
    let next = match place.name() {
        Some(name) => format!("--profile {name}"),
        None => format!(
            "--server {server} --cacert {} --cert {} --key {}",
            authority.display(),
            certificate.display(),
            key.display()
        ),
    };
    let name = place.name().cloned();
    place.keep(Profile {
        server,
        cacert: authority.clone(),
        ca_sha256: asked.ca_sha256,
        cert: Some(certificate.clone()),
        key: Some(key.clone()),
        device_id: Some(given.device_id.clone()),
    })?;
    let text = format!(
        "claimed box {}\nwrote {}, {} and {}\nNext:\n  authenteonctl {next} health\n\
         What the box stores is encrypted, and the key lies in a file on the same card. Against whoever takes the box, \
         choose a passphrase before you enrol anybody: authenteonctl at-rest passphrase\n",
        given.device_id,
        authority.display(),
        certificate.display(),
        key.display(),
    );
    let mut json =
        json!({"device_id": given.device_id, "cacert": authority, "cert": certificate, "key": key});
    if let Some(name) = name {
        json["profile"] = json!(name);
    }
    Ok(Outcome::done(text, json))
}

/// The code from the command line, or from standard input so that no list of processes shows it.
fn code(given: Option<&str>) -> Result<String, CtlError> {
    let code = match given {
        Some(code) if code != "-" => code.to_owned(),
        _ => {
            let input = io::stdin();
            if input.is_terminal() {
                // Whoever cannot see the question can still answer it.
                let _ = write!(io::stderr().lock(), "Code on the box's console: ");
            }
            let mut line = String::new();
            let read = input.lock().take(CODE).read_line(&mut line);
            read.map_err(|error| CtlError::System(error.to_string()))?;
            line
        }
    };
    match code.trim() {
        "" => Err(CtlError::Missing("no code: give it with --code CODE, or in standard input")),
        code => Ok(code.to_owned()),
    }
}

/// Whether the box has answered with its own authority and a certificate of our key.
fn check(given: &Answer, pair: &KeyPair, pinned: &Pinned) -> Result<(), CtlError> {
    let senseless = |reason: &dyn std::fmt::Display| CtlError::Answer(reason.to_string());
    let authority = CertificateDer::from_pem_slice(given.ca.as_bytes()).map_err(|error| senseless(&error))?;
    if !pinned.is_expected(&authority) {
        return Err(senseless(&"the authority in it is not the one that vouches for the box"));
    }
    let certificate =
        CertificateDer::from_pem_slice(given.certificate.as_bytes()).map_err(|error| senseless(&error))?;
    let key = PrivateKeyDer::try_from(pair.serialize_der()).map_err(|error| senseless(&error))?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(vec![certificate], key, &provider).map_err(|error| senseless(&error))?;
    Ok(())
}
