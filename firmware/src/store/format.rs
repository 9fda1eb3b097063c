//! Which format the store in a folder has: asked before anything in it is opened or changed.
//!
//! Invariant: a store of a later version keeps every byte, whatever this version thinks of it.

use std::{fs, io, path::Path, sync::Arc};

use tracing::warn;

use super::{
    StoreError,
    disk::JOURNAL,
    files, io_error,
    journal::{format_of, was_begun},
    layer::{RealLayer, SharedLayer},
};

/// A text of one line in the store's folder.
const FILE: &str = "format";
const NAME: &str = "authenteon-store ";
/// Bytes of the file.
const LONGEST: u64 = 64;

/// The formats that this version reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Values in clear, with a digest. Of the versions before there were keys.
    Plain = 1,
    /// Values encrypted.
    Sealed = 2,
    /// A journal, and sled as its index.
    Journal = 3,
}

/// The format of the store in a folder; `None` when there is no store. Stores from before there were marks have
/// the first format, and are marked.
///
/// # Errors
/// [`StoreError::Newer`] of a later version's.
pub(super) fn read(folder: &Path) -> Result<Option<Format>, StoreError> {
    let path = folder.join(FILE);
    let damaged = || StoreError::Damaged { place: path.display().to_string() };
    let layer: SharedLayer = Arc::new(RealLayer);
    let of_journal = format_of(&folder.join(JOURNAL), &layer);
    let said = match fs::metadata(&path) {
        Ok(found) if found.len() > LONGEST => None,
        Ok(_) => number(&fs::read(&path).map_err(|why| io_error(&why))?),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            if of_journal.is_none() && was_begun(&folder.join(JOURNAL), &layer) {
                return Err(damaged());
            }
            if of_journal.is_none() && !folder.join("db").exists() {
                return Ok(None);
            }
            of_journal.is_none().then_some(Format::Plain as u32)
        }
        Err(why) => return Err(io_error(&why)),
    };
    let format = match (said, of_journal) {
        (Some(version), _) | (None, Some(version)) if version > Format::Journal as u32 => {
            return Err(StoreError::Newer { version });
        }
        // The files of a journal know better than a text of one line.
        (_, Some(_)) => Format::Journal,
        (Some(1), None) => Format::Plain,
        (Some(2), None) => Format::Sealed,
        (Some(3), None) => Format::Journal,
        (_, None) => return Err(damaged()),
    };
    if said != Some(format as u32) || !path.exists() {
        warn!(format = format as u32, "the mark of the store's format is made anew");
        mark(folder, format)?;
    }
    Ok(Some(format))
}

/// The number in a mark.
fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.strip_prefix(NAME)?.trim_end().parse().ok().filter(|number| *number > 0)
}

/// Marks a store.
pub(super) fn mark(folder: &Path, format: Format) -> Result<(), StoreError> {
    let text = format!("{NAME}{}\n", format as u32);
    files::replace(&folder.join(FILE), text.as_bytes(), 0o644).map_err(|why| io_error(&why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_known_by_its_mark_and_one_from_before_there_were_marks_is_marked() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        fs::write(folder.path().join("db"), "").unwrap();
        for _ in 0..2 {
            assert_eq!(read(folder.path()).unwrap(), Some(Format::Plain));
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), "authenteon-store 1\n");
        }
        mark(folder.path(), Format::Sealed).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(Format::Sealed));
    }

    #[test]
    fn a_later_format_is_refused_and_a_damaged_mark_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        for (text, newer) in [
            ("authenteon-store 4\n", Some(4)),
            ("authenteon-store 4000000000", Some(4_000_000_000)),
            ("authenteon-store 0\n", None),
            ("authenteon-store 4000000001000", None),
            ("", None),
            ("store 1", None),
            (&format!("authenteon-store 1{}", " ".repeat(64)), None),
        ] {
            fs::write(folder.path().join(FILE), text).unwrap();
            let why = read(folder.path()).unwrap_err();
            match newer {
                Some(version) => assert_eq!(why, StoreError::Newer { version }),
                None => assert!(matches!(why, StoreError::Damaged { .. }), "{text:?}: {why}"),
            }
        }
    }
}
