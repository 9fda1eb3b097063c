//! An empty data partition: made here and never again.

use std::{fs, path::Path, process::Command};

use super::boot_folder::search_path;
use crate::{
    failure::{Failure, run},
    layout::{self, Content},
};

/// Fixed, so that two builds are the same; nothing is found by it.
const UUID: &str = "41555448-4e54-4f4e-8000-000000000007";

pub(super) fn make(image: &Path, moment: u64) -> Result<(), Failure> {
    let _ = fs::remove_file(image);
    let size = layout::PARTITIONS.iter().find(|p| p.content == Content::Data).map_or(256, |p| p.mebibytes);
    let seed = format!("hash_seed={UUID},root_owner=0:0");
    run(Command::new("mke2fs")
        .env("PATH", search_path())
        .env("E2FSPROGS_FAKE_TIME", moment.to_string())
        // As for a card of usual size, to which it grows.
        .args([
            "-q", "-t", "ext4", "-b", "4096", "-i", "16384", "-m", "0", "-L", "data", "-U", UUID, "-E", &seed,
        ])
        .arg(image)
        .arg(format!("{size}M")))?;
    Ok(())
}
