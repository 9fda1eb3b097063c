//! Small files beside sled's: replaced whole or not at all, and durable before anything rests on them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::rand::{GetRandomFlags, getrandom};

/// Puts `bytes` in the place of a file.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let part = path.with_extension("part");
    remove(&part)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    sync_folder_of(path)
}

/// Makes a folder that only its owner may look into, unless it is there.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done.and_then(|()| sync_folder_of(path)),
    }
}

/// Makes the entry of a file or folder durable.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Overwrites a secret before it is removed; it need not be there. A card may keep what was there in blocks that
/// nobody can address.
pub(super) fn shred(path: &Path) -> io::Result<()> {
    let length = match fs::symlink_metadata(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.len(),
    };
    // It is its owner's to read only.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
    file.sync_all()?;
    remove(path)?;
    sync_folder_of(path)
}

/// Removes a file that need not be there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The folder or file beside another whose name goes on so.
pub(super) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(more);
    path.with_file_name(name)
}

/// Bytes that nobody can guess: the kernel's own, once it has enough of them.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_with_the_mode_that_was_asked_for_whatever_was_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master");
        fs::write(folder.path().join("master.part"), "half").unwrap();
        replace(&path, b"key", 0o400).unwrap();
        replace(&path, b"another", 0o400).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"another");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        shred(&path).unwrap();
        shred(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_name_beside_goes_on_where_the_other_ends() {
        assert_eq!(beside(Path::new("/data/store"), ".next"), Path::new("/data/store.next"));
        assert_eq!(beside(Path::new("/data/store/"), ".next"), Path::new("/data/store.next"));
    }
}
