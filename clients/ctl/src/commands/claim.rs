//! `claim`: make a key, look whether this is the box whose console we read, and only then give the code.
//!
//! Invariant: nothing that exists is overwritten, and the key is on the disk before the box is asked: when
//! the answer is lost, the same command gets it again.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::understand;
use crate::args::{Claim, Connection};
use crate::code::typed;
use crate::error::CtlError;
use crate::keys::{keep_key, request, write_new};
use crate::outcome::Outcome;
use crate::pin::Pinned;
use crate::profile::{Files, Place};

#[derive(Deserialize)]
struct Answer {
    certificate: String,
    ca: String,
    device_id: Uuid,
}

/// Claims a box.
pub(crate) async fn run(asked: Claim, given: &Connection) -> Result<Outcome, CtlError> {
    let limit = given.limit();
    let server = asked.url.or_else(|| given.server.clone()).unwrap_or_default();
    let place = Place::choose(asked.out, given.profile.clone(), &server)?;
    let files = place.files("administrator")?;
    let pinned = Pinned::new(asked.ca_sha256);
    let mut client = pinned.connect(&server, limit).await?;
    let code = typed(asked.code.as_deref(), "Code on the box's console: ")?;
    let pair = keep_key(&place.folder, &files.key)?;
    let csr = request(&pair)?;
    let answer = client.post("/v1/system/claim", &json!({"code": code, "csr": csr})).await?;
    let given: Answer = understand(&answer)?;
    pinned.check(&given.ca, &given.certificate, &pair)?;
    write_new(&files.id, format!("{}\n", given.device_id).as_bytes(), 0o644)?;
    write_new(&files.authority, given.ca.as_bytes(), 0o644)?;
    write_new(&files.certificate, given.certificate.as_bytes(), 0o644)?;
    let (name, next) = place.keep(server, asked.ca_sha256, &files, given.device_id.to_string())?;
    let Files { authority, certificate, key, .. } = files;
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
