//! The gallery of a box: filled from a store, changed while it is searched, and warmed.

use std::{sync::Arc, thread};

use authenteon_matcher::{
    Minutia, MinutiaKind, Prepared, Template, TemplateError, compare_views, search::Finger,
};

use super::*;
use crate::{
    services::OpenError,
    store::{Change, Entry, MemoryStore, Store, StoreError, Table, ValueRef},
    subject::{FingerPosition, SubjectId},
};

fn view(seed: u32) -> Template {
    let minutiae = (0..30).map(|n| {
        let h = (seed * 1000 + n).wrapping_mul(2_654_435_761);
        let (x, y) = ((h >> 8) as u16 % 3000, (h >> 20) as u16 % 3000);
        Minutia { x, y, angle: h as u8, kind: MinutiaKind::Ending, quality: 80 }
    });
    Template::from_minutiae(300, 300, minutiae.collect()).unwrap()
}

fn key(number: u32) -> FingerKey {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    (SubjectId::from_bytes(id), FingerPosition::LeftThumb)
}

fn entry(number: u32) -> Entry {
    (finger_key(&key(number)), encode_views(&[view(number % 100), view(number % 100 + 1)]))
}

fn value((key, value): &Entry) -> ValueRef<'_> {
    ValueRef { table: Table::Fingers, key, value }
}

fn filled(entries: Vec<Entry>) -> Result<Gallery<FingerKey>, OpenError> {
    fill(None, |look| entries.iter().map(value).try_for_each(look))
}

#[test]
fn a_gallery_filled_from_a_store_holds_every_finger_with_all_its_views() {
    let store = MemoryStore::new();
    let put = |number| {
        let (key, value) = entry(number);
        Change::Put { table: Table::Fingers, key, value }
    };
    store.commit(&(0..5000).map(put).collect::<Vec<_>>()).unwrap();
    let gallery = fill(None, |look| store.look_at_all(&[Table::Fingers], look)).unwrap();
    assert_eq!((gallery.fingers(), gallery.impressions()), (5000, 10_000));
    let probe = Prepared::new(&view(8));
    let views: Vec<Prepared> = [7, 8].map(|seed| Prepared::new(&view(seed))).into();
    let score = gallery.get(&key(4907)).unwrap().compare(&probe);
    assert_eq!(score, compare_views(&probe, &views));
}

#[test]
fn the_order_of_the_fingers_does_not_matter() {
    let forward = filled((0..90).map(entry).collect()).unwrap();
    let backward = filled((0..90).rev().map(entry).collect()).unwrap();
    let probe = Prepared::new(&view(33));
    let found = forward.search(&probe, 90);
    assert_eq!(found[0].key, key(32));
    assert_eq!(found, backward.search(&probe, 90));
}

#[test]
fn what_cannot_be_read_is_an_error_however_much_comes_after_it() {
    let with = |bad: Entry| {
        let mut entries: Vec<Entry> = (0..20).map(entry).collect();
        entries.insert(1, bad);
        filled(entries).map(|gallery| gallery.fingers())
    };
    let (good_key, value) = entry(100);
    let damaged = |place: &str| Err(OpenError::Store(StoreError::Damaged { place: place.to_owned() }));
    assert_eq!(with((good_key[1..].to_vec(), value.clone())), damaged("a finger's key"));
    assert_eq!(with((good_key.clone(), value[..value.len() - 1].to_vec())), damaged("a finger's views"));
    let mut other = value;
    other[2] = b'X';
    assert_eq!(with((good_key, other)), Err(OpenError::Template(TemplateError::Magic)));
}

#[test]
fn what_the_store_fails_with_is_told() {
    let failed = fill(None, |look| {
        look(value(&entry(1)))?;
        Err(StoreError::Locked)
    });
    assert_eq!(failed.map(|gallery| gallery.fingers()), Err(OpenError::Store(StoreError::Locked)));
}

#[test]
fn a_search_under_way_keeps_no_change_waiting() {
    let shared = SharedGallery::new(filled(vec![entry(1)]).unwrap());
    let searched = shared.snapshot();
    // On this thread: were anything held by the snapshot, these would wait for ever.
    shared.change(|gallery| gallery.insert(key(2), Finger::new(&[view(2)])));
    shared.change(|gallery| assert!(gallery.remove(&key(1))));
    let keys = |gallery: &Gallery<FingerKey>| -> Vec<FingerKey> {
        gallery.search(&Prepared::new(&view(1)), 9).into_iter().map(|found| found.key).collect()
    };
    assert_eq!(keys(&searched), [key(1)]);
    assert_eq!(keys(&shared.snapshot()), [key(2)]);
}

#[test]
fn a_change_under_way_keeps_no_search_waiting() {
    let shared = SharedGallery::new(filled(vec![entry(1)]).unwrap());
    shared.change(|gallery| {
        gallery.insert(key(2), Finger::new(&[view(2)]));
        let found = shared.snapshot().search(&Prepared::new(&view(2)), 9);
        assert_eq!(found.len(), 1, "and what is not yet changed is not seen");
    });
    assert_eq!(shared.snapshot().fingers(), 2);
}

#[test]
fn changes_made_at_the_same_time_are_all_there() {
    let shared = SharedGallery::new(Gallery::new());
    let probe = Prepared::new(&view(1));
    thread::scope(|scope| {
        for first in [0, 100, 200] {
            let shared = &shared;
            scope.spawn(move || {
                for number in first..first + 100 {
                    shared.change(|gallery| gallery.insert(key(number), Finger::new(&[view(1)])));
                }
            });
        }
        for _ in 0..100 {
            let snapshot = shared.snapshot();
            assert_eq!(snapshot.exhaustive(&probe, 1, usize::MAX).len(), snapshot.fingers());
            assert_eq!(snapshot.search(&probe, 5).len(), snapshot.fingers().min(5));
        }
    });
    assert_eq!(shared.snapshot().fingers(), 300);
}

#[test]
fn a_warm_gallery_has_its_fingers_sketched_and_one_that_is_dropped_is_built_no_more() {
    let shared = Arc::new(SharedGallery::new(filled((0..20).map(entry).collect()).unwrap()));
    let before = shared.snapshot();
    let waiting = before.unsketched();
    warming::warm(&Arc::downgrade(&shared));
    assert!(waiting > 0 && before.unsketched() == waiting);
    assert_eq!(shared.snapshot().unsketched(), 0);
    let probe = Prepared::new(&view(3));
    assert_eq!(shared.snapshot().search(&probe, 9), before.search(&probe, 9));

    let gone = Arc::downgrade(&shared);
    drop(shared);
    warming::warm(&gone);
}

#[test]
fn a_large_gallery_without_an_index_is_not_searched_and_says_how_far_it_is() {
    assert!(searchable(20_000, 1_000_000).is_ok());
    let refused = searchable(600_000, 1_000_000);
    assert!(matches!(refused, Err(StoreError::Degraded { done: 400_000, all: 1_000_000 })), "{refused:?}");
}
