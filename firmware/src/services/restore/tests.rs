//! Backups of real services, restored into others: whole, in part, twice, too late, and without those who are gone.

use std::{
    io::Cursor,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::*;
use crate::{
    audit,
    backup::{Header, Manifest, Writer},
    clock::{Clock, SystemClock},
    policy::Policy,
    request::{ClientId, Role},
    services::{Counts, OpenError, SubjectError},
    store::{DiskStore, MemoryStore, Passphrase, Store},
    subject::{FingerPosition, NewSubject, SubjectId, SubjectName},
};
use authenteon_matcher::{Minutia, MinutiaKind, Template};

const WORDS: &str = "correct horse battery staple";

fn passphrase() -> Passphrase {
    Passphrase::new(WORDS.to_owned()).unwrap()
}

fn caller() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
}

fn open(store: Arc<dyn Store>) -> Services {
    Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap()
}

fn fresh() -> Services {
    open(Arc::new(MemoryStore::new()))
}

fn template(seed: u32) -> Template {
    let minutiae = (0..30_u32).map(|n| Minutia {
        x: (300 + (n * 977 + seed * 131) % 2900) as u16,
        y: (300 + (n * 1409 + seed * 457) % 3100) as u16,
        angle: ((n * 89 + seed) % 256) as u8,
        kind: MinutiaKind::Ending,
        quality: 80,
    });
    Template::from_minutiae(400, 400, minutiae.collect()).unwrap()
}

/// What enrolment writes, without the images.
fn enrol(services: &Services, subject: SubjectId, position: FingerPosition, seed: u32) {
    let inner = &services.inner;
    let mut record = inner.subject(subject).unwrap().unwrap();
    record.fingers.push(crate::services::FingerRecord { position, impressions: 1, quality: 80 });
    let value = gallery::encode_views(&[template(seed)]);
    let key = gallery::finger_key(&(subject, position));
    let changes = [
        crate::services::put_subject(subject, &record).unwrap(),
        Change::Put { table: Table::Fingers, key, value },
    ];
    let event = Event::FingerEnrolled { subject, position, impressions: 1, quality: 80 };
    Inner::commit(inner, &caller(), &changes, &event).unwrap();
}

fn person(services: &Services, name: &str, fingers: &[FingerPosition]) -> SubjectId {
    let name = SubjectName::try_from(name.to_owned()).unwrap();
    let id = services.create_subject(&caller(), NewSubject { name, groups: Default::default() }).unwrap().id;
    for (seed, position) in (id.as_bytes()[0].into()..).zip(fingers) {
        enrol(services, id, *position, seed);
    }
    id
}

fn backup(services: &Services) -> Vec<u8> {
    let mut file = Vec::new();
    services.backup(&caller(), &passphrase(), 30, &mut file).unwrap();
    file
}

fn without() -> RestoreOptions {
    RestoreOptions { without_erasures: true, ..RestoreOptions::default() }
}

fn with(erasures: Erasures) -> RestoreOptions {
    RestoreOptions { erasures: Some(erasures), ..RestoreOptions::default() }
}

fn restore(services: &Services, file: &[u8], options: &RestoreOptions) -> Result<RestoreReport, BackupError> {
    services.restore(&caller(), &mut Cursor::new(file), WORDS, options, &|_, _| {})
}

/// Waits until what is there of a backup is cleared away; nobody is seen meanwhile.
fn settled(services: &Services) {
    while services.progress().is_some() {
        assert!(!matches!(services.subjects(None, 1), Ok(found) if !found.is_empty()));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn people(services: &Services) -> Vec<(SubjectId, Vec<FingerPosition>)> {
    let all = services.subjects(None, 10_000).unwrap();
    all.into_iter().map(|s| (s.id, s.fingers.iter().map(|f| f.position).collect())).collect()
}

use FingerPosition::{LeftThumb, RightIndex};

#[test]
fn store_restore_brings_everybody_back_on_another_box_and_keeps_both_audits() {
    let old = fresh();
    for n in 0..1200 {
        person(
            &old,
            &format!("Person {n}"),
            if n % 3 == 0 { &[RightIndex, LeftThumb] } else { &[RightIndex] },
        );
    }
    let records = audit::Head::of(old.inner.store.as_ref()).unwrap().number() + 1;
    let file = backup(&old);
    let folder = tempfile::tempdir().unwrap();
    let new = open(Arc::new(DiskStore::open(folder.path()).unwrap()));
    let report = restore(&new, &file, &with(old.erasures().unwrap())).unwrap();
    assert_eq!((report.people, report.fingers, report.audit), (1200, 1600, records));
    assert_eq!(people(&new), people(&old));
    assert_eq!(new.counts(), Counts { fingers: 1600, impressions: 1600 });
    let same = |id: SubjectId| {
        let key = gallery::finger_key(&(id, RightIndex));
        let of = |services: &Services| services.inner.store.get(Table::Fingers, &key).unwrap();
        of(&old) == of(&new) && of(&old).is_some()
    };
    assert!(people(&old).iter().all(|(id, _)| same(*id)));
    let mut events = Vec::new();
    audit::verify(new.inner.store.as_ref(), |record| events.push(record.what.clone())).unwrap();
    assert!(matches!(
        events[..],
        [Event::PolicyInForce { .. }, Event::RestoreBegun { .. }, Event::BackupRestored { people: 1200, .. }]
    ));
    let mut kept = 0;
    new.inner
        .store
        .each(Table::Archive, &mut |page| {
            kept += page.len() as u64;
            Ok(())
        })
        .unwrap();
    assert_eq!(kept, records);
    // And after a restart.
    drop(new);
    let new = open(Arc::new(DiskStore::open(folder.path()).unwrap()));
    assert_eq!((new.counts().fingers, people(&new).len()), (1600, 1200));
}

#[test]
fn store_restore_leaves_out_who_was_erased_since_and_who_was_erased_before() {
    let old = fresh();
    let (gone, stays, changed) = (
        person(&old, "Gone", &[RightIndex]),
        person(&old, "Stays", &[RightIndex, LeftThumb]),
        person(&old, "Changed", &[RightIndex, LeftThumb]),
    );
    // Taken away and enrolled again before the backup: it is in it, and stays.
    old.remove_finger(&caller(), stays, LeftThumb).unwrap();
    enrol(&old, stays, LeftThumb, 99);
    let file = backup(&old);
    old.delete_subject(&caller(), gone).unwrap();
    old.remove_finger(&caller(), changed, LeftThumb).unwrap();
    let list = Erasures::from_json(old.erasures().unwrap().to_json()).unwrap();

    let new = fresh();
    assert_eq!(restore(&new, &file, &RestoreOptions::default()), Err(BackupError::NoErasures));
    let report = restore(&new, &file, &with(list)).unwrap();
    assert_eq!((report.people, report.fingers, report.erasures), (2, 3, 3));
    let mut found = people(&new);
    found.sort_by_key(|(id, _)| *id != stays);
    found.iter_mut().for_each(|(_, fingers)| fingers.sort());
    assert_eq!(found, [(stays, vec![RightIndex, LeftThumb]), (changed, vec![RightIndex])]);
    assert_eq!(new.counts().fingers, 3);
    // The new box knows of them, and so does whoever it is restored into.
    assert_eq!(new.erasures().unwrap().len(), 3);
    let newest = fresh();
    restore(&newest, &file, &with(new.erasures().unwrap())).unwrap();
    assert_eq!(people(&newest).len(), 2);
    // Without the list, an old backup brings them back: that is why it expires.
    let careless = fresh();
    restore(&careless, &file, &without()).unwrap();
    assert_eq!(people(&careless).len(), 3);
}

#[test]
fn store_restore_is_tried_without_changing_anything() {
    let old = fresh();
    person(&old, "Ada", &[RightIndex]);
    let file = backup(&old);
    let before = audit::Head::of(old.inner.store.as_ref()).unwrap();
    let mut cursor = Cursor::new(&file);
    let report = old.check_backup(&mut cursor, WORDS, &without(), &|_, _| {}).unwrap();
    assert_eq!((report.people, report.fingers), (1, 1));
    assert_eq!((report.audit, report.clients), (0, vec![]), "they are here");
    assert_eq!(audit::Head::of(old.inner.store.as_ref()).unwrap(), before);
    let wrong = old.check_backup(&mut cursor, "another passphrase, quite long", &without(), &|_, _| {});
    assert_eq!(wrong, Err(BackupError::Wrong));
}

#[test]
fn store_restore_into_a_box_with_people_is_refused() {
    let old = fresh();
    person(&old, "Ada", &[RightIndex]);
    let file = backup(&old);
    assert_eq!(restore(&old, &file, &without()), Err(BackupError::NotEmpty));
}

/// A clock that shows what it is told to.
struct Told(AtomicU64);

impl Told {
    fn new(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.millis()))
    }
}

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn store_restore_of_an_expired_backup_needs_a_word() {
    let old = fresh();
    person(&old, "Ada", &[RightIndex]);
    let file = backup(&old);
    let later = Timestamp::from_millis(SystemClock.now().millis() + 31 * 86_400_000);
    let services =
        Services::open(Arc::new(MemoryStore::new()), Policy::default(), Arc::new(Told::new(later)));
    let new = services.unwrap();
    assert!(matches!(restore(&new, &file, &without()), Err(BackupError::Expired { .. })));
    restore(&new, &file, &RestoreOptions { even_expired: true, ..without() }).unwrap();
    assert_eq!(people(&new).len(), 1);
}

#[test]
fn store_restore_that_finds_damage_or_what_it_cannot_read_leaves_the_box_empty() {
    let old = fresh();
    for n in 0..900 {
        person(&old, &format!("Person {n}"), &[RightIndex]);
    }
    let file = backup(&old);
    let new = fresh();
    let mut damaged = file.clone();
    let middle = file.len() / 2;
    damaged[middle] ^= 4;
    assert!(matches!(restore(&new, &damaged, &without()), Err(BackupError::Damaged { .. })));
    assert!(matches!(restore(&new, &file[..middle], &without()), Err(BackupError::Cut { .. })));

    let header = Header::new(Uuid::new_v4(), SystemClock.now(), 30).unwrap();
    let mut writer = Writer::new(Vec::new(), &header, &passphrase()).unwrap();
    let mut manifest = Manifest::default();
    let key = gallery::finger_key(&(SubjectId::random(), RightIndex));
    manifest.count(Table::Fingers, &key, b"no template");
    writer.put(Table::Fingers, &key, b"no template").unwrap();
    let strange = writer.finish(&manifest).unwrap();
    assert!(matches!(
        restore(&new, &strange, &without()),
        Err(BackupError::Contents { .. } | BackupError::Store(StoreError::Damaged { .. }))
    ));
    assert_eq!((people(&new), new.counts().fingers), (vec![], 0));
    assert_eq!(audit::Head::of(new.inner.store.as_ref()).unwrap().number(), 1, "more than its policy");
    restore(&new, &file, &without()).unwrap();
    assert_eq!(people(&new).len(), 900);
}

#[test]
fn store_restore_that_lost_power_in_the_middle_is_cleared_away_at_the_next_start() {
    let old = fresh();
    for n in 0..50 {
        person(&old, &format!("Person {n}"), &[RightIndex]);
    }
    let file = backup(&old);
    let folder = tempfile::tempdir().unwrap();
    {
        // What is there when the power goes: the fact that a backup is being restored, and some of it.
        let store = Arc::new(DiskStore::open(folder.path()).unwrap());
        let new = open(Arc::clone(&store) as Arc<dyn Store>);
        let id = old.inner.store.id();
        let fill = new.inner.empty_tables(id).unwrap();
        let marker = serde_json::to_vec(&Marker { store: id, fill }).unwrap();
        let mut half = vec![Change::Put { table: Table::About, key: RESTORING.to_vec(), value: marker }];
        let mut reader = Reader::new(Cursor::new(&file), WORDS).unwrap();
        for _ in 0..60 {
            let Item::Value(value) = reader.item().unwrap() else { break };
            half.extend(placed(value, old.inner.store.id(), new.inner.store.id()));
        }
        store.commit(&half).unwrap();
    }
    let store = Arc::new(DiskStore::open(folder.path()).unwrap());
    let new = open(Arc::clone(&store) as Arc<dyn Store>);
    assert_eq!(new.counts().fingers, 0);
    settled(&new);
    assert_eq!(people(&new), []);
    assert!(store.scan(Table::Fingers, None, 1).unwrap().is_empty());
    assert!(store.scan(Table::Archive, None, 1).unwrap().is_empty());
    assert_eq!(restore(&new, &file, &without()).unwrap().people, 50);
    assert_eq!((people(&new).len(), new.counts().fingers), (50, 50));
}

#[test]
fn store_restore_that_finds_no_room_leaves_the_box_empty_and_says_so() {
    let old = fresh();
    for n in 0..20 {
        person(&old, &format!("Person {n}"), &[RightIndex]);
    }
    let file = backup(&old);
    let store = Arc::new(MemoryStore::new());
    let new = open(Arc::clone(&store) as Arc<dyn Store>);
    store.set_room(crate::store::Room::Nothing);
    assert_eq!(restore(&new, &file, &without()), Err(StoreError::Full.into()));
    store.set_room(crate::store::Room::Everything);
    settled(&new);
    assert_eq!(people(&new).len(), 0);
    restore(&new, &file, &without()).unwrap();
    assert_eq!(people(&new).len(), 20);
}

#[test]
fn store_backup_of_format_1_is_restored_by_this_version() {
    // Made once by this product, of people that nobody is; every released format keeps one.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/backups/format-1.backup");
    if std::env::var_os("AUTHENTEON_WRITE_BACKUP").is_some() {
        let old = fresh();
        for n in 0..4 {
            person(&old, &format!("Nobody {n}"), &[RightIndex, LeftThumb]);
        }
        let gone = person(&old, "Erased", &[RightIndex]);
        old.delete_subject(&caller(), gone).unwrap();
        std::fs::write(&path, backup(&old)).unwrap();
    }
    let file = std::fs::read(path).unwrap();
    let new = fresh();
    let options = RestoreOptions { even_expired: true, ..without() };
    let report = restore(&new, &file, &options).unwrap();
    assert_eq!((report.people, report.fingers, report.erasures), (4, 8, 1));
    assert_eq!(new.counts(), Counts { fingers: 8, impressions: 8 });
    let names: Vec<String> =
        new.subjects(None, 10).unwrap().into_iter().map(|subject| subject.name.into()).collect();
    assert!((0..4).all(|n| names.contains(&format!("Nobody {n}"))), "{names:?}");
}

#[test]
fn store_backup_taken_while_people_come_and_go_fits_together() {
    let folder = tempfile::tempdir().unwrap();
    let old = open(Arc::new(DiskStore::open(folder.path()).unwrap()));
    let ids: Vec<_> = (0..300).map(|n| person(&old, &format!("P {n}"), &[RightIndex, LeftThumb])).collect();
    let file = std::thread::scope(|scope| {
        let (services, gone) = (old.clone(), ids[..100].to_vec());
        scope.spawn(move || {
            for (n, id) in gone.into_iter().enumerate() {
                if n % 2 == 0 {
                    services.delete_subject(&caller(), id).unwrap();
                } else {
                    services.remove_finger(&caller(), id, LeftThumb).unwrap();
                }
            }
        });
        backup(&old)
    });
    let new = fresh();
    restore(&new, &file, &with(old.erasures().unwrap())).unwrap();
    assert_eq!(people(&new), people(&old));
    let fingers = people(&old).iter().map(|(_, fingers)| fingers.len()).sum::<usize>();
    assert_eq!(new.counts().fingers, fingers);
    assert!(matches!(new.subject(ids[0]), Err(SubjectError::Unknown)));
}

#[test]
fn what_fails_to_open_is_told_as_what_it_is() {
    assert_eq!(BackupError::from(OpenError::Store(StoreError::Full)), BackupError::Store(StoreError::Full));
}

#[test]
fn store_keeps_order_and_erasures_though_the_clock_goes_backwards() {
    const DAY: u64 = 86_400_000;
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Told::new(SystemClock.now()));
    let reopened = || {
        let store = Arc::new(DiskStore::open(folder.path()).unwrap());
        Services::open(store, Policy::default(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap()
    };
    let (file, ada, bob) = {
        let services = reopened();
        let ada = person(&services, "Ada", &[RightIndex, LeftThumb]);
        let bob = person(&services, "Bob", &[RightIndex]);
        (backup(&services), ada, bob)
    };
    // A year and a day back, and on again from there after a restart.
    clock.0.fetch_sub(366 * DAY, Ordering::SeqCst);
    let services = reopened();
    services.delete_subject(&caller(), bob).unwrap();
    services.remove_finger(&caller(), ada, LeftThumb).unwrap();
    person(&services, "Carol", &[RightIndex]);
    drop(services);
    clock.0.fetch_add(1000, Ordering::SeqCst);
    let services = reopened();
    let mut times = Vec::new();
    let head = audit::verify(services.inner.store.as_ref(), |record| times.push(record.at)).unwrap();
    assert_eq!(head.number() as usize, times.len());
    assert!(!times.is_sorted(), "the records say what the clock showed");
    assert_eq!(people(&services).len(), 2);

    // The erasures are older than the backup by the clock, and later by the audit.
    let erasures = services.erasures().unwrap();
    let new = fresh();
    restore(&new, &file, &with(erasures)).unwrap();
    assert_eq!(people(&new), [(ada, vec![RightIndex])]);
}

#[test]
fn store_restore_of_a_restore_keeps_a_finger_that_was_enrolled_again() {
    let first = fresh();
    let ada = person(&first, "Ada", &[RightIndex, LeftThumb]);
    let early = backup(&first);
    first.remove_finger(&caller(), ada, LeftThumb).unwrap();
    let second = fresh();
    restore(&second, &early, &with(first.erasures().unwrap())).unwrap();
    assert_eq!(people(&second), [(ada, vec![RightIndex])]);
    enrol(&second, ada, LeftThumb, 9);
    let late = backup(&second);
    let third = fresh();
    restore(&third, &late, &with(second.erasures().unwrap())).unwrap();
    assert_eq!(people(&third), [(ada, vec![RightIndex, LeftThumb])]);
    assert_eq!(third.counts().fingers, 2);
}

#[test]
fn store_restore_takes_no_template_that_its_person_does_not_list() {
    // What a backup may hold of somebody who lost a finger while it was taken.
    let header = Header::new(Uuid::new_v4(), SystemClock.now(), 30).unwrap();
    let mut writer = Writer::new(Vec::new(), &header, &passphrase()).unwrap();
    let mut manifest = Manifest::default();
    let ada = SubjectId::random();
    let record = serde_json::json!({
        "name": "Ada", "created": "2026-11-29T00:00:00Z",
        "fingers": [{"position": "right-index", "impressions": 1, "quality": 80}],
    });
    let mut put = |table, key: &[u8], value: &[u8]| {
        manifest.count(table, key, value);
        writer.put(table, key, value).unwrap();
    };
    for position in [RightIndex, LeftThumb] {
        let value = gallery::encode_views(&[template(position.code().into())]);
        put(Table::Fingers, &gallery::finger_key(&(ada, position)), &value);
    }
    put(Table::Subjects, ada.as_bytes(), &serde_json::to_vec(&record).unwrap());
    let file = writer.finish(&manifest).unwrap();
    let new = fresh();
    assert_eq!(restore(&new, &file, &without()).unwrap().fingers, 1);
    assert_eq!(new.counts().fingers, 1);
    new.delete_subject(&caller(), ada).unwrap();
    assert!(new.inner.store.scan(Table::Fingers, None, 1).unwrap().is_empty());
}

#[test]
fn store_restore_wants_the_list_of_the_backup_s_own_box_and_no_older_one() {
    let old = fresh();
    person(&old, "Ada", &[RightIndex]);
    let early = old.erasures().unwrap();
    person(&old, "Bob", &[RightIndex]);
    let file = backup(&old);
    let new = fresh();
    for wrong in [early, fresh().erasures().unwrap()] {
        assert_eq!(restore(&new, &file, &with(wrong)), Err(BackupError::OtherErasures));
    }
    let list = old.erasures().unwrap();
    restore(&new, &file, &with(list)).unwrap();
    // The box that has it knows of the other's erasures as well.
    let newest = fresh();
    restore(&newest, &file, &with(new.erasures().unwrap())).unwrap();
    assert_eq!(people(&newest).len(), 2);
}

mod revived;
