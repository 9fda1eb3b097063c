//! `support-bundle`: what somebody far away needs to find out what is wrong, in a file.
//!
//! Invariant: the file has its name only when all of it came, is readable by its owner only, and takes no other's place.

use std::path::Path;

use authenteon_box::Client;
use serde_json::json;

use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::transfer::{Download, bar};

const PATH: &str = "/v1/system/support-bundle";

pub(crate) async fn run(
    file: &Path,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let mut download = Download::create(file, false)?;
    let progress = bar("Fetching the bundle", None);
    let mut bytes = 0;
    let mut take = |piece: &[u8]| {
        bytes += piece.len();
        progress.inc(piece.len() as u64);
        download.write(piece)
    };
    connect().await?.fetch(PATH, &mut take).await?;
    progress.finish_and_clear();
    download.keep()?;
    let text = format!(
        "{} ({bytes} bytes): versions, configuration without secrets, diagnosis, metrics, log; look into it before you send \
         it\n",
        file.display(),
    );
    Ok(Outcome::done(text, json!({ "file": file, "bytes": bytes })))
}
