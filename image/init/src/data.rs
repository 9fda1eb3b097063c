//! The data partition: checked, then mounted; never formatted.
//!
//! Invariant: what cannot be repaired by a cautious check is left as it is, for people to look at.

use std::{path::Path, process::Command};

use rustix::mount::{MountFlags, mount};
use serde::Serialize;

/// How the data partition came up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Data {
    /// Mounted.
    Mounted,
    /// Not mounted, and why. Nothing was changed.
    Damaged {
        /// For people.
        why: String,
    },
}

/// What e2fsck(8) says by its exit code, as far as it decides.
fn verdict(code: Option<i32>) -> Result<(), String> {
    match code {
        // Clean, or repaired without a question.
        Some(0..=3) => Ok(()),
        Some(code) => Err(format!("the check of the file system ended with code {code}")),
        None => Err("the check of the file system was killed".to_owned()),
    }
}

/// Checks `device` with the verified root's own e2fsck and mounts it. The root is `/` already.
pub(crate) fn bring_up(device: Option<&Path>) -> Data {
    match device.ok_or_else(|| "there is no data partition".to_owned()).and_then(check_and_mount) {
        Ok(()) => Data::Mounted,
        Err(why) => Data::Damaged { why },
    }
}

fn check_and_mount(device: &Path) -> Result<(), String> {
    let ended = Command::new("/sbin/e2fsck")
        .arg("-p")
        .arg(device)
        .output()
        .map_err(|why| format!("the check of the file system cannot run: {why}"))?;
    for line in String::from_utf8_lossy(&ended.stdout).lines() {
        eprintln!("init: {line}");
    }
    verdict(ended.status.code())?;
    let flags = MountFlags::NOATIME | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(device, "/data", "ext4", flags, Some(c"commit=5"))
        .map_err(|why| format!("it cannot be mounted: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repaired_is_good_and_unrepaired_is_not() {
        assert_eq!(verdict(Some(0)), Ok(()));
        assert_eq!(verdict(Some(1)), Ok(()));
        assert!(verdict(Some(4)).is_err());
        assert!(verdict(Some(8)).is_err());
        assert!(verdict(None).is_err());
    }
}
