//! The FAT images that firmware reads: a slot's boot folder, which says nothing of the slot it will lie
//! in, and the folder that says which slot to boot.

use std::{
    fs::{self, File, FileTimes},
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use super::{Plan, debian::Packages, fresh, verity::Verified};
use crate::{
    board::Board,
    failure::{Failure, at, run},
    layout::{self, Content},
};

/// Which slot is booted, and which is tried once: the two forms have one length, and fit a sector.
pub(crate) const AUTOBOOT: &str = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";

/// Makes the boot folder of a slot.
pub(super) fn make(
    image: &Path,
    plan: &Plan,
    packages: &Packages,
    initramfs: &Path,
    verified: &Verified,
) -> Result<(), Failure> {
    let folder = image.with_extension("folder");
    fresh(&folder)?;
    let put = |from: &Path, name: &str| fs::copy(from, folder.join(name)).map(drop).map_err(at(from));
    put(&packages.kernel(), "Image")?;
    put(initramfs, "initramfs.img")?;
    if plan.board == Board::Pi {
        put(&packages.device_tree("broadcom/bcm2837-rpi-3-b.dtb"), "bcm2837-rpi-3-b.dtb")?;
    }
    // Debian's kernel tests its own ciphers for half a second of an emulated start; a wrong hash would show
    // in the root.
    let line = format!(
        "console={} quiet panic=5 cryptomgr.notests {} authenteon.board={} authenteon.roothash={} authenteon.salt={} authenteon.blocks={}",
        plan.board.console(),
        plan.board.kernel_arguments(),
        plan.board.name(),
        verified.root_hash,
        verified.salt,
        verified.blocks
    );
    let line: Vec<&str> = line.split_ascii_whitespace().collect();
    let path = folder.join("cmdline.txt");
    fs::write(&path, line.join(" ") + "\n").map_err(at(&path))?;
    fat(image, &folder, "BOOT", size_of(Content::Boot), plan.release.moment)
}

/// Makes the folder that says which slot to boot.
pub(super) fn autoboot(image: &Path, moment: u64) -> Result<(), Failure> {
    let folder = image.with_extension("folder");
    fresh(&folder)?;
    let path = folder.join("autoboot.txt");
    fs::write(&path, AUTOBOOT).map_err(at(&path))?;
    fat(image, &folder, "AUTOBOOT", size_of(Content::Autoboot), moment)
}

fn size_of(content: Content) -> u32 {
    layout::PARTITIONS.iter().find(|p| p.content == content).map_or(64, |p| p.mebibytes)
}

/// A FAT image of the files of a folder, all of one moment.
fn fat(image: &Path, folder: &Path, label: &str, mebibytes: u32, moment: u64) -> Result<(), Failure> {
    let _ = fs::remove_file(image);
    run(Command::new("mkfs.vfat")
        .env("PATH", search_path())
        .args(["--invariant", "-i", "41555448", "-n", label, "-C"])
        .arg(image)
        .arg((mebibytes * 1024).to_string()))?;
    let mut files: Vec<_> = fs::read_dir(folder)
        .map_err(at(folder))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    files.sort();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(moment);
    for file in &files {
        let times = FileTimes::new().set_modified(time).set_accessed(time);
        File::options().write(true).open(file).and_then(|open| open.set_times(times)).map_err(at(file))?;
    }
    run(Command::new("mcopy")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", moment.to_string())
        .args(["-m", "-i"])
        .arg(image)
        .args(&files)
        .arg("::"))?;
    Ok(())
}

/// Debian keeps `mkfs` where an ordinary user's search path does not look.
pub(super) fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
