//! What the store on disk does, and what becomes of its keys.

use std::{collections::BTreeMap, fs, sync::atomic::AtomicU64};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::store::{MemoryStore, Value, journal::KeyRef};

pub(super) type Everything = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

pub(super) fn put(table: Table, key: &[u8], value: &[u8]) -> Change {
    Change::Put { table, key: key.to_vec(), value: value.to_vec() }
}

fn delete(table: Table, key: &[u8]) -> Change {
    Change::Delete { table, key: key.to_vec() }
}

pub(super) fn finger(person: u8, position: u8) -> Vec<u8> {
    [&[person; 16][..], &[position]].concat()
}

pub(super) const SMALL: Sizes = Sizes { segment: 8192, part: 4096, snapshot: 20_000 };

pub(super) fn open_with(folder: &Path, sizes: Sizes) -> Result<DiskStore, StoreError> {
    let mut opening = Opening::new(folder);
    opening.sizes = sizes;
    match opening.open(&mut |_, _| {})? {
        Opened::Ready(store) => Ok(*store),
        Opened::Earlier(_) | Opened::Locked(_) => panic!("not this version's, or locked"),
    }
}

#[test]
fn whoever_waits_for_the_writer_hangs_while_the_writer_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), SMALL).unwrap();
    let waits = AtomicBool::new(true);
    thread::scope(|scope| {
        let writing = store.core.ledger();
        let waiting = scope.spawn(|| {
            store.await_writer();
            waits.store(false, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(50));
        assert!(waits.load(Ordering::SeqCst));
        drop(writing);
        waiting.join().unwrap();
    });
    assert!(!waits.load(Ordering::SeqCst));
}

/// Every value, by the journal.
pub(super) fn everything(store: &dyn Store) -> Result<Everything, StoreError> {
    let mut found = Everything::new();
    store.read_all(&Table::ALL, &mut |values| {
        found.extend(values.into_iter().map(|value| ((value.table, value.key), value.value)));
        Ok(())
    })?;
    Ok(found)
}

/// Every value, by the index.
pub(super) fn indexed(store: &dyn Store) -> Result<Everything, StoreError> {
    let mut found = Everything::new();
    for table in Table::ALL {
        found.extend(
            store.scan(table, None, usize::MAX)?.into_iter().map(|(key, value)| ((table, key), value)),
        );
    }
    Ok(found)
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

/// Copies a store that is in use as a kill would leave it, with a snapshot under way or not: a copy takes time, in which
/// no segment ends and none is removed.
pub(super) fn copy_in_use(store: &DiskStore, to: &Path) {
    let _none_removed = store.core.files.read().unwrap();
    let _none_ends = store.core.ledger();
    copy(&store.core.folder, to);
}

/// Copies a folder.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    // A folder in which a snapshot is made has another name when it is there.
    for entry in fs::read_dir(from).into_iter().flatten() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            // Files of the index come and go while it is in use.
            let _ = fs::copy(&path, &to);
        }
    }
}

/// Some people, some of whom are gone again, and what was decided.
pub(super) fn live_through(store: &DiskStore, people: std::ops::Range<u8>) {
    for n in people {
        let audit = |k: u8| put(Table::Audit, &[n, k], format!("record {n} {k}").as_bytes());
        store.commit(&[put(Table::Subjects, &[n; 16], b"Ada"), audit(0)]).unwrap();
        let template = format!("template of {n} {}", "with many minutiae ".repeat(20));
        store.commit(&[put(Table::Fingers, &finger(n, 1), template.as_bytes()), audit(1)]).unwrap();
        store.commit(&[put(Table::Fingers, &finger(n, 2), template.as_bytes()), audit(2)]).unwrap();
        if n % 4 == 1 {
            store.commit(&[delete(Table::Fingers, &finger(n, 2)), audit(3)]).unwrap();
        }
        if n % 4 == 3 {
            let gone = [Table::Fingers, Table::Fingers].into_iter().zip([1, 2]);
            let mut changes: Vec<_> = gone.map(|(table, at)| delete(table, &finger(n, at))).collect();
            changes.extend([delete(Table::Subjects, &[n; 16]), audit(4)]);
            store.commit(&changes).unwrap();
        }
    }
}

pub(super) fn long() -> bool {
    std::env::var("AUTHENTEON_LONG").is_ok_and(|long| long == "yes")
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

#[test]
fn store_made_shorter_again_and_again_is_the_same_as_the_model_after_every_kind_of_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let model = MemoryStore::new();
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let mut store = open_with(&path, SMALL).unwrap();
    for round in 0..400_u32 {
        let person = (random.next_u32() % 12) as u8;
        let changes = match random.next_u32() % 6 {
            0 => vec![delete(Table::Subjects, &[person; 16]), delete(Table::Fingers, &finger(person, 1))],
            1 => vec![delete(Table::Fingers, &finger(person, 2))],
            2 => vec![put(Table::Subjects, &[person; 16], format!("{round}").as_bytes())],
            n => vec![put(Table::Fingers, &finger(person, (n % 3) as u8), &vec![n as u8; 300])],
        };
        let changes = [changes, vec![put(Table::Audit, &round.to_be_bytes(), b"decided")]].concat();
        model.commit(&changes).unwrap();
        store.commit(&changes).unwrap();
        match random.next_u32() % 40 {
            0 => {
                drop(store);
                store = open_with(&path, SMALL).unwrap();
            }
            1 => {
                let killed = folder.path().join(format!("killed-{round}"));
                copy_in_use(&store, &killed);
                let found = open_with(&killed, SMALL).unwrap();
                assert_eq!(everything(&found).unwrap(), everything(&model).unwrap(), "round {round}");
            }
            _ => {}
        }
    }
    assert_eq!(everything(&store).unwrap(), everything(&model).unwrap());
    assert_eq!(indexed(&store).unwrap(), everything(&model).unwrap());
    drop(store);
    let journal = path.join("journal");
    let names: Vec<_> = fs::read_dir(&journal).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.iter().any(|name| name.to_string_lossy().starts_with("snapshot-")), "{names:?}");
    assert!(names.len() < 12, "{names:?}");
}

#[test]
fn store_takes_commits_of_many_at_once_and_keeps_the_order_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let began = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..6_u8 {
            let (store, began) = (&store, &began);
            scope.spawn(move || {
                for n in 0..50_u8 {
                    let person = writer * 50 % 251 + n % 5;
                    began.fetch_add(1, Ordering::Relaxed);
                    let mut changes = vec![put(Table::Audit, &[writer, n], b"x")];
                    changes.push(put(Table::Fingers, &finger(person, writer), &[n]));
                    if n % 10 == 9 {
                        changes.push(delete(Table::Fingers, &finger(person, writer)));
                    }
                    store.commit(&changes).unwrap();
                }
            });
        }
    });
    assert_eq!(store.scan(Table::Audit, None, 1000).unwrap().len(), 300);
    assert_eq!(everything(&store).unwrap(), indexed(&store).unwrap());
    let before = everything(&store).unwrap();
    drop(store);
    assert_eq!(everything(&DiskStore::open(folder.path()).unwrap()).unwrap(), before);
}

#[test]
fn store_yields_nothing_of_an_erased_person_even_to_who_has_every_key_that_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), SMALL).unwrap();
    live_through(&store, 0..3);
    let place = (Table::Fingers, finger(0, 1));
    let sealed = store.core.indexing().trees().unwrap().get(place.0, &place.1).unwrap().unwrap();
    let opens_with = |store: &DiskStore, slot: u8| {
        let mut sealed = sealed.clone();
        sealed[6] = slot;
        let pages = store.core.pages.read().unwrap();
        value::open(&pages, store.core.store_id(), (place.0, &place.1), &sealed).is_ok()
    };
    let opens = |store: &DiskStore| (0..120).any(|slot| opens_with(store, slot));
    assert!(opens(&store));
    let page = folder.path().join("keys/pages/00000000");
    let before = fs::read(&page).unwrap();
    // A finger goes, and the person stays: what stays has another key.
    store.commit(&[delete(Table::Fingers, &finger(0, 1))]).unwrap();
    assert!(!opens(&store));
    assert_eq!(store.get(Table::Fingers, &finger(0, 2)).unwrap().unwrap()[..13], *b"template of 0");
    let after = fs::read(&page).unwrap();
    for blocks in [&before[28..88], &before[4096 + 28..4096 + 88], &before[100..200]] {
        assert!(!after.windows(blocks.len()).any(|part| part == blocks), "the page's old key is still there");
    }
    // It is in the journal still, sealed; and stays closed after a start, and after the journal was made shorter.
    assert!(
        every_file(&folder.path().join("journal"))
            .iter()
            .any(|(_, bytes)| { bytes.windows(40).any(|part| *part == sealed[20..60]) })
    );
    drop(store);
    let store = open_with(folder.path(), SMALL).unwrap();
    assert!(!opens(&store));
    store.upkeep().unwrap().compact(&|_, _| {}).unwrap();
    assert!(!opens(&store));
    assert!(
        !every_file(&folder.path().join("journal"))
            .iter()
            .any(|(_, bytes)| { bytes.windows(40).any(|part| *part == sealed[20..60]) })
    );
}

#[test]
fn store_gets_other_keys_while_it_is_used_and_goes_on_with_that_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_with(&path, SMALL).unwrap();
    live_through(&store, 0..8);
    let expected = everything(&store).unwrap();
    let domain_before = *store.core.keys.lock().unwrap().domain().key.bytes();
    let key_of = |store: &DiskStore| -> KeyRef {
        let sealed = store.core.indexing().trees().unwrap().get(Table::Subjects, &[0; 16]).unwrap().unwrap();
        value::key_of((Table::Subjects, &[0; 16]), &sealed).unwrap()
    };
    let bytes_of = |store: &DiskStore, at: KeyRef| *store.core.pages.read().unwrap().key(at).unwrap().bytes();
    let (at, key_before) = (key_of(&store), bytes_of(&store, key_of(&store)));
    // Cut in the middle: the domain's key is there, and nobody has got another yet.
    store.core.keys.lock().unwrap().begin_rotation().unwrap();
    drop(store);
    let store = open_with(&path, SMALL).unwrap();
    while store.core.keys.lock().unwrap().earlier().is_some() {
        store.commit(&[put(Table::Counters, b"meanwhile", b"1")]).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    assert_ne!(*store.core.keys.lock().unwrap().domain().key.bytes(), domain_before);
    assert_ne!(bytes_of(&store, key_of(&store)), key_before);
    assert_ne!(bytes_of(&store, at), key_before, "the key before was destroyed");
    let mut now = everything(&store).unwrap();
    now.remove(&(Table::Counters, b"meanwhile".to_vec()));
    assert_eq!(now, expected);
    store.upkeep().unwrap().rotate_keys(&|_, _| {}).unwrap();
    drop(store);
    let store = open_with(&path, SMALL).unwrap();
    let mut now = indexed(&store).unwrap();
    now.remove(&(Table::Counters, b"meanwhile".to_vec()));
    assert_eq!(now, expected);
    let verified = store.upkeep().unwrap().verify(&|_, _| {}).unwrap();
    assert_eq!(verified.index_differences, 0);
}

#[test]
fn store_that_makes_its_index_serves_and_records_decisions_and_refuses_changes_of_people() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = DiskStore::open(&path).unwrap();
    for batch in 0..40_u32 {
        let changes: Vec<_> = (0..250_u32)
            .map(|n| {
                let id = (u128::from(batch) << 32 | u128::from(n)).to_be_bytes();
                put(Table::Fingers, &[&id[..], &[1]].concat(), &[7; 600])
            })
            .collect();
        store.commit(&changes).unwrap();
    }
    drop(store);
    fs::remove_file(path.join("index.closed")).unwrap();
    let store = DiskStore::open(&path).unwrap();
    assert!(store.progress().is_some(), "there is nothing to wait for");
    let refused = store.commit(&[put(Table::Subjects, &[1; 16], b"Bob")]);
    assert!(matches!(refused, Err(StoreError::Degraded { .. })), "{refused:?}");
    assert!(matches!(store.get(Table::Fingers, &[0; 17]), Err(StoreError::Degraded { .. })));
    let mut read = 0;
    store
        .each(Table::Fingers, &mut |page| {
            read += page.len();
            Ok(())
        })
        .unwrap();
    assert_eq!(read, 10_000);
    store.commit(&[put(Table::Audit, &[0, 0, 1], b"verified meanwhile")]).unwrap();
    assert_eq!(store.last(Table::Audit).unwrap().unwrap().1, b"verified meanwhile");
    store.wait_until_indexed();
    assert_eq!(store.get(Table::Audit, &[0, 0, 1]).unwrap().unwrap(), b"verified meanwhile");
    store.commit(&[put(Table::Subjects, &[1; 16], b"Bob")]).unwrap();
    assert_eq!(everything(&store).unwrap(), indexed(&store).unwrap());
}

#[test]
fn store_read_all_gives_everybody_though_all_keys_are_changed_meanwhile() {
    // More than one page of them.
    const PEOPLE: u32 = 5000;
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let key = |n: u32| [&n.to_be_bytes().repeat(4)[..], &[1]].concat();
    for first in (0..PEOPLE).step_by(1000) {
        let changes: Vec<_> =
            (first..first + 1000).map(|n| put(Table::Fingers, &key(n), &n.to_be_bytes())).collect();
        store.commit(&changes).unwrap();
    }
    store.wait_until_indexed();
    let mut found = BTreeMap::new();
    let (changed, mut began) = (AtomicU64::new(0), false);
    thread::scope(|scope| {
        let rotate = || {
            store.upkeep().unwrap().rotate_keys(&|done, _| changed.store(done, Ordering::SeqCst)).unwrap();
        };
        let mut page = |values: Vec<Value>| {
            found.extend(values.into_iter().map(|value| (value.key, value.value)));
            if !std::mem::replace(&mut began, true) {
                scope.spawn(rotate);
                // What is read after this has another key; the end of a rotation waits for who reads.
                while changed.load(Ordering::SeqCst) < u64::from(PEOPLE) / 2 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Ok(())
        };
        store.read_all(&[Table::Fingers], &mut page).unwrap();
    });
    assert_eq!(found.len(), PEOPLE as usize);
    assert!((0..PEOPLE).all(|n| found[&key(n)] == n.to_be_bytes()));
}

#[test]
fn store_whose_last_record_is_taken_away_names_the_one_before_also_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    for n in 1..=3_u8 {
        store.commit(&[put(Table::Audit, &[n], &[n])]).unwrap();
    }
    store.commit(&[delete(Table::Audit, &[3])]).unwrap();
    assert_eq!(store.last(Table::Audit).unwrap(), Some((vec![2], vec![2])));
    store.commit(&[put(Table::Audit, &[1], b"again")]).unwrap();
    assert_eq!(store.last(Table::Audit).unwrap(), Some((vec![2], vec![2])));
    drop(store);
    let store = DiskStore::open(folder.path()).unwrap();
    assert_eq!(store.last(Table::Audit).unwrap(), Some((vec![2], vec![2])));
}
