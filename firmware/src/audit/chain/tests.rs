//! The chain on stores that were and were not tampered with.

use super::*;
use crate::{
    request::{ClientId, Role},
    store::MemoryStore,
    subject::SubjectId,
};

fn caller() -> Caller {
    Caller::new(ClientId::of_certificate(&[7; 32]), Role::Officer, "desk".into())
}

fn chain(records: u64) -> MemoryStore {
    let store = MemoryStore::new();
    for n in 0..records {
        let head = Head::of(&store).unwrap();
        let event = Event::SubjectCreated { subject: SubjectId::random() };
        let (change, _) = head.append(Timestamp::from_millis(n), &caller(), event).unwrap();
        store.commit(&[change]).unwrap();
    }
    store
}

#[test]
fn a_chain_is_walked_from_its_first_record_to_its_head() {
    let store = chain(5);
    let mut seen = 0;
    assert_eq!(verify(&store, |_| seen += 1).unwrap(), Head::of(&store).unwrap());
    assert_eq!(seen, 5);
}

#[test]
fn a_record_taken_out_altered_or_replaced_breaks_the_chain() {
    let key = |n: u64| n.to_be_bytes().to_vec();
    let store = chain(5);
    store.commit(&[Change::Delete { table: Table::Audit, key: key(3) }]).unwrap();
    assert_eq!(
        verify(&store, |_| ()),
        Err(ChainError::Broken { number: 3, reason: "the record is missing" })
    );

    let store = chain(5);
    let mut value = store.get(Table::Audit, &key(2)).unwrap().unwrap();
    let text = String::from_utf8(value).unwrap().replace("desk", "dusk");
    value = text.into_bytes();
    store.commit(&[Change::Put { table: Table::Audit, key: key(2), value }]).unwrap();
    let broken = ChainError::Broken { number: 3, reason: "the record before it was altered" };
    assert_eq!(verify(&store, |_| ()), Err(broken));

    let store = chain(5);
    let value = store.get(Table::Audit, &key(1)).unwrap().unwrap();
    store.commit(&[Change::Put { table: Table::Audit, key: key(2), value }]).unwrap();
    let broken = ChainError::Broken { number: 2, reason: "another record stands in its place" };
    assert_eq!(verify(&store, |_| ()), Err(broken));
}
