//! Who and what was erased: kept on the box, exported, and applied before an older backup is restored.
//!
//! A person's id is random and never given twice, so a person who was erased stays erased whatever the backup. A finger
//! can be enrolled again: its erasure counts for backups that were taken before it, told by the number of its audit
//! record and not by the clock, and for those of other boxes.
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
    store: Uuid,
    audit: u64,
}

impl Erasure {
    /// The change that keeps it.
    pub(crate) fn change(&self) -> Change {
        let mut key = self.subject.as_bytes().to_vec();
        key.extend(self.finger.map(FingerPosition::code));
        let tombstone = Tombstone { at: self.at, store: self.store, audit: self.audit };
        // Three plain fields always have a form in JSON.
        let value = serde_json::to_vec(&tombstone).unwrap_or_default();
        Change::Put { table: Table::Tombstones, key, value }
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, BackupError> {
        let bad = || BackupError::Contents { place: Table::Tombstones.name().to_owned() };
        let (id, rest) = key.split_first_chunk::<16>().ok_or_else(bad)?;
        let finger = match rest {
            [] => None,
            [code] => Some(FingerPosition::from_code(*code).ok_or_else(bad)?),
            _ => return Err(bad()),
        };
        let Tombstone { at, store, audit } = serde_json::from_slice(value).map_err(|_| bad())?;
        Ok(Self { subject: SubjectId::from_bytes(*id), finger, at, store, audit })
    }
}

const FORMAT: &str = "authenteon-erasures";
const VERSION: u32 = 1;

/// A list of erasures, as it is exported: random ids only, so it says nothing to who has no backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasures {
    /// The store whose list it is.
    pub store: Uuid,
    /// When it was made.
    pub taken: Timestamp,
    list: HashMap<(SubjectId, Option<FingerPosition>), Erasure>,
}

/// The same as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    format: String,
    version: u32,
    store: Uuid,
    taken: Timestamp,
    /// A list that lost its end, or a line, does not have as many.
    count: usize,
    erasures: Vec<Erasure>,
}

impl Erasures {
    pub(crate) fn new(store: Uuid, taken: Timestamp) -> Self {
        Self { store, taken, list: HashMap::new() }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nobody was erased.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes in one; of two of the same finger in one store the later counts.
    pub fn add(&mut self, erasure: Erasure) {
        let key = (erasure.subject, erasure.finger);
        let later = |known: &Erasure| known.store != erasure.store || known.audit < erasure.audit;
        if self.list.get(&key).is_none_or(later) {
            self.list.insert(key, erasure);
        }
    }

    /// Takes in another list.
    pub fn merge(&mut self, other: Self) {
        other.list.into_values().for_each(|erasure| self.add(erasure));
    }

    pub(crate) fn read(&mut self, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        Erasure::read(key, value).map(|erasure| self.add(erasure))
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        self.list.values().map(Erasure::change)
    }

    pub(crate) fn person(&self, subject: SubjectId) -> bool {
        self.list.contains_key(&(subject, None))
    }

    /// Whether a finger was erased after a backup of `store` with audit records up to number `audit`.
    pub(crate) fn finger(
        &self,
        subject: SubjectId,
        finger: FingerPosition,
        (store, audit): (Uuid, u64),
    ) -> bool {
        let erased = self.list.get(&(subject, Some(finger)));
        erased.is_some_and(|erasure| erasure.store != store || erasure.audit > audit)
    }

    /// As JSON, in the order of ids.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut erasures: Vec<Erasure> = self.list.values().cloned().collect();
        erasures.sort_by_key(|erasure| (erasure.subject, erasure.finger));
        let exported = Exported {
            format: FORMAT.to_owned(),
            version: VERSION,
            store: self.store,
            taken: self.taken,
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
        let mut list = Self::new(exported.store, exported.taken);
        exported.erasures.into_iter().for_each(|erasure| list.add(erasure));
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(subject: SubjectId, finger: Option<FingerPosition>, store: Uuid, audit: u64) -> Erasure {
        Erasure { subject, finger, at: Timestamp::from_millis(1_800_000_000_000), store, audit }
    }

    #[test]
    fn an_erased_person_stays_erased_and_a_finger_until_it_is_enrolled_again() {
        let (here, there) = (Uuid::new_v4(), Uuid::new_v4());
        let (gone, changed) = (SubjectId::random(), SubjectId::random());
        let mut list = Erasures::new(here, Timestamp::from_millis(0));
        list.add(erasure(gone, None, here, 7));
        list.add(erasure(changed, Some(FingerPosition::LeftThumb), here, 9));
        assert!(list.person(gone) && !list.person(changed));
        let erased = |backup| list.finger(changed, FingerPosition::LeftThumb, backup);
        assert!(erased((here, 8)), "a backup of before");
        assert!(!erased((here, 9)), "a backup of after");
        assert!(erased((there, 100)), "another box's");
        assert!(!list.finger(changed, FingerPosition::RightThumb, (here, 1)));
    }

    #[test]
    fn a_list_survives_its_export_and_one_that_lost_a_line_is_refused() {
        let store = Uuid::new_v4();
        let mut list = Erasures::new(store, Timestamp::from_millis(1_800_000_000_000));
        for audit in 1..4 {
            list.add(erasure(SubjectId::random(), None, store, audit));
        }
        let mut json = list.to_json();
        assert_eq!(Erasures::from_json(json.clone()).unwrap(), list);
        json["erasures"].as_array_mut().unwrap().pop();
        assert!(matches!(Erasures::from_json(json.clone()), Err(BackupError::Erasures { .. })));
        json["version"] = 2.into();
        assert_eq!(Erasures::from_json(json), Err(BackupError::Newer { version: 2 }));
    }

    #[test]
    fn what_lies_in_the_store_is_read_again_as_it_was() {
        let one = erasure(SubjectId::random(), Some(FingerPosition::LeftIndex), Uuid::new_v4(), 3);
        let Change::Put { key, value, .. } = one.change() else { panic!() };
        assert_eq!(Erasure::read(&key, &value).unwrap(), one);
        assert!(Erasure::read(&key[..15], &value).is_err());
    }
}
