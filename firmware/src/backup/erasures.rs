//! Who and what was erased: kept on the box, exported, and applied before an older backup is restored.
//!
//! A person's id is random and never given twice, so a person who was erased stays erased whatever the backup. A finger
//! can be enrolled again: its erasure counts unless the backup knows of it itself, or of a later one; what is in it then
//! was enrolled after. Neither the clock nor the numbers of the audit are rested on alone: one can be set back, the others
//! begin anew behind a repair.
//!
//! Invariant: an erasure in the list is never lost by putting two lists together.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::BackupError;
use crate::{
    clock::Timestamp,
    store::{Change, Table},
    subject::{FingerPosition, SubjectId},
};

/// Somebody, or a finger of somebody, was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Erasure {
    /// Who.
    pub subject: SubjectId,
    /// Only this finger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finger: Option<FingerPosition>,
    /// When, by the clock of then.
    pub at: Timestamp,
    /// In which store.
    pub store: Uuid,
    /// The number of its record in that store's audit.
    pub audit: u64,
}

/// What lies under its key in the store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tombstone {
    at: Timestamp,
    audit: u64,
}

impl Erasure {
    /// The change that keeps it.
    pub(crate) fn change(&self) -> Change {
        let mut key = self.subject.as_bytes().to_vec();
        key.push(self.finger.map_or(0, FingerPosition::code));
        key.extend(self.store.as_bytes());
        let tombstone = Tombstone { at: self.at, audit: self.audit };
        // Two plain fields always have a form in JSON.
        let value = serde_json::to_vec(&tombstone).unwrap_or_default();
        Change::Put { table: Table::Tombstones, key, value }
    }

    /// Whether who knows of this one knows of another of the same finger in the same store.
    fn covers(&self, other: &Self) -> bool {
        self == other || (self.audit > other.audit && self.at >= other.at)
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, BackupError> {
        let bad = || BackupError::Contents { place: Table::Tombstones.name().to_owned() };
        let (id, rest) = key.split_first_chunk::<16>().ok_or_else(bad)?;
        let (code, store) = rest.split_first().ok_or_else(bad)?;
        let finger = match code {
            0 => None,
            code => Some(FingerPosition::from_code(*code).ok_or_else(bad)?),
        };
        let store = Uuid::from_slice(store).map_err(|_| bad())?;
        let Tombstone { at, audit } = serde_json::from_slice(value).map_err(|_| bad())?;
        Ok(Self { subject: SubjectId::from_bytes(*id), finger, at, store, audit })
    }
}

const FORMAT: &str = "authenteon-erasures";
const VERSION: u32 = 1;

/// Up to which record of a store's audit a list knows of erasures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    /// The store.
    pub store: Uuid,
    /// Its last record that is known.
    pub audit: u64,
}

/// A list of erasures, as it is exported: random ids only, so it says nothing to who has no backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasures {
    /// When it was made.
    pub taken: Timestamp,
    /// The store whose list it is, and those whose backups were restored into it.
    pub stores: Vec<Followed>,
    /// By person, then by finger and store.
    list: HashMap<SubjectId, HashMap<(Option<FingerPosition>, Uuid), Erasure>>,
}

/// The same as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    format: String,
    version: u32,
    taken: Timestamp,
    stores: Vec<Followed>,
    /// A list that lost its end, or a line, does not have as many.
    count: usize,
    erasures: Vec<Erasure>,
}

impl Erasures {
    pub(crate) fn new(taken: Timestamp, stores: Vec<Followed>) -> Self {
        Self { taken, stores, list: HashMap::new() }
    }

    fn all(&self) -> impl Iterator<Item = &Erasure> {
        self.list.values().flat_map(HashMap::values)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().count()
    }

    /// Whether nobody was erased.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes in one; of two of the same finger in one store the later counts.
    pub fn add(&mut self, erasure: Erasure) {
        let of_person = self.list.entry(erasure.subject).or_default();
        let key = (erasure.finger, erasure.store);
        if of_person.get(&key).is_none_or(|known| !known.covers(&erasure)) {
            of_person.insert(key, erasure);
        }
    }

    /// Takes in another list.
    pub fn merge(&mut self, other: Self) {
        other.list.into_values().flat_map(HashMap::into_values).for_each(|erasure| self.add(erasure));
    }

    /// Whether it says who was erased since a backup of this store with audit records up to number `audit`.
    #[must_use]
    pub fn follows(&self, store: Uuid, audit: u64) -> bool {
        self.stores.iter().any(|followed| followed.store == store && followed.audit >= audit)
    }

    pub(crate) fn read(&mut self, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        Erasure::read(key, value).map(|erasure| self.add(erasure))
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        self.all().map(Erasure::change)
    }

    pub(crate) fn person(&self, subject: SubjectId) -> bool {
        self.list.get(&subject).is_some_and(|erased| erased.keys().any(|(finger, _)| finger.is_none()))
    }

    /// The erasure of a person in a store.
    pub(crate) fn of_person(&self, subject: SubjectId, store: Uuid) -> Option<&Erasure> {
        self.list.get(&subject)?.get(&(None, store))
    }

    /// Whether a finger was erased after a backup that knows of these erasures `before`.
    pub(crate) fn finger(&self, subject: SubjectId, finger: FingerPosition, before: &Self) -> bool {
        let Some(erased) = self.list.get(&subject) else { return false };
        erased.iter().filter(|((erased, _), _)| *erased == Some(finger)).any(|(key, erasure)| {
            let known = before.list.get(&subject).and_then(|known| known.get(key));
            known.is_none_or(|known| !known.covers(erasure))
        })
    }

    /// As JSON, in the order of ids.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut erasures: Vec<Erasure> = self.all().cloned().collect();
        erasures.sort_by_key(|erasure| (erasure.subject, erasure.finger, erasure.store));
        let exported = Exported {
            format: FORMAT.to_owned(),
            version: VERSION,
            taken: self.taken,
            stores: self.stores.clone(),
            count: erasures.len(),
            erasures,
        };
        serde_json::json!(exported)
    }

    /// From JSON.
    ///
    /// # Errors
    /// [`BackupError::Erasures`]; [`BackupError::Newer`] of a later version's.
    pub fn from_json(json: serde_json::Value) -> Result<Self, BackupError> {
        let version = json["version"].as_u64().unwrap_or_default();
        if json["format"].as_str() == Some(FORMAT) && version > u64::from(VERSION) {
            return Err(BackupError::Newer { version: u32::try_from(version).unwrap_or(u32::MAX) });
        }
        let fails = |why: String| BackupError::Erasures { why };
        let exported: Exported = serde_json::from_value(json).map_err(|why| fails(why.to_string()))?;
        if exported.format != FORMAT || exported.version != VERSION {
            return Err(fails("it is no list of erasures".to_owned()));
        }
        if exported.count != exported.erasures.len() {
            let why = format!("it says {} and holds {}", exported.count, exported.erasures.len());
            return Err(fails(why));
        }
        let mut list = Self::new(exported.taken, exported.stores);
        exported.erasures.into_iter().for_each(|erasure| list.add(erasure));
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMB: FingerPosition = FingerPosition::LeftThumb;

    fn erasure(subject: SubjectId, finger: Option<FingerPosition>, store: Uuid, audit: u64) -> Erasure {
        Erasure { subject, finger, at: Timestamp::from_millis(1_800_000_000_000 + audit), store, audit }
    }

    fn list(erasures: &[Erasure]) -> Erasures {
        let mut list = Erasures::new(Timestamp::from_millis(1_800_000_000_000), Vec::new());
        erasures.iter().cloned().for_each(|erasure| list.add(erasure));
        list
    }

    #[test]
    fn an_erased_person_stays_erased_and_a_finger_until_it_is_enrolled_again() {
        let (here, there) = (Uuid::new_v4(), Uuid::new_v4());
        let (gone, changed) = (SubjectId::random(), SubjectId::random());
        let thumb = |store, audit| erasure(changed, Some(THUMB), store, audit);
        let all = list(&[erasure(gone, None, here, 7), thumb(here, 9)]);
        assert!(all.person(gone) && !all.person(changed));
        let erased = |before: &[Erasure]| all.finger(changed, THUMB, &list(before));
        assert!(erased(&[]), "the backup is older");
        assert!(erased(&[thumb(here, 3)]), "it knows of an earlier one only");
        assert!(erased(&[thumb(there, 100)]), "it knows of another box's only");
        assert!(!erased(&[thumb(here, 9)]), "it was taken later");
        assert!(!erased(&[thumb(here, 12)]), "much later");
        assert!(!all.finger(changed, FingerPosition::RightThumb, &list(&[])));
        // Behind a repair the audit counts anew: what is later by the clock counts too.
        let repaired = Erasure { at: Timestamp::from_millis(1_900_000_000_000), ..thumb(here, 2) };
        assert!(list(&[repaired]).finger(changed, THUMB, &list(&[thumb(here, 9)])));
    }

    #[test]
    fn lists_of_two_boxes_are_put_together_without_losing_one() {
        let (here, there, subject) = (Uuid::new_v4(), Uuid::new_v4(), SubjectId::random());
        let mut both = list(&[erasure(subject, Some(THUMB), here, 10)]);
        both.merge(list(&[erasure(subject, Some(THUMB), there, 50)]));
        assert_eq!(both.len(), 2);
        assert!(both.finger(subject, THUMB, &list(&[erasure(subject, Some(THUMB), there, 50)])));
    }

    #[test]
    fn a_list_follows_a_backup_that_it_is_later_than() {
        let (here, there) = (Uuid::new_v4(), Uuid::new_v4());
        let stores = vec![Followed { store: here, audit: 20 }, Followed { store: there, audit: 5 }];
        let list = Erasures::new(Timestamp::from_millis(0), stores);
        assert!(list.follows(here, 20) && list.follows(there, 5));
        assert!(!list.follows(here, 21) && !list.follows(Uuid::new_v4(), 1));
    }

    #[test]
    fn a_list_survives_its_export_and_one_that_lost_a_line_is_refused() {
        let store = Uuid::new_v4();
        let list = list(&[1, 2, 3].map(|audit| erasure(SubjectId::random(), None, store, audit)));
        let mut json = list.to_json();
        assert_eq!(Erasures::from_json(json.clone()).unwrap(), list);
        json["erasures"].as_array_mut().unwrap().pop();
        assert!(matches!(Erasures::from_json(json.clone()), Err(BackupError::Erasures { .. })));
        json["version"] = 2.into();
        assert_eq!(Erasures::from_json(json), Err(BackupError::Newer { version: 2 }));
    }

    #[test]
    fn what_lies_in_the_store_is_read_again_as_it_was() {
        for finger in [None, Some(FingerPosition::LeftIndex)] {
            let one = erasure(SubjectId::random(), finger, Uuid::new_v4(), 3);
            let Change::Put { key, value, .. } = one.change() else { panic!() };
            assert_eq!(Erasure::read(&key, &value).unwrap(), one);
            assert!(Erasure::read(&key[..15], &value).is_err());
        }
    }
}
