//! Files that are damaged, cut, older, or of another store: whole again, or refused with their place.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{
    DiskStore,
    tests::{SMALL, copy, copy_in_use, every_file, everything, indexed, live_through, long, open_with, put},
};
use crate::store::{Opening, Store, StoreError, Table};

#[test]
fn store_makes_its_index_anew_when_it_is_absent_stale_cut_or_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_with(&path, SMALL).unwrap();
    live_through(&store, 0..5);
    drop(store);
    let stale = folder.path().join("stale");
    copy(&path, &stale);
    let store = open_with(&path, SMALL).unwrap();
    live_through(&store, 5..9);
    let expected = everything(&store).unwrap();
    drop(store);
    let (index, closed) = (path.join("index"), path.join("index.closed"));
    let cases: [(&str, &dyn Fn()); 5] = [
        ("absent", &|| fs::remove_dir_all(&index).unwrap()),
        ("stale, with its own mark", &|| {
            fs::remove_dir_all(&index).unwrap();
            copy(&stale.join("index"), &index);
            fs::copy(stale.join("index.closed"), &closed).unwrap();
        }),
        ("stale, with the present mark", &|| {
            fs::remove_dir_all(&index).unwrap();
            copy(&stale.join("index"), &index);
        }),
        ("cut", &|| {
            let length = fs::metadata(index.join("db")).unwrap().len();
            File::options().write(true).open(index.join("db")).unwrap().set_len(length / 2).unwrap();
        }),
        ("garbage", &|| fs::write(index.join("db"), vec![0x5A; 300_000]).unwrap()),
    ];
    for (name, harm) in cases {
        harm();
        let store = open_with(&path, SMALL).unwrap();
        assert_eq!(indexed(&store).unwrap(), expected, "{name}");
        assert_eq!(everything(&store).unwrap(), expected, "{name}");
        drop(store);
        assert!(closed.exists(), "{name}");
    }
}

#[test]
fn store_after_any_single_flipped_bit_is_whole_or_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_with(&path, SMALL).unwrap();
    live_through(&store, 0..8);
    store.upkeep().unwrap().compact(&|_, _| {}).unwrap();
    live_through(&store, 8..12);
    let expected = everything(&store).unwrap();
    let killed = folder.path().join("killed");
    copy_in_use(&store, &killed);
    drop(store);
    let mut random = ChaCha8Rng::seed_from_u64(500);
    let flips = if long() { 500 } else { 60 };
    let (mut whole, mut refusals, mut refused) = (0, 0, BTreeMap::new());
    for flip in 0..flips {
        let from = if flip % 2 == 0 { &path } else { &killed };
        let harmed = folder.path().join("harmed");
        let _ = fs::remove_dir_all(&harmed);
        copy(from, &harmed);
        let files: Vec<_> = every_file(&harmed).into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        let (file, mut bytes) = files[random.next_u64() as usize % files.len()].clone();
        // The half of them where something was written.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |at| at + 1);
        let range = if flip % 4 < 3 { used } else { bytes.len() };
        let bit = random.next_u64() as usize % (range * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, &bytes).unwrap();
        let name = file.strip_prefix(&harmed).unwrap().display().to_string();
        let opened = open_with(&harmed, SMALL);
        let read = opened.and_then(|store| Ok((everything(&store)?, indexed(&store)?)));
        match read {
            Ok((found, by_index)) => {
                assert!(found == expected && by_index == expected, "bit {bit} of {name}: something is lost");
                whole += 1;
            }
            Err(why) => {
                let says = why.to_string();
                let typed = matches!(
                    why,
                    StoreError::Damaged { .. }
                        | StoreError::Foreign { .. }
                        | StoreError::MasterKey { .. }
                        | StoreError::Newer { .. }
                );
                assert!(typed, "bit {bit} of {name}: {says}");
                refusals += 1;
                refused.insert(format!("{name} bit {bit}"), says);
            }
        }
    }
    println!("{flips} flipped bits: {whole} whole again, {refusals} refused: {refused:#?}");
    assert_eq!(whole + refusals, flips);
    assert!(whole * 10 >= flips * 9, "{whole} of {flips}");
}

#[test]
fn store_after_a_cut_tail_is_whole_or_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = DiskStore::open(&path).unwrap();
    live_through(&store, 0..6);
    let expected = everything(&store).unwrap();
    drop(store);
    let segment =
        fs::read_dir(path.join("journal")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let (length, mut whole, mut refused) = (bytes.len(), 0, 0);
    let cuts = [1, 2, 100, 4096, 65_536, 1 << 20, 2 << 20].map(|cut| length - cut);
    let at_the_end = [end + 1, end, end - 1, end - 20, end - 52, end - 60, end - 3000, 84, 50, 0];
    for left in cuts.into_iter().chain(at_the_end) {
        let harmed = folder.path().join("harmed");
        let _ = fs::remove_dir_all(&harmed);
        copy(&path, &harmed);
        let cut = harmed.join("journal").join(segment.file_name().unwrap());
        File::options().write(true).open(&cut).unwrap().set_len(left as u64).unwrap();
        match DiskStore::open(&harmed) {
            Ok(store) => {
                assert_eq!(everything(&store).unwrap(), expected, "{left} bytes of {end} are left");
                whole += 1;
            }
            Err(why) => {
                assert!(left < end + 4, "{left} bytes are left: {why}");
                let named = why.to_string().contains("segment-") || matches!(why, StoreError::Behind { .. });
                assert!(named, "{why}");
                refused += 1;
            }
        }
    }
    assert!(whole >= 8 && refused >= 5, "{whole} whole, {refused} refused");
}

#[test]
fn store_whose_journal_is_older_than_what_was_acknowledged_or_another_s_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let [path, old, another, harmed] =
        ["store", "old", "another", "harmed"].map(|name| folder.path().join(name));
    let store = open_with(&path, SMALL).unwrap();
    live_through(&store, 0..2);
    drop(store);
    copy(&path, &old);
    let store = open_with(&path, SMALL).unwrap();
    live_through(&store, 2..6);
    drop(store);
    let store = open_with(&another, SMALL).unwrap();
    live_through(&store, 0..6);
    drop(store);
    let with = |part: &str, of: &Path| {
        let _ = fs::remove_dir_all(&harmed);
        copy(&path, &harmed);
        let to = harmed.join(part);
        fs::remove_dir_all(&to).unwrap();
        copy(&of.join(part), &to);
        open_with(&harmed, SMALL).and_then(|store| everything(&store)).unwrap_err()
    };
    assert!(matches!(with("journal", &old), StoreError::Behind { found, known } if found < known));
    assert!(matches!(with("journal", &another), StoreError::Foreign { .. }));
    // Keys of another store, with their master key.
    assert!(matches!(with("keys", &another), StoreError::Foreign { .. }));
    // Keys from before some people came.
    assert!(matches!(with("keys/pages", &old), StoreError::Damaged { .. }));
    assert!(matches!(with("keys/pages", &another), StoreError::Damaged { .. }));
    let _ = fs::remove_dir_all(&harmed);
    copy(&path, &harmed);
    for name in ["keys/master", "keys/master.copy"] {
        fs::set_permissions(harmed.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        fs::copy(another.join(name), harmed.join(name)).unwrap();
    }
    assert!(matches!(open_with(&harmed, SMALL), Err(StoreError::MasterKey { .. })));
}

#[test]
fn store_whose_end_is_damaged_goes_on_without_it_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_with(&path, SMALL).unwrap();
    live_through(&store, 0..3);
    let before = everything(&store).unwrap();
    store.commit(&[put(Table::Audit, b"last", b"of all")]).unwrap();
    drop(store);
    let segment =
        fs::read_dir(path.join("journal")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    // The last commit's frame ends before the mark of fifty-two bytes.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1 - 52;
    for at in [20, 40, 41] {
        bytes[end - at] ^= 0xFF;
    }
    fs::write(&segment, bytes).unwrap();
    let why = open_with(&path, SMALL).err().unwrap();
    assert!(matches!(&why, StoreError::Damaged { place } if place.contains("segment-")), "{why}");
    let mut opening = Opening::new(&path);
    opening.sizes = SMALL;
    let aside = opening.repair(None).unwrap();
    assert_eq!(aside.len(), 1);
    let store = open_with(&path, SMALL).unwrap();
    assert_eq!(everything(&store).unwrap(), before);
    store.commit(&[put(Table::Audit, b"next", b"goes on")]).unwrap();
    drop(store);
    assert_eq!(everything(&open_with(&path, SMALL).unwrap()).unwrap().len(), before.len() + 1);
}
