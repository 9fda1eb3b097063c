//! Certificates: the box's own authority, and who holds which certificate.

pub mod assertion;
pub mod authority;
pub mod clients;
pub mod csr;
pub mod device;
pub mod ends;
pub mod first_boot;
pub mod invitation;
pub mod stations;
pub mod users;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
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
    // One left over from a power cut keeps its old mode, and a key must not get a certificate's.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_private_though_a_power_cut_left_a_public_file_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        write_public(&folder.path().join("server.new"), "half a certificate").unwrap();
        let key = folder.path().join("server.key");
        write_private(&key, "key").unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&key).unwrap(), "key");
    }
}
