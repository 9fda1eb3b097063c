//! Where stores are made, and what they take there.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use rustix::fs::statfs;
use tempfile::TempDir;

use crate::engine::Failure;

/// The file system that is memory, as statfs(2) names it.
const TMPFS: i64 = 0x0102_1994;

/// A folder on a disk, which is gone when it is dropped.
pub(crate) fn folder() -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("authenteon-bench-").tempdir()?;
    if statfs(folder.path())?.f_type == TMPFS {
        let place = folder.path().display();
        return Err(format!(
            "{place} is in memory, where nothing is durable: set TMPDIR to a folder on a disk"
        )
        .into());
    }
    Ok(folder)
}

/// Bytes that a file or folder takes on the disk.
pub(crate) fn taken(path: &Path) -> io::Result<u64> {
    let about = fs::symlink_metadata(path)?;
    let mut bytes = about.blocks() * 512;
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += taken(&entry?.path())?;
        }
    }
    Ok(bytes)
}
