//! `support-bundle`: what somebody far away needs to find out what is wrong, in a file.
//!
//! Invariant: the file has its name only when all of it came, is readable by its owner only, and takes no other's place.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;

use crate::client::Client;
use crate::error::CtlError;
use crate::outcome::Outcome;

const PATH: &str = "/v1/system/support-bundle";

pub(crate) async fn run(
    file: &Path,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let failed = |why: &io::Error| CtlError::File { path: file.to_owned(), reason: why.to_string() };
    if file.exists() {
        return Err(CtlError::File { path: file.to_owned(), reason: "it is there already".to_owned() });
    }
    let mut bundle = Vec::new();
    let mut take = |piece: &[u8]| {
        bundle.extend_from_slice(piece);
        Ok(())
    };
    connect().await?.fetch(PATH, &mut take).await?;
    let beside = file.with_extension("part");
    let written = || -> io::Result<()> {
        let mut part =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        part.write_all(&bundle)?;
        part.sync_all()?;
        fs::rename(&beside, file)
    };
    written().map_err(|why| failed(&why))?;
    let text = format!(
        "{} ({} bytes): versions, configuration without secrets, diagnosis, metrics, log; look into it before you send \
         it\n",
        file.display(),
        bundle.len()
    );
    Ok(Outcome::done(text, json!({ "file": file, "bytes": bundle.len() })))
}
