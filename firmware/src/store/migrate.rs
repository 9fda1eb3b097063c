//! From format 1 or 2 to format 3: a new store is filled beside the old one, compared with it, and takes its place in
//! one step. The old one stays beside as it was: the snapshot.
//!
//! Invariant: at every moment the store's folder holds a whole store. The snapshot is in clear, or opened by the
//! key in a file, so it goes with the first person or finger that is deleted, when a passphrase is chosen, and after
//! thirty days.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use tracing::info;

use super::{
    Change, DiskStore, Store, StoreError, Table,
    earlier::EarlierStore,
    files,
    format::{self, Format},
    index::closed,
    io_error,
    keys::Keys,
    opening::Opening,
};

/// Values that are read at a time.
const PAGE: usize = 1024;
/// Values that are copied in one commit.
const TOGETHER: usize = 256;
/// How long the snapshot is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// In the snapshot: when it became one, in seconds since 1970.
const STAMP: &str = "migrated";
/// Beside what the new store takes, this much of the disk stays free.
const SPARE: u64 = 32 << 20;
/// Names of snapshots: of a migration to this format, and to the one before.
const SNAPSHOTS: [&str; 2] = [".before-3", ".before-2"];

fn next(folder: &Path) -> PathBuf {
    files::beside(folder, ".next")
}

/// Where the store lies as it was before its migration.
pub(super) fn snapshot(folder: &Path) -> PathBuf {
    let [now, before] = SNAPSHOTS.map(|name| files::beside(folder, name));
    if !now.exists() && before.exists() { before } else { now }
}

/// Finishes, or clears away, what a cut of the power left; and the snapshot when its time has come.
pub(super) fn tidy(folder: &Path, found: Option<Format>) -> Result<(), StoreError> {
    let next = next(folder);
    if next.exists() {
        // The two had changed places: what is called the next one is the one before.
        let exchanged = found == Some(Format::Journal)
            && matches!(format::read(&next), Ok(Some(Format::Plain | Format::Sealed)));
        if exchanged { keep_snapshot(folder)? } else { give_up(folder)? }
    }
    let snapshot = snapshot(folder);
    if snapshot.exists() && expired(&snapshot) {
        info!("the copy of the store from before its migration has had its time, and is removed");
        remove_snapshot(folder)?;
    }
    Ok(())
}

fn expired(snapshot: &Path) -> bool {
    let stamp =
        fs::read_to_string(snapshot.join(STAMP)).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let age = stamp
        .and_then(|stamp| SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(stamp)).ok());
    age.is_some_and(|age| age > KEPT)
}

/// Removes what was made of the next store.
pub(super) fn give_up(folder: &Path) -> Result<(), StoreError> {
    remove_whole(&next(folder)).map_err(|why| io_error(&why))
}

/// Removes a folder that need not be there.
fn remove_whole(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.and_then(|()| files::sync_folder_of(folder)),
    }
}

/// Removes the snapshot; whoever was in it is in no other copy.
pub(super) fn remove_snapshot(folder: &Path) -> Result<(), StoreError> {
    let snapshots = SNAPSHOTS.map(|name| files::beside(folder, name));
    snapshots.iter().try_for_each(|snapshot| remove_whole(snapshot)).map_err(|why| io_error(&why))
}

/// Migrates a store of an earlier format, which has keys or none. On an error it is as it was, and has its keys back
/// if they were not used up.
pub(super) fn migrate(
    opening: &Opening,
    keys: Option<Keys>,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), Box<(StoreError, Option<Keys>)>> {
    if let Err(why) = has_room(&opening.folder) {
        return Err(Box::new((why, keys)));
    }
    let had_keys = keys.is_some();
    fill_and_exchange(opening, keys, tell).map_err(|why| {
        let found = had_keys.then(|| Keys::find(opening.place()));
        match found {
            Some(Ok(super::keys::Found::Open(keys))) => Box::new((why, Some(keys))),
            _ => Box::new((why, None)),
        }
    })
}

fn has_room(folder: &Path) -> Result<(), StoreError> {
    give_up(folder)?;
    // The journal, its keys and the index.
    let needed = size(folder).map_err(|why| io_error(&why))?.saturating_mul(5) / 2 + SPARE;
    let free = statvfs(folder).map_err(|why| io_error(&why.into()))?;
    if free.f_bavail.saturating_mul(free.f_frsize) < needed {
        return Err(StoreError::Io(format!("its migration needs {} MiB that are free", needed >> 20)));
    }
    Ok(())
}

fn fill_and_exchange(
    opening: &Opening,
    keys: Option<Keys>,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), StoreError> {
    let folder = &opening.folder;
    let fails = |why: io::Error| io_error(&why);
    let next = next(folder);
    fs::create_dir(&next).map_err(fails)?;
    let place = opening.of(&next).place();
    let (old, new_keys) = match keys {
        Some(keys) => {
            let domain = keys.domain();
            let new_keys = keys.adopt(place)?;
            (EarlierStore::open_to_read(folder, Some(domain))?, new_keys)
        }
        None => (EarlierStore::open_to_read(folder, None)?, Keys::create(place)?),
    };
    let new = opening.of(&next).open_journal(new_keys)?;
    let values = old.values();
    info!(values, "the store is being brought to this version's format");
    let mut done = 0;
    for table in Table::ALL {
        pages(&old, table, &mut |page| {
            done += page.len() as u64;
            let changes: Vec<_> =
                page.into_iter().map(|(key, value)| Change::Put { table, key, value }).collect();
            for some in changes.chunks(TOGETHER) {
                new.commit(some)?;
            }
            tell(done, values);
            Ok(())
        })?;
        same(&old, &new, table)?;
    }
    drop((old, new));
    closed(folder).map_err(fails)?;
    format::mark(&next, Format::Journal)?;
    renameat_with(CWD, &next, CWD, folder, RenameFlags::EXCHANGE).map_err(|why| io_error(&why.into()))?;
    files::sync_folder_of(folder).map_err(fails)?;
    keep_snapshot(folder)?;
    info!(values, "the store has this version's format; as it was before it lies beside for thirty days");
    Ok(())
}

/// Gives the old store, which has changed places with the new one, its name.
fn keep_snapshot(folder: &Path) -> Result<(), StoreError> {
    let (old, snapshot) = (next(folder), snapshot(folder));
    let keep = || {
        remove_whole(&snapshot)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        files::replace(&old.join(STAMP), now.as_secs().to_string().as_bytes(), 0o600)?;
        // It is no store in use any more: what it kept free is free.
        files::remove(&old.join("ballast"))?;
        fs::rename(&old, &snapshot)?;
        files::sync_folder_of(&snapshot)
    };
    keep().map_err(|why| io_error(&why))
}

fn pages(
    store: &dyn Store,
    table: Table,
    each: &mut dyn FnMut(super::Entries) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(table, after.as_deref(), PAGE)?;
        match page.last() {
            Some((key, _)) => after = Some(key.clone()),
            None => return Ok(()),
        }
        each(page)?;
    }
}

/// Whether a table was copied whole, read back from where it was written.
fn same(old: &EarlierStore, new: &DiskStore, table: Table) -> Result<(), StoreError> {
    let different = || StoreError::Io("what was written is not what was read".to_owned());
    let mut after: Option<Vec<u8>> = None;
    pages(old, table, &mut |page| {
        let copied = new.scan(table, after.as_deref(), PAGE)?;
        after = page.last().map(|(key, _)| key.clone());
        if copied == page { Ok(()) } else { Err(different()) }
    })?;
    if new.scan(table, after.as_deref(), 1)?.is_empty() { Ok(()) } else { Err(different()) }
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        let counts = entry.file_name() != "ballast";
        bytes += if about.is_dir() { size(&entry.path())? } else { u64::from(counts) * about.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AtRest, Opened};

    fn open(folder: &Path, hold: bool) -> Box<dyn Store> {
        match Opening::new(folder).holding(hold).open(&mut |_, _| {}).unwrap() {
            Opened::Ready(store) => store,
            Opened::Earlier(store) => store,
            Opened::Locked(_) => panic!("locked"),
        }
    }

    fn put(table: Table, key: &[u8], value: &[u8]) -> Change {
        Change::Put { table, key: key.to_vec(), value: value.to_vec() }
    }

    /// A store of format 1 with more than a page, and what is in it.
    fn filled(folder: &Path) -> Vec<super::super::Entries> {
        let store = open(folder, true);
        assert_eq!(store.at_rest(), AtRest::NotEncrypted);
        let changes: Vec<_> = (0..2500_u32)
            .map(|n| put(Table::Fingers, &n.to_be_bytes(), format!("template {n}").as_bytes()))
            .chain([put(Table::Subjects, b"s", b"Ada"), put(Table::Audit, b"1", b"record")])
            .collect();
        store.commit(&changes).unwrap();
        everything(store.as_ref())
    }

    fn everything(store: &dyn Store) -> Vec<super::super::Entries> {
        Table::ALL.map(|table| store.scan(table, None, usize::MAX).unwrap()).to_vec()
    }

    /// Whether any file below a folder holds a text.
    fn holds(folder: &Path, text: &[u8]) -> bool {
        fs::read_dir(folder).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                holds(&path, text)
            } else {
                fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text)
            }
        })
    }

    #[test]
    fn a_store_is_encrypted_whole_and_the_one_before_lies_beside_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let before = filled(&path);
        assert!(holds(&path, b"template 17"));
        let mut told = Vec::new();
        let opened = Opening::new(&path).open(&mut |done, all| told.push((done, all))).unwrap();
        let Opened::Ready(store) = opened else { panic!("locked") };
        assert_eq!(told.last(), Some(&(2502, 2502)));
        assert_eq!(everything(store.as_ref()), before);
        assert_eq!(store.at_rest(), AtRest::KeyFile);
        store.commit(&[put(Table::Subjects, b"t", b"Bob")]).unwrap();
        drop(store);
        assert!(!holds(&path, b"template 17") && !holds(&path, b"Bob"));
        // The version before reads the snapshot.
        assert_eq!(everything(open(&snapshot(&path), true).as_ref()), before);
        let store = open(&path, false);
        assert_eq!(store.get(Table::Subjects, b"t").unwrap().as_deref(), Some(b"Bob".as_slice()));
    }

    #[test]
    fn while_it_is_held_the_old_format_is_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let before = filled(&path);
        let store = open(&path, true);
        assert_eq!(everything(store.as_ref()), before);
        store.commit(&[put(Table::Subjects, b"t", b"Bob")]).unwrap();
        drop(store);
        assert_eq!(format::read(&path).unwrap(), Some(Format::Plain));
        assert!(holds(&path, b"Bob") && !snapshot(&path).exists());
    }

    #[test]
    fn a_cut_while_it_was_filled_or_after_the_two_changed_places_leaves_a_whole_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let before = filled(&path);
        // Filled by half.
        let half = next(&path);
        fs::create_dir(&half).unwrap();
        Keys::create(Opening::new(&half).place()).unwrap();
        format::mark(&half, Format::Journal).unwrap();
        fs::write(half.join("db"), [7; 5000]).unwrap();
        assert_eq!(everything(open(&path, true).as_ref()), before);
        assert!(!half.exists());
        assert_eq!(everything(open(&path, false).as_ref()), before);
        // The old one has not got its name yet.
        fs::rename(snapshot(&path), &half).unwrap();
        assert_eq!(everything(open(&path, false).as_ref()), before);
        assert!(!half.exists() && snapshot(&path).exists());
    }

    #[test]
    fn the_snapshot_goes_with_the_first_who_is_deleted_and_after_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        filled(&path);
        let store = open(&path, false);
        assert!(store.snapshot());
        store.commit(&[put(Table::Subjects, b"t", b"Bob")]).unwrap();
        assert!(snapshot(&path).exists());
        store.commit(&[Change::Delete { table: Table::Fingers, key: 5_u32.to_be_bytes().to_vec() }]).unwrap();
        assert!(!snapshot(&path).exists() && !store.snapshot());
        drop(store);

        let path = folder.path().join("another");
        filled(&path);
        drop(open(&path, false));
        let stamp = |days: u64| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            fs::write(snapshot(&path).join(STAMP), (now - days * 86400).to_string()).unwrap();
        };
        stamp(29);
        drop(open(&path, false));
        assert!(snapshot(&path).exists());
        stamp(31);
        drop(open(&path, false));
        assert!(!snapshot(&path).exists());
    }

    #[test]
    fn a_store_with_a_damaged_value_is_not_migrated_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        filled(&path);
        let store = EarlierStore::open_in(&path, false, None).unwrap();
        store.damage(Table::Fingers, &9_u32.to_be_bytes());
        drop(store);
        let store = open(&path, false);
        assert_eq!(store.at_rest(), AtRest::NotEncrypted);
        assert!(store.get(Table::Fingers, &9_u32.to_be_bytes()).is_err());
        assert!(store.get(Table::Fingers, &8_u32.to_be_bytes()).unwrap().is_some());
        assert!(!next(&path).exists() && !snapshot(&path).exists());
    }
}
