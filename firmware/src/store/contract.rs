//! What every store promises, asked of each, and sled compared with the model step by step.

use proptest::prelude::*;

use super::{Change, DiskStore, MemoryStore, Store, Table};

fn put(table: Table, key: &[u8], value: &[u8]) -> Change {
    Change::Put { table, key: key.to_vec(), value: value.to_vec() }
}

fn delete(table: Table, key: &[u8]) -> Change {
    Change::Delete { table, key: key.to_vec() }
}

fn on_each(ask: impl Fn(&dyn Store)) {
    ask(&MemoryStore::new());
    let folder = tempfile::tempdir().unwrap();
    ask(&DiskStore::open(folder.path()).unwrap());
}

#[test]
fn an_empty_store_holds_nothing() {
    on_each(|store| {
        for table in Table::ALL {
            assert_eq!(store.get(table, b"").unwrap(), None);
            assert_eq!(store.scan(table, None, 10).unwrap(), []);
            assert_eq!(store.last(table).unwrap(), None);
        }
    });
}

#[test]
fn tables_do_not_mix() {
    on_each(|store| {
        store.commit(&[put(Table::Subjects, b"k", b"s"), put(Table::Audit, b"k", b"a")]).unwrap();
        assert_eq!(store.get(Table::Subjects, b"k").unwrap().unwrap(), b"s");
        assert_eq!(store.get(Table::Audit, b"k").unwrap().unwrap(), b"a");
        assert_eq!(store.get(Table::Fingers, b"k").unwrap(), None);
    });
}

#[test]
fn changes_of_a_batch_apply_in_order() {
    on_each(|store| {
        let table = Table::Fingers;
        store
            .commit(&[
                put(table, b"a", b"1"),
                put(table, b"a", b"2"),
                put(table, b"b", b"3"),
                delete(table, b"b"),
            ])
            .unwrap();
        assert_eq!(store.scan(table, None, 10).unwrap(), [(b"a".to_vec(), b"2".to_vec())]);
    });
}

#[test]
fn a_scan_goes_on_after_its_last_key() {
    on_each(|store| {
        let table = Table::Audit;
        let changes: Vec<_> = (0..10_u8).map(|n| put(table, &[n], &[n, n])).collect();
        store.commit(&changes).unwrap();
        let first = store.scan(table, None, 4).unwrap();
        assert_eq!(first.len(), 4);
        let rest = store.scan(table, Some(&first[3].0), 100).unwrap();
        assert_eq!(rest.iter().map(|(k, _)| k[0]).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
        assert_eq!(store.last(table).unwrap().unwrap().0, [9]);
    });
}

fn table() -> impl Strategy<Value = Table> {
    prop::sample::select(Table::ALL.to_vec())
}

fn change() -> impl Strategy<Value = Change> {
    let key = || prop::collection::vec(0_u8..3, 0..3);
    prop_oneof![
        3 => (table(), key(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(t, k, v)| put(t, &k, &v)),
        1 => (table(), key()).prop_map(|(t, k)| delete(t, &k)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn sled_does_what_the_model_does_also_across_reopening(
        batches in prop::collection::vec((prop::collection::vec(change(), 0..6), any::<bool>()), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let model = MemoryStore::new();
        let mut store = DiskStore::open(folder.path()).unwrap();
        for (changes, reopen) in batches {
            model.commit(&changes).unwrap();
            store.commit(&changes).unwrap();
            if reopen {
                drop(store);
                store = DiskStore::open(folder.path()).unwrap();
            }
            for table in Table::ALL {
                prop_assert_eq!(store.scan(table, None, 100).unwrap(), model.scan(table, None, 100).unwrap());
                prop_assert_eq!(store.last(table).unwrap(), model.last(table).unwrap());
            }
        }
    }
}
