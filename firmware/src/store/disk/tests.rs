use super::*;
use std::fs;

fn put(table: Table, key: &[u8], value: &[u8]) -> Change {
    Change::Put { table, key: key.to_vec(), value: value.to_vec() }
}

#[test]
fn store_shows_what_was_committed_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    DiskStore::open(folder.path()).unwrap().commit(&[put(Table::Subjects, b"k", b"one")]).unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    assert_eq!(store.get(Table::Subjects, b"k").unwrap().as_deref(), Some(b"one".as_slice()));
}

#[test]
fn store_of_a_later_version_is_refused_and_keeps_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    drop(DiskStore::open(folder.path()).unwrap());
    fs::write(folder.path().join("format"), "authenteon-store 7\n").unwrap();
    let before = every_file(folder.path());
    let why = Opening::new(folder.path()).with_ballast(true).open(&mut |_, _| {}).err().unwrap();
    assert_eq!(why, StoreError::Newer { version: 7 });
    assert!(before.len() > 5 && every_file(folder.path()) == before);
}

#[test]
fn store_tells_a_second_opener_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = DiskStore::open(folder.path()).unwrap();
    assert!(matches!(DiskStore::open(folder.path()), Err(StoreError::InUse)));
}

/// Every file below a folder.
pub(super) fn every_file(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(every_file(&path));
        } else {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}
