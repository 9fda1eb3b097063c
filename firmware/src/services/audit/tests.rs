//! The audit read, exported, signed, tampered with through the store, and cut.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::signature::Ed25519KeyPair;

use super::*;
use crate::{
    audit::place,
    clock::{Clock, SystemClock},
    policy::Policy,
    request::{ClientId, Role},
    store::{Change, DiskStore, MemoryStore, Store},
    subject::{NewSubject, SubjectName},
};

const DAY: u64 = 86_400_000;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
}

fn key() -> DeviceKey {
    DeviceKey::new(Ed25519KeyPair::generate().unwrap())
}

fn signing(store: Arc<dyn Store>) -> Services {
    let services = Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap();
    assert!(services.inner.auditing.device.set(key()).is_ok());
    services
}

fn person(services: &Services, name: &str) -> SubjectId {
    let name = SubjectName::try_from(name.to_owned()).unwrap();
    services.create_subject(&boss(), NewSubject { name, groups: Default::default() }).unwrap().id
}

/// A box with so many records, the first of which is of its policy.
fn filled(records: u64) -> (Arc<MemoryStore>, Services) {
    let store = Arc::new(MemoryStore::new());
    let services = signing(store.clone());
    for _ in 1..records {
        person(&services, "Ada");
    }
    (store, services)
}

fn verdict(services: &Services, anchor: Option<&Signed>) -> Verdict {
    services.inner.examine(anchor).unwrap().verdict
}

/// Puts other records in the place of all from a number on: the chain holds, as far as it goes.
fn rewrite(store: &dyn Store, from: u64, to: u64) {
    let mut previous = {
        let before = store.get(Table::Audit, &(from - 1).to_be_bytes()).unwrap();
        before.map_or_else(|| Head::none().hash().to_owned(), |bytes| hash(&bytes))
    };
    let mut changes = Vec::new();
    let last = Head::of(store).unwrap().number();
    for number in from..=last {
        let key = number.to_be_bytes().to_vec();
        if number > to {
            changes.push(Change::Delete { table: Table::Audit, key });
            continue;
        }
        let bytes = store.get(Table::Audit, &key).unwrap().unwrap();
        let mut record: Value = serde_json::from_slice(&bytes).unwrap();
        record["previous"] = previous.into();
        record["by"]["name"] = "nobody".into();
        let value = serde_json::to_vec(&record).unwrap();
        previous = hash(&value);
        changes.push(Change::Put { table: Table::Audit, key, value });
    }
    store.commit(&changes).unwrap();
}

#[test]
fn a_page_has_what_is_asked_for_and_says_how_far_it_looked() {
    let (_, services) = filled(1);
    let (ada, bob) = (person(&services, "Ada"), person(&services, "Bob"));
    services.delete_subject(&boss(), ada).unwrap();
    let all = services.audit(&Wanted { limit: 10, ..Wanted::default() }).unwrap();
    assert_eq!((all.records.len(), all.through, all.head), (4, 4, 4));
    // Each names the hash that the one before it has.
    for pair in all.records.windows(2) {
        assert_eq!(pair[1]["previous"], pair[0]["hash"]);
    }
    let numbers = |wanted: &Wanted| -> Vec<u64> {
        let page = services.audit(wanted).unwrap();
        page.records.iter().map(|record| record["number"].as_u64().unwrap()).collect()
    };
    let ten = || Wanted { limit: 10, ..Wanted::default() };
    assert_eq!(numbers(&Wanted { subject: Some(ada), ..ten() }), [2, 4]);
    assert_eq!(numbers(&Wanted { subject: Some(bob), ..ten() }), [3]);
    assert_eq!(numbers(&Wanted { event: Some("subject-created".into()), ..ten() }), [2, 3]);
    assert_eq!(numbers(&Wanted { last: Some(2), ..ten() }), [3, 4]);
    assert_eq!(numbers(&Wanted { after: 1, limit: 2, ..ten() }), [2, 3]);
    let past = Some(Timestamp::from_millis(1));
    assert!(numbers(&Wanted { until: past, ..ten() }).is_empty());
    assert_eq!(numbers(&Wanted { since: past, ..ten() }), [1, 2, 3, 4]);
    let none = services.audit(&Wanted { event: Some("nothing".into()), ..ten() }).unwrap();
    assert_eq!((none.records.len(), none.through), (0, 4));
}

#[test]
fn an_export_is_the_records_themselves_between_a_first_and_a_signed_last_line() {
    let (store, services) = filled(3);
    let mut out = Vec::new();
    // That it was taken is in it.
    assert_eq!(services.export_audit(&boss(), None, None, &mut out).unwrap(), 4);
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6);
    for (number, line) in (1_u64..).zip(&lines[1..5]) {
        let stored = store.get(Table::Audit, &number.to_be_bytes()).unwrap().unwrap();
        assert_eq!(line.as_bytes(), stored);
    }
    let last: Value = serde_json::from_str(lines[5]).unwrap();
    let head: Signed = serde_json::from_value(last["head"].clone()).unwrap();
    assert!(head.holds() && head.is_at(&Head::of(store.as_ref()).unwrap()));
    assert_eq!(last["audit-export-end"], 4);
    // It says of itself what was not asked for.
    let mut out = Vec::new();
    let until = Timestamp::from_millis(1);
    services.export_audit(&boss(), None, Some(until), &mut out).unwrap();
    let opening: Value = serde_json::from_slice(out.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(opening["until"], "1970-01-01T00:00:00.001Z");
}

#[test]
fn an_audit_is_whole_with_an_anchor_of_it_and_says_when_it_was_rewritten_or_cut_short() {
    let (store, services) = filled(5);
    let anchor = services.audit_anchor().unwrap();
    for _ in 0..4 {
        person(&services, "Bob");
    }
    assert_eq!(verdict(&services, None), Verdict::Whole);
    assert_eq!(verdict(&services, Some(&anchor)), Verdict::Whole);
    // Whoever rewrites all of it has a chain that holds; only what was kept elsewhere tells.
    rewrite(store.as_ref(), 3, 9);
    assert_eq!(verdict(&services, None), Verdict::Whole);
    assert_eq!(verdict(&services, Some(&anchor)), Verdict::Rewritten { number: 5 });
    rewrite(store.as_ref(), 4, 4);
    assert_eq!(verdict(&services, None), Verdict::Whole);
    assert_eq!(verdict(&services, Some(&anchor)), Verdict::Truncated { number: 5, head: 4 });
    store.commit(&[Change::Delete { table: Table::Audit, key: 2_u64.to_be_bytes().to_vec() }]).unwrap();
    let why = "the record is missing".to_owned();
    assert_eq!(verdict(&services, None), Verdict::Broken { number: 2, why });
}

#[test]
fn heads_that_the_box_signed_and_keeps_tell_of_themselves() {
    let (store, services) = filled(5);
    assert_eq!(services.inner.sign_head().unwrap(), 5);
    person(&services, "Bob");
    let found = services.inner.examine(None).unwrap();
    assert_eq!((found.verdict, found.heads, found.records, found.other_keys), (Verdict::Whole, 1, 6, 0));
    rewrite(store.as_ref(), 5, 9);
    assert_eq!(verdict(&services, None), Verdict::Rewritten { number: 5 });
    rewrite(store.as_ref(), 4, 4);
    assert_eq!(verdict(&services, None), Verdict::Truncated { number: 5, head: 4 });
}

#[test]
fn an_anchor_that_is_none_or_of_an_unknown_box_is_said_to_be() {
    let (_, services) = filled(2);
    let anchor = services.audit_anchor().unwrap();
    let forged = Signed { hash: Head::none().hash().to_owned(), ..anchor };
    assert_eq!(verdict(&services, Some(&forged)), Verdict::AnchorForged);
    let foreign = key().sign(Purpose::Head, Uuid::new_v4(), &Head::none(), Timestamp::from_millis(1), None);
    assert_eq!(verdict(&services, Some(&foreign)), Verdict::AnchorForeign);
    let head = Head::of(services.inner.store.as_ref()).unwrap();
    let own = services.inner.store.id();
    let other = key().sign(Purpose::Head, own, &head, Timestamp::from_millis(1), None);
    let found = services.inner.examine(Some(&other)).unwrap();
    assert!(found.other_key && found.verdict == Verdict::Whole, "{found:?}");
}

#[test]
fn a_verification_runs_beside_and_one_at_a_time() {
    let (_, services) = filled(300);
    let begun = services.check_audit(None).unwrap();
    assert_eq!((begun.number, begun.progress), (1, (0, 300)));
    let ended = loop {
        let check = services.audit_check().unwrap();
        if check.ended.is_some() {
            break check;
        }
        std::thread::yield_now();
    };
    assert!(
        matches!(&ended.state, CheckState::Done(found) if found.verdict == Verdict::Whole && found.records == 300)
    );
    assert_eq!(services.check_audit(None).unwrap().number, 2);
    services.end_audit_check();
    assert!(services.audit_check().unwrap().ended.is_some());
}

#[test]
fn an_audit_that_is_cut_verifies_from_its_signed_start_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(AtomicU64::new(100 * DAY)));
    let store = Arc::new(DiskStore::open(folder.path()).unwrap());
    store.wait_until_indexed();
    let services = Services::open(store.clone(), Policy::default(), clock.clone()).unwrap();
    let inner = &services.inner;
    let pair = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let device = || DeviceKey::new(Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap());
    assert!(inner.auditing.device.set(device()).is_ok());
    let ada = person(&services, "Ada");
    for _ in 0..1200 {
        Inner::commit(inner, &boss(), &[], &Event::KeysRotated).unwrap();
    }
    inner.sign_head().unwrap();
    let old = services.audit_anchor().unwrap();
    clock.0.store(150 * DAY, Ordering::Relaxed);
    services.delete_subject(&boss(), ada).unwrap();
    let erasures = services.erasures().unwrap();
    let anchor = services.audit_anchor().unwrap();

    assert_eq!(inner.cut_audit(Timestamp::from_millis(90 * DAY), &[]).unwrap(), 0, "nothing is so old");
    let cut = inner.cut_audit(Timestamp::from_millis(120 * DAY), &[]).unwrap();
    assert_eq!(cut, 1202, "the policy, Ada and what followed, in more than one change");
    let found = inner.examine(Some(&anchor)).unwrap();
    assert_eq!((&found.verdict, found.first), (&Verdict::Whole, 1203));
    assert_eq!(verdict(&services, Some(&old)), Verdict::Whole, "the start itself is still compared");
    let first = services.audit(&Wanted { limit: 1, ..Wanted::default() }).unwrap();
    assert_eq!(first.records[0]["what"]["event"], "subject-deleted");
    // Erasures know of their record by its number, and are whole.
    let kept = services.erasures().unwrap();
    assert_eq!((kept.len(), kept.stores[0].store), (1, erasures.stores[0].store));
    assert!(kept.follows(store.id(), 1203));

    // It goes on after a restart, and is cut again.
    drop(services);
    drop(store);
    let store = Arc::new(DiskStore::open(folder.path()).unwrap());
    store.wait_until_indexed();
    let services = Services::open(store.clone(), Policy::default(), clock.clone()).unwrap();
    assert!(services.inner.auditing.device.set(device()).is_ok());
    person(&services, "Eve");
    let found = services.inner.examine(None).unwrap();
    assert_eq!((&found.verdict, found.first, found.other_keys), (&Verdict::Whole, 1203, 0));
    // With another key the box does not sign over the start that is there.
    let other = Services::open(store.clone(), Policy::default(), clock).unwrap();
    assert!(other.inner.auditing.device.set(key()).is_ok());
    assert_eq!(other.inner.examine(None).unwrap().other_keys, 1);
    let refused = other.inner.cut_audit(Timestamp::from_millis(1000 * DAY), &[]);
    assert!(matches!(refused, Err(AuditError::Chain(_))), "{refused:?}");
    drop(other);
    let last = Head::of(store.as_ref()).unwrap().number();
    assert_eq!(
        services.inner.cut_audit(Timestamp::from_millis(1000 * DAY), &[]).unwrap(),
        last - 1,
        "the last one stays"
    );
    assert_eq!(verdict(&services, None), Verdict::Whole);
    let older = verdict(&services, Some(&old));
    assert!(matches!(older, Verdict::AnchorTooOld { first } if first > 1204), "{older:?}");
}

#[test]
fn a_start_that_the_box_did_not_sign_and_a_chain_that_does_not_hold_are_not_cut_over() {
    let (store, services) = filled(6);
    let inner = &services.inner;
    store.commit(&[Change::Delete { table: Table::Audit, key: 3_u64.to_be_bytes().to_vec() }]).unwrap();
    let cut = inner.cut_audit(Timestamp::from_millis(u64::MAX), &[]);
    assert!(matches!(cut, Err(AuditError::Chain(_))), "{cut:?}");
    // Somebody deletes the beginning, and says that it was the box.
    let (store, services) = filled(6);
    let head = services.audit(&Wanted { limit: 2, ..Wanted::default() }).unwrap().records;
    let mut start = services.audit_anchor().unwrap();
    (start.purpose, start.number) = (Purpose::Start, 2);
    start.hash = head[1]["hash"].as_str().unwrap().to_owned();
    let mut changes: Vec<_> =
        [1_u64, 2].map(|n| Change::Delete { table: Table::Audit, key: n.to_be_bytes().to_vec() }).into();
    changes.push(start.change().unwrap());
    store.commit(&changes).unwrap();
    assert_eq!(verdict(&services, None), Verdict::StartForged);
    assert_eq!(start.key(), place(store.id(), 0));
    let refused = |services: &Services| {
        let cut = services.inner.cut_audit(Timestamp::from_millis(u64::MAX), &[]);
        assert!(matches!(cut, Err(AuditError::Chain(_))), "{cut:?}");
    };
    refused(&services);
    // With the signature of somebody's own key, or with what the box signed for another purpose, in the start's place.
    let at = Head::at(2, start.hash);
    let own = services.inner.auditing.device.get().unwrap();
    let put = |signed: &Signed| {
        let value = serde_json::to_vec(signed).unwrap();
        store.commit(&[Change::Put { table: Table::Heads, key: place(store.id(), 0), value }]).unwrap();
    };
    put(&key().sign(Purpose::Start, store.id(), &at, Timestamp::from_millis(1), None));
    assert_eq!(services.inner.examine(None).unwrap().other_keys, 1);
    refused(&services);
    for (purpose, of) in [(Purpose::Head, store.id()), (Purpose::Start, Uuid::new_v4())] {
        put(&own.sign(purpose, of, &at, Timestamp::from_millis(1), None));
        assert_eq!(verdict(&services, None), Verdict::StartForged);
        refused(&services);
    }
    put(&own.sign(Purpose::Start, store.id(), &at, Timestamp::from_millis(1), None));
    assert_eq!(verdict(&services, None), Verdict::Whole);
}

#[test]
fn a_head_that_lies_under_another_number_or_is_for_something_else_is_found_and_nothing_is_cut_over_it() {
    let (store, services) = filled(6);
    let own = services.inner.auditing.device.get().unwrap();
    let anchor = services.audit_anchor().unwrap();
    let records = services.audit(&Wanted { limit: 9, ..Wanted::default() }).unwrap().records;
    let at =
        |number: u64| Head::at(number, records[number as usize - 1]["hash"].as_str().unwrap().to_owned());
    let sign = |purpose, number| own.sign(purpose, store.id(), &at(number), Timestamp::from_millis(1), None);
    for (under, signed) in [(4, sign(Purpose::Head, 2)), (4, sign(Purpose::Erasure, 4))] {
        let value = serde_json::to_vec(&signed).unwrap();
        store.commit(&[Change::Put { table: Table::Heads, key: place(store.id(), under), value }]).unwrap();
        // Reading them comes to an end.
        assert_eq!(Signed::heads_of(store.as_ref(), store.id()).unwrap().len(), 1);
        assert_eq!(verdict(&services, None), Verdict::Rewritten { number: 4 });
        let cut = services.inner.cut_audit(Timestamp::from_millis(u64::MAX), &[]);
        assert!(matches!(cut, Err(AuditError::Chain(_))), "{cut:?}");
        let batch = services.to_forward(Cursor::default(), 9).unwrap();
        assert_eq!((batch.heads.len(), batch.next.head), (1, 4));
    }
    // What was signed of something else is no anchor.
    let start = own.sign(Purpose::Start, store.id(), &at(6), Timestamp::from_millis(1), None);
    store.commit(&[Change::Delete { table: Table::Heads, key: place(store.id(), 4) }]).unwrap();
    assert_eq!(verdict(&services, Some(&start)), Verdict::AnchorForged);
    assert_eq!(verdict(&services, Some(&anchor)), Verdict::Whole);
}

#[test]
fn a_keeper_signs_at_intervals_and_at_the_end() {
    let store = Arc::new(MemoryStore::new());
    let services = Services::open(store.clone(), Policy::default(), Arc::new(SystemClock)).unwrap();
    let settings = AuditSettings {
        keep: None,
        sign_records: 1,
        sign_after: std::time::Duration::from_secs(600),
        destinations: Vec::new(),
    };
    services.keep_audit(key(), settings);
    let heads = || Signed::heads_of(store.as_ref(), store.id()).unwrap();
    let began = std::time::Instant::now();
    while heads().is_empty() {
        assert!(began.elapsed().as_secs() < 30);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    person(&services, "Ada");
    services.end_audit();
    assert!(heads().last().unwrap().signed.is_at(&Head::of(store.as_ref()).unwrap()));
}

#[test]
fn a_keeper_deletes_what_was_kept_long_enough_unless_the_clock_leapt() {
    let cut_after = |days: u64| {
        let clock = Arc::new(Hand(AtomicU64::new(100 * DAY)));
        let store = Arc::new(MemoryStore::new());
        let services = Services::open(store, Policy::default(), clock.clone()).unwrap();
        for _ in 0..3 {
            person(&services, "Ada");
        }
        clock.0.store((100 + days) * DAY, Ordering::Relaxed);
        let keep = Some(std::time::Duration::from_millis(5 * DAY));
        let sign_after = std::time::Duration::from_millis(1);
        services
            .keep_audit(key(), AuditSettings { keep, sign_records: 1, sign_after, destinations: Vec::new() });
        let began = std::time::Instant::now();
        // The look that signs cuts too, after it has signed.
        while Signed::heads_of(services.inner.store.as_ref(), services.inner.store.id()).unwrap().is_empty() {
            assert!(began.elapsed().as_secs() < 30);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        services.end_audit();
        Head::start_of(services.inner.store.as_ref(), services.inner.store.id()).unwrap().number()
    };
    // The last one that there was stays.
    assert_eq!(cut_after(20), 3);
    assert_eq!(cut_after(3650), 0);
}

#[test]
fn a_restored_backup_brings_the_other_box_s_heads_and_answers_for_its_anchors() {
    use crate::{
        backup::Erasures,
        services::{Passphrase, RestoreOptions},
    };
    let (_, old) = filled(5);
    let page = old.audit(&Wanted { limit: 10, ..Wanted::default() }).unwrap();
    let ada: SubjectId = page.records[4]["what"]["subject"].as_str().unwrap().parse().unwrap();
    let before = old.audit_anchor().unwrap();
    old.inner.sign_head().unwrap();
    let passphrase = || Passphrase::new("correct horse battery".to_owned()).unwrap();
    let mut file = Vec::new();
    old.backup(&boss(), &passphrase(), 90, &mut file).unwrap();
    person(&old, "Late");
    let after = old.audit_anchor().unwrap();

    let (_, new) = filled(1);
    let options = RestoreOptions { erasures: None::<Erasures>, without_erasures: true, even_expired: false };
    let mut file = std::io::Cursor::new(file);
    new.restore(&boss(), &mut file, "correct horse battery", &options, &|_, _| {}).unwrap();
    let mut export = Vec::new();
    new.export_subject(&boss(), ada, false, &mut export).unwrap();
    let export: Value = serde_json::from_slice(&export).unwrap();
    let kinds = export["audit"].as_array().unwrap().iter().map(|record| record["what"]["event"].clone());
    assert_eq!(kinds.collect::<Vec<_>>(), ["subject-created", "subject-exported"], "of both boxes");
    let found = new.inner.examine(Some(&before)).unwrap();
    assert_eq!((&found.verdict, found.of), (&Verdict::Whole, Some(old.inner.store.id())));
    assert_eq!(found.heads, 1, "the head that the other box signed");
    assert_eq!(verdict(&new, Some(&after)), Verdict::AnchorAfterBackup { last: 6 });
    let forged = old.inner.auditing.device.get().unwrap().sign(
        Purpose::Head,
        old.inner.store.id(),
        &Head::none(),
        Timestamp::from_millis(1),
        None,
    );
    let other = Signed { number: 3, ..forged };
    assert_eq!(verdict(&new, Some(&other)), Verdict::AnchorForged);

    // What is kept of the other box is deleted for its age too, but for its last record.
    new.inner.cut_audit(Timestamp::from_millis(u64::MAX), &[]).unwrap();
    assert_eq!(verdict(&new, Some(&before)), Verdict::Whole, "the start is the anchor's record");
    assert_eq!(new.inner.last_archived(old.inner.store.id()).unwrap(), 6);
    assert_eq!(new.erasures().unwrap().stores.len(), 2);
}

#[test]
fn what_is_not_forwarded_is_not_cut_and_what_is_confirmed_is_not_forwarded_again() {
    let (_, services) = filled(6);
    services.inner.sign_head().unwrap();
    let batch = services.to_forward(Cursor::default(), 4).unwrap();
    assert_eq!((batch.records.len(), batch.heads.len(), batch.last), (4, 0, 6));
    assert_eq!(batch.next, Cursor { record: 4, head: 0 });
    services.confirm("siem", batch.next).unwrap();
    assert_eq!(services.confirmed("siem").unwrap(), batch.next);
    let rest = services.to_forward(batch.next, 4).unwrap();
    assert_eq!((rest.records.len(), rest.heads.len()), (2, 1));
    assert!(services.to_forward(rest.next, 4).unwrap().is_empty());

    let far = Timestamp::from_millis(u64::MAX);
    let (siem, never) = ("siem".to_owned(), "never".to_owned());
    assert_eq!(services.inner.cut_audit(far, &[siem.clone(), never]).unwrap(), 0);
    assert_eq!(services.inner.cut_audit(far, &[siem]).unwrap(), 4);
    assert_eq!(verdict(&services, None), Verdict::Whole);
    // One that was told of later gets what is there.
    let late = services.to_forward(Cursor::default(), 100).unwrap();
    assert_eq!((late.records.len(), late.heads.len()), (3, 2));
    assert_eq!((late.heads[0].purpose, late.heads[0].number), (Purpose::Start, 4));
    assert_eq!(late.next, Cursor { record: 7, head: 6 });
}
