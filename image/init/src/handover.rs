//! From the initramfs to the verified root, and what the system is told of how it was booted.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    mount::{MountFlags, mount, mount_move},
    process::{chdir, chroot},
};
use serde::{Deserialize, Serialize};

use crate::{
    data::Data,
    disk::Partitions,
    parameters::{Parameters, Slot},
};

/// What the verified root says of itself, in `/etc/authenteon/release.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Release {
    /// Of the daemon.
    pub(crate) version: String,
    /// Seconds since 1970 of what it was built from.
    pub(crate) build: u64,
    /// Made with a throw-away key, for tests.
    pub(crate) test: bool,
}

/// `/run/authenteon/boot.json`: how this system was booted, for the daemon and the updater.
#[derive(Debug, Serialize)]
pub(crate) struct BootReport<'a> {
    pub(crate) slot: Slot,
    pub(crate) trial: bool,
    pub(crate) board: &'a str,
    #[serde(flatten)]
    pub(crate) release: &'a Release,
    pub(crate) root_hash: &'a str,
    pub(crate) data: &'a Data,
    pub(crate) watchdog: bool,
    pub(crate) devices: BTreeMap<&'static str, &'a Path>,
}

/// Partition numbers of `image/src/layout.rs` by what they hold.
const NAMES: [(&str, u32); 6] =
    [("autoboot", 1), ("boot-a", 2), ("boot-b", 3), ("rootfs-a", 5), ("rootfs-b", 6), ("data", 7)];

impl<'a> BootReport<'a> {
    pub(crate) fn new(
        parameters: &'a Parameters,
        release: &'a Release,
        data: &'a Data,
        watchdog: bool,
        partitions: &'a Partitions,
    ) -> Self {
        let devices = NAMES
            .iter()
            .filter_map(|(name, number)| Some((*name, partitions.get(number)?.as_path())))
            .collect();
        Self {
            slot: parameters.slot,
            trial: parameters.trial,
            board: &parameters.board,
            release,
            root_hash: parameters.root_hash.as_str(),
            data,
            watchdog,
            devices,
        }
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("boot.json"), serde_json::to_vec_pretty(self)?)
    }
}

/// Makes the file system at `root` the root, with the kernel's own file systems, and frees the memory of
/// the initramfs.
pub(crate) fn switch(root: &Path) -> io::Result<()> {
    for folder in ["dev", "proc", "sys"] {
        mount_move(Path::new("/").join(folder), root.join(folder))?;
    }
    let tight = MountFlags::NOSUID | MountFlags::NODEV;
    mount("run", root.join("run"), "tmpfs", tight, Some(c"mode=755,size=16m"))?;
    mount("tmp", root.join("tmp"), "tmpfs", tight | MountFlags::NOEXEC, Some(c"mode=1777,size=64m"))?;
    let device = fs::metadata("/")?.dev();
    remove_all(Path::new("/"), device, root);
    chdir(root)?;
    mount_move(".", "/")?;
    chroot(".")?;
    chdir("/")?;
    Ok(())
}

/// Removes what lies on `device`: files in memory that nobody needs any more. What cannot be removed
/// costs memory and nothing else.
fn remove_all(folder: &Path, device: u64, keep: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.dev() != device || path == keep {
            continue;
        }
        if about.is_dir() {
            remove_all(&path, device, keep);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_report_names_the_devices_and_the_state_of_the_data() {
        let hex = "0123456789abcdef".repeat(4);
        let line = format!(
            "authenteon.board=qemu authenteon.partition=3 authenteon.tryboot=1 authenteon.roothash={hex} authenteon.salt={hex} authenteon.blocks=9"
        );
        let parameters = Parameters::read(&line, Path::new("/nonexistent")).unwrap();
        let release = Release { version: "0.1.0".to_owned(), build: 1, test: true };
        let data = Data::Damaged { why: "it burned".to_owned() };
        let partitions = Partitions::from([(2, PathBuf::from("/dev/vda2")), (6, PathBuf::from("/dev/vda6"))]);
        let report = BootReport::new(&parameters, &release, &data, false, &partitions);
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(value["slot"], "b");
        assert_eq!(value["trial"], true);
        assert_eq!(value["version"], "0.1.0");
        assert_eq!(value["data"], serde_json::json!({"state": "damaged", "why": "it burned"}));
        assert_eq!(value["devices"]["rootfs-b"], "/dev/vda6");
        let folder = tempfile::tempdir().unwrap();
        report.write(folder.path()).unwrap();
        assert!(fs::read_to_string(folder.path().join("boot.json")).unwrap().contains("vda2"));
    }

    #[test]
    fn what_lies_on_another_device_or_is_kept_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("usr")).unwrap();
        fs::create_dir_all(folder.path().join("modules")).unwrap();
        fs::write(folder.path().join("modules/order"), "x").unwrap();
        let device = fs::metadata(folder.path()).unwrap().dev();
        remove_all(folder.path(), device + 1, &root);
        assert!(folder.path().join("modules/order").exists());
        remove_all(folder.path(), device, &root);
        assert!(!folder.path().join("modules").exists());
        assert!(root.join("usr").exists());
    }
}
