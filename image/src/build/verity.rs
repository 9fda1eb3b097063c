//! The root as a squashfs with a tree of hashes behind it.
//!
//! Invariant: without a superblock, so that nothing but the boot folder says what is right.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::failure::{Failure, at, run};

const BLOCK: u64 = 4096;

/// A verified root.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) image: PathBuf,
    pub(super) root_hash: String,
    pub(super) salt: String,
    pub(super) blocks: u64,
    pub(super) squashfs_bytes: u64,
}

/// Makes `image` of `tree`.
pub(super) fn make(tree: &Path, image: &Path) -> Result<Verified, Failure> {
    let _ = fs::remove_file(image);
    let mut squash = Command::new("mksquashfs");
    squash
        .arg(tree)
        .arg(image)
        .args([
            "-comp",
            "zstd",
            "-Xcompression-level",
            "19",
            "-all-root",
            "-noappend",
            "-no-progress",
            "-quiet",
        ])
        // It refuses the variable together with the options, which say the same.
        .args(["-no-xattrs", "-mkfs-time", "0", "-all-time", "0"])
        .env_remove("SOURCE_DATE_EPOCH");
    run(&mut squash)?;
    let length = fs::metadata(image).map_err(at(image))?.len();
    let padded = length.next_multiple_of(BLOCK);
    OpenOptions::new().write(true).open(image).and_then(|file| file.set_len(padded)).map_err(at(image))?;
    // Salted by what it holds: two roots share no block of hashes, and two builds of one are the same.
    let content = fs::read(image).map_err(at(image))?;
    let salt = hex(&Sha256::digest(&content));
    let blocks = padded / BLOCK;
    let said = run(Command::new("veritysetup")
        .arg("format")
        .arg(format!("--hash-offset={padded}"))
        .arg("--no-superblock")
        .arg(format!("--salt={salt}"))
        .arg(format!("--data-blocks={blocks}"))
        .args([image, image]))?;
    let root_hash = said
        .lines()
        .find_map(|line| line.strip_prefix("Root hash:"))
        .map(|hash| hash.trim().to_owned())
        .ok_or_else(|| Failure::Wrong(format!("veritysetup names no root hash: {said}")))?;
    Ok(Verified { image: image.to_owned(), root_hash, salt, blocks, squashfs_bytes: length })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
