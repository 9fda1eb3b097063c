//! What the administrator put on the first FAT partition, copied to where the system reads it.
//!
//! Invariant: the partition is mounted to be read only, for moments, and at most 64 KiB of each known
//! file are taken; nothing in them is understood here.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Known files. `network.toml` is read at every boot, `provision.toml` while nobody claimed the box.
const FILES: [&str; 2] = ["provision.toml", "network.toml"];
const AT_MOST: u64 = 64 << 10;

/// Copies from the partition `device` to `folder`; gives what was found.
pub(crate) fn copy(device: &Path, folder: &Path) -> io::Result<Vec<&'static str>> {
    let at = folder.join("autoboot");
    fs::create_dir_all(&at)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(device, &at, "vfat", flags, None)?;
    let copied = copy_files(&at, folder);
    unmount(&at, UnmountFlags::empty())?;
    fs::remove_dir(&at)?;
    copied
}

fn copy_files(from: &Path, to: &Path) -> io::Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for name in FILES {
        let Ok(file) = File::open(from.join(name)) else { continue };
        let mut text = Vec::new();
        // One byte more than allowed, so that the reader can say that it is too long.
        file.take(AT_MOST + 1).read_to_end(&mut text)?;
        fs::write(to.join(name), text)?;
        found.push(name);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn known_files_are_copied_and_long_ones_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("network.toml"), vec![b'x'; 100_000]).unwrap();
        fs::write(from.join("other.toml"), b"x").unwrap();
        assert_eq!(copy_files(&from, &to).unwrap(), ["network.toml"]);
        assert_eq!(fs::metadata(to.join("network.toml")).unwrap().len(), AT_MOST + 1);
        assert!(!to.join("other.toml").exists());
    }
}
