//! Which format the store in a folder has: asked before anything in it is opened or changed.
//!
//! Invariant: a store of a later version keeps every byte, whatever this version thinks of it.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use super::StoreError;

/// A text of one line in the store's folder.
const FILE: &str = "format";
const NAME: &str = "authenteon-store ";
/// The format that this version reads and writes.
const FORMAT: u32 = 1;
/// Bytes of the file.
const LONGEST: u64 = 64;

/// Refuses a store that this version does not read, and marks a new one. Stores from before there were marks
/// have the first format.
pub(super) fn check(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(FILE);
    let damaged = || StoreError::Damaged { place: path.display().to_string() };
    match fs::metadata(&path) {
        Ok(found) if found.len() > LONGEST => return Err(damaged()),
        Ok(_) => {}
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return mark(folder).map_err(|why| super::io_error(&why));
        }
        Err(why) => return Err(super::io_error(&why)),
    }
    let text = fs::read_to_string(&path).map_err(|why| super::io_error(&why))?;
    let format = text.strip_prefix(NAME).and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match format.ok_or_else(damaged)? {
        FORMAT => Ok(()),
        0 => Err(damaged()),
        version => Err(StoreError::Newer { version }),
    }
}

fn mark(folder: &Path) -> io::Result<()> {
    let part = folder.join("format.part");
    fs::write(&part, format!("{NAME}{FORMAT}\n"))?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_store_is_marked_and_its_mark_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            check(folder.path()).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), "authenteon-store 1\n");
        }
    }

    #[test]
    fn a_later_format_is_refused_and_a_damaged_mark_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        for (text, newer) in [
            ("authenteon-store 2\n", Some(2)),
            ("authenteon-store 4000000000", Some(4_000_000_000)),
            ("authenteon-store 0\n", None),
            ("authenteon-store 4000000001000", None),
            ("", None),
            ("store 1", None),
            (&format!("authenteon-store 1{}", " ".repeat(64)), None),
        ] {
            fs::write(folder.path().join(FILE), text).unwrap();
            let why = check(folder.path()).unwrap_err();
            match newer {
                Some(version) => assert_eq!(why, StoreError::Newer { version }),
                None => assert!(matches!(why, StoreError::Damaged { .. }), "{text:?}: {why}"),
            }
        }
    }
}
