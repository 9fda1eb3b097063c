//! What a restore must not bring back, and what is there before anybody can match.

use super::*;
use crate::{services::Factors, subject::GroupName};

fn erasures(services: &Services) -> Erasures {
    services.inner.erasures().unwrap()
}

#[test]
fn a_code_that_may_be_used_comes_not_back_nor_what_was_of_fingers_that_are_gone() {
    let old = fresh();
    let ada = person(&old, "Ada", &[RightIndex, LeftThumb]);
    let bob = person(&old, "Bob", &[RightIndex]);
    for id in [ada, bob] {
        old.issue_recovery_code(&caller(), id, Duration::from_secs(3600)).unwrap();
        let (table, key) = (Table::Probes, id.as_bytes().to_vec());
        old.inner.store.commit(&[Change::Put { table, key, value: vec![1, 0] }]).unwrap();
        old.mark_duress(&caller(), id, RightIndex, true).unwrap();
    }
    old.mark_duress(&caller(), ada, LeftThumb, true).unwrap();
    let groups: std::collections::BTreeSet<GroupName> =
        [GroupName::try_from("night".to_owned()).unwrap()].into();
    let change = crate::services::SubjectChange { groups: Some(groups.clone()), ..Default::default() };
    old.change_subject(&caller(), ada, change).unwrap();
    let file = backup(&old);
    for id in [ada, bob] {
        old.remove_finger(&caller(), id, RightIndex).unwrap();
    }

    let new = fresh();
    restore(&new, &file, &with(erasures(&old))).unwrap();
    let expected = Factors { groups, duress: [LeftThumb].into(), ..Factors::default() };
    assert_eq!(*new.inner.factors_of(ada), expected);
    assert_eq!(*new.inner.factors_of(bob), Factors::default());
    let probes = |id: SubjectId| new.inner.store.get(Table::Probes, id.as_bytes()).unwrap().is_some();
    assert!(probes(ada) && !probes(bob), "probes go with the last finger");
}

#[test]
fn nobody_is_there_after_a_restore_whose_restrictions_cannot_be_read() {
    let old = fresh();
    person(&old, "Ada", &[RightIndex]);
    let (table, key) = (Table::Policy, b"restriction/group/night".to_vec());
    old.inner.store.commit(&[Change::Put { table, key, value: b"nothing".to_vec() }]).unwrap();
    let new = fresh();
    let failed = restore(&new, &backup(&old), &without());
    assert!(matches!(failed, Err(BackupError::Store(StoreError::Damaged { .. }))), "{failed:?}");
    settled(&new);
    assert_eq!((people(&new), new.counts().fingers), (Vec::new(), 0));
}
