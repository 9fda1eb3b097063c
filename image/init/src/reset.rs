//! The factory reset: everything of the owner is removed, keys first.
//!
//! It is asked for by a mark on the data partition and done here, before anything reads that partition. Invariant:
//! the mark goes last, so that a cut of the power at any moment leads back here; and nothing is formatted. What
//! the box must not forget stays: the lowest version that it may run, the slot that waits, the time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Asks for it, below the data partition.
const MARK: &str = "system/factory-reset";
/// What stays of the box's own.
const KEPT: [&str; 4] = ["version-floor", "pending.json", "clock", "factory-reset"];
/// Where keys are: those of what is stored first, which is worth nothing without them.
const KEYS: [&str; 2] = ["authenteon/store/keys", "authenteon/pki"];

/// Does what was asked for, on the mounted data partition; gives whether it was.
pub(crate) fn finish(data: &Path) -> io::Result<bool> {
    steps(data, &mut || Ok(()))
}

/// `before` is called before every change.
fn steps(data: &Path, before: &mut dyn FnMut() -> io::Result<()>) -> io::Result<bool> {
    let mark = data.join(MARK);
    if fs::symlink_metadata(&mark).is_err() {
        return Ok(false);
    }
    for keys in KEYS {
        overwrite(&data.join(keys), before)?;
    }
    for folder in ["authenteon", "update"] {
        remove(&data.join(folder), before)?;
    }
    for entry in fs::read_dir(data.join("system"))? {
        let entry = entry?;
        if !KEPT.iter().any(|kept| entry.file_name() == *kept) {
            remove(&entry.path(), before)?;
        }
    }
    // All of it is gone for good before nobody knows any more that it was to go.
    rustix::fs::syncfs(File::open(data)?)?;
    before()?;
    fs::remove_file(&mark)?;
    rustix::fs::syncfs(File::open(data)?)?;
    Ok(true)
}

/// Overwrites files and removes them. A card may keep what was there in blocks that nobody can address.
fn overwrite(folder: &Path, before: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let about = fs::symlink_metadata(&path)?;
        if about.is_dir() {
            overwrite(&path, before)?;
        } else if about.is_file() {
            before()?;
            let mut file = OpenOptions::new().write(true).open(&path)?;
            let length = usize::try_from(about.len()).unwrap_or(0);
            file.write_all(&vec![0; length])?;
            file.sync_all()?;
            before()?;
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes whatever is there, and follows no link.
fn remove(path: &Path, before: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
    let Ok(about) = fs::symlink_metadata(path) else { return Ok(()) };
    if !about.is_dir() {
        before()?;
        return fs::remove_file(path);
    }
    for entry in fs::read_dir(path)? {
        remove(&entry?.path(), before)?;
    }
    before()?;
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn owned(data: &Path) {
        for (name, text) in [
            ("authenteon/pki/ca.key", "SECRET"),
            ("authenteon/pki/clients/desk.key", "SECRET"),
            ("authenteon/store/db", "templates"),
            ("authenteon/store/keys/master", "SECRET"),
            ("update/incoming.part", "bundle"),
            ("system/network.toml", "address"),
            ("system/version-floor", "1.2.0\n"),
            ("system/clock", "1767225600"),
        ] {
            let path = data.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/hostname", data.join("authenteon/pki/link")).unwrap();
    }

    fn ask(data: &Path) {
        fs::write(data.join(MARK), "").unwrap();
    }

    fn left(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { names.extend(left(&path)) } else { names.push(path.display().to_string()) }
        }
        names.sort();
        names
    }

    #[test]
    fn nothing_happens_to_a_box_that_was_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        owned(folder.path());
        let before = left(folder.path());
        assert!(!finish(folder.path()).unwrap());
        assert_eq!(left(folder.path()), before);
    }

    #[test]
    fn cut_before_any_step_it_goes_on_and_ends_with_what_must_stay() {
        let mut cuts = 0;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path();
            owned(data);
            ask(data);
            let mut fuel = cuts;
            let done = steps(data, &mut || {
                fuel -= 1;
                if fuel < 0 { Err(io::Error::other("the power goes")) } else { Ok(()) }
            });
            if done.is_err() {
                let key = |name: &str| data.join("authenteon/pki").join(name).exists();
                let store = data.join("authenteon/store/db").exists();
                let master = data.join("authenteon/store/keys/master").exists();
                let keys = master || key("ca.key") || key("clients/desk.key");
                assert!(store || !keys, "keys go before anything else");
                assert!(finish(data).unwrap(), "after cut {cuts}");
            }
            let system = data.join("system");
            let expected = ["clock", "version-floor"].map(|name| system.join(name).display().to_string());
            assert_eq!(left(data), expected, "after cut {cuts}");
            assert!(!finish(data).unwrap(), "it is done once");
            if done.is_ok() {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 8, "only {cuts} steps");
    }

    #[test]
    fn a_link_among_the_keys_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "mine").unwrap();
        let data = folder.path().join("data");
        owned(&data);
        std::os::unix::fs::symlink(&outside, data.join("authenteon/pki/other.key")).unwrap();
        std::os::unix::fs::symlink(folder.path(), data.join("update/up")).unwrap();
        ask(&data);
        assert!(finish(&data).unwrap());
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
    }
}
