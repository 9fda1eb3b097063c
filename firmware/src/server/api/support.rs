//! A support bundle: what somebody far away needs to find out what is wrong, as a tar.gz.
//!
//! Invariant: no biometrics, no secrets and nobody's name; it is made of parts that have none of them (the diagnosis, the
//! metrics, the log) and of the configuration without its secrets.

use std::io;

use axum::{
    Extension,
    extract::State as Shared,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tracing::warn;

use super::{diagnose::diagnosis, off_core};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    request::Caller,
    server::{State, metrics, problem::Problem},
};

const README: &str = "\
A support bundle of an Authenteon box. Nobody's name, no fingerprint, no template, no key and no password is in it.

version.json    which program runs, and on what
config.toml     the configuration in force, without its secrets
diagnosis.json  as authenteonctl diagnose --json prints it
metrics.txt     as Prometheus reads it
log.jsonl       the last lines of the log, each a JSON object
";

/// What a bundle is called by those who save it.
const NAME: &str = "attachment; filename=\"authenteon-support.tar.gz\"";

/// Gathers a support bundle. Answers in every state but before the claim.
#[utoipa::path(get, path = "/v1/system/support-bundle", tag = "system", operation_id = "support_bundle", responses(
    (status = 200, description = "A tar.gz", body = Vec<u8>, content_type = "application/gzip")))]
pub(crate) async fn bundle(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<([(HeaderName, &'static str); 2], Bytes), Problem> {
    let packed = off_core(move || {
        // A box that cannot write tells what is wrong with it all the same.
        if let Some(Err(why)) = state.lock.services().map(|services| services.support_bundle_made(&by)) {
            warn!(%why, "that a support bundle was made is not in the audit");
        }
        pack(&files(&state), SystemClock.now())
    });
    let packed = packed.await?;
    let packed = packed.map_err(|why| Problem::internal(&why))?;
    Ok(([(CONTENT_TYPE, "application/gzip"), (CONTENT_DISPOSITION, NAME)], packed.into()))
}

/// A file of a bundle.
type File = (&'static str, Vec<u8>);

fn files(state: &State) -> Vec<File> {
    let pretty = |value: &serde_json::Value| format!("{value:#}\n").into_bytes();
    let version = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "started": state.operation.started,
        "now": SystemClock.now(),
    });
    let diagnosis = serde_json::to_value(diagnosis(state)).unwrap_or_default();
    vec![
        ("README", README.as_bytes().to_vec()),
        ("version.json", pretty(&version)),
        ("config.toml", state.operation.settings().shown.into_bytes()),
        ("diagnosis.json", pretty(&diagnosis)),
        ("metrics.txt", metrics::text(state).into_bytes()),
        ("log.jsonl", state.operation.log.text()),
    ]
}

/// Packs files, each readable by its owner only.
fn pack(files: &[File], now: Timestamp) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(now.millis() / 1000);
        header.set_cksum();
        archive.append_data(&mut header, format!("authenteon-support/{name}"), bytes.as_slice())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_bundle_unpacks_to_what_was_put_in() {
        let files: Vec<File> = vec![("README", b"read me".to_vec()), ("log.jsonl", Vec::new())];
        let packed = pack(&files, Timestamp::from_millis(1_800_000_000_000)).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        let unpacked: Vec<(String, Vec<u8>)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                assert_eq!(entry.header().mode().unwrap(), 0o600);
                (entry.path().unwrap().display().to_string(), bytes)
            })
            .collect();
        let expected = files.into_iter().map(|(name, bytes)| (format!("authenteon-support/{name}"), bytes));
        assert_eq!(unpacked, expected.collect::<Vec<_>>());
    }
}
