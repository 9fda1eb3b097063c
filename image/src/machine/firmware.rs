//! The firmware's part: the first partition says which boot folder, and the folder holds what to boot.
//! See "autoboot.txt" in the documentation of the Raspberry Pi.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::partitions::extent;
use crate::failure::{Failure, at, run};

/// What is booted.
pub(super) struct BootFiles {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    pub(super) command_line: String,
    pub(super) partition: u8,
}

impl BootFiles {
    /// Chooses as the firmware does, and takes the files out of the disk into `folder`.
    pub(super) fn read(disk: &Path, folder: &Path, trial: bool) -> Result<Self, Failure> {
        copy(disk, 1, "autoboot.txt", folder)?;
        let path = folder.join("autoboot.txt");
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let partition = choose(&text, trial)
            .ok_or_else(|| Failure::Wrong(format!("autoboot.txt names no partition to boot: {text:?}")))?;
        for name in ["Image", "initramfs.img", "cmdline.txt"] {
            copy(disk, partition, name, folder)?;
        }
        // Only one board has it.
        let _ = copy(disk, partition, "bcm2837-rpi-3-b.dtb", folder);
        let line = folder.join("cmdline.txt");
        let command_line = fs::read_to_string(&line).map_err(at(&line))?.trim().to_owned();
        let (kernel, initramfs) = (folder.join("Image"), folder.join("initramfs.img"));
        Ok(Self { kernel, initramfs, command_line, partition })
    }
}

/// The partition that a text like that of `boot_folder.rs` tells.
pub(crate) fn choose(text: &str, trial: bool) -> Option<u8> {
    let wanted = if trial { "[tryboot]" } else { "[all]" };
    let mut section = "[all]";
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == wanted
            && let Some(number) = line.strip_prefix("boot_partition=")
        {
            found = number.parse().ok();
        }
    }
    found.filter(|number| (2..=3).contains(number))
}

/// Copies a file of a FAT partition.
fn copy(disk: &Path, partition: u8, name: &str, to: &Path) -> Result<(), Failure> {
    let offset = extent(disk, partition)?.from;
    let mut command = Command::new("mcopy");
    command
        .env("MTOOLS_SKIP_CHECK", "1")
        .args(["-n", "-o", "-i"])
        .arg(format!("{}@@{offset}", disk.display()));
    run(command.arg(format!("::{name}")).arg(to.join(name))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::AUTOBOOT;

    #[test]
    fn a_trial_takes_the_other_folder_once_and_nonsense_none() {
        assert_eq!(choose(AUTOBOOT, false), Some(2));
        assert_eq!(choose(AUTOBOOT, true), Some(3));
        assert_eq!(choose("[all]\nboot_partition=1\n", false), None);
        assert_eq!(choose("", true), None);
    }
}
