//! Certificates: the box's own authority, and who holds which certificate.

pub mod authority;
pub mod clients;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a file that only its owner may read, whole or not at all, and makes it durable.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    write_whole(path, text, 0o600)
}

/// Writes a file that everybody may read, likewise.
pub(crate) fn write_public(path: &Path, text: &str) -> io::Result<()> {
    write_whole(path, text, 0o644)
}

fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
