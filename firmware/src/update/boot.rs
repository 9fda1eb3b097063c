//! What the appliance's init says of this start: which slot runs, whether on trial, and where the
//! partitions are. Written once a start, before anything of ours runs.

use std::{fs, io, path::Path, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{slots::Slot, version::Version};

/// A boot file is a few hundred bytes.
const LARGEST: u64 = 64 << 10;

/// This start. Unknown fields are passed over: after a rollback an older daemon meets a newer init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The slot that runs.
    pub slot: Slot,
    /// Whether it is tried and not yet committed.
    pub trial: bool,
    /// What a bundle must be compatible with.
    pub board: String,
    /// Version of the image that runs.
    pub version: Version,
    /// When the image was built, in seconds since 1970: no clock is earlier.
    pub build: u64,
    /// An image for tests.
    #[serde(default)]
    pub test: bool,
    /// The partitions.
    pub devices: Devices,
}

/// Where the partitions are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Devices {
    /// The FAT with `autoboot.txt`.
    pub autoboot: PathBuf,
    /// Kernel and initramfs of slot A.
    pub boot_a: PathBuf,
    /// Kernel and initramfs of slot B.
    pub boot_b: PathBuf,
    /// Root file system of slot A.
    pub rootfs_a: PathBuf,
    /// Root file system of slot B.
    pub rootfs_b: PathBuf,
}

/// Why there is no boot file.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// It cannot be read.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// It is not what init writes.
    #[error("{path}: {why}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
}

impl Boot {
    /// Reads the file that init wrote.
    ///
    /// # Errors
    /// [`BootError`].
    pub fn read(path: &Path) -> Result<Self, BootError> {
        let file = |why| BootError::File { path: path.to_owned(), why };
        let syntax = |why: String| BootError::Syntax { path: path.to_owned(), why };
        if fs::metadata(path).map_err(file)?.len() > LARGEST {
            return Err(syntax("too long".to_owned()));
        }
        let text = fs::read_to_string(path).map_err(file)?;
        serde_json::from_str(&text).map_err(|why| syntax(why.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_is_read_and_what_a_later_one_adds_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boot.json");
        let text = r#"{"slot":"a","trial":false,"board":"qemu-virt","version":"0.1.0","build":1764000000,"test":true,
            "devices":{"autoboot":"/dev/vda1","boot-a":"/dev/vda2","boot-b":"/dev/vda3","rootfs-a":"/dev/vda5","rootfs-b":"/dev/vda6"},
            "later":1}"#;
        fs::write(&path, text).unwrap();
        let boot = Boot::read(&path).unwrap();
        assert_eq!((boot.slot, boot.trial, boot.board.as_str()), (Slot::A, false, "qemu-virt"));
        assert_eq!(boot.devices.rootfs_b, Path::new("/dev/vda6"));
        fs::write(&path, text.replace("\"a\"", "\"c\"")).unwrap();
        assert!(matches!(Boot::read(&path), Err(BootError::Syntax { .. })));
    }
}
