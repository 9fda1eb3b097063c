//! What a backup holds: which tables, how many of what, and whether all of it can be read.
//!
//! Invariant: a person's record and fingers fit each other after a look: who was changed while the backup was taken may
//! be there in part, and what has no other half is left out.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Read,
};

use serde::{Deserialize, Serialize};

use super::{BackupError, Erasures, Header, Reader, file::Item};
use crate::{
    gallery::{FingerKey, read_finger},
    services::{Factors, SubjectRecord},
    store::{Table, Value},
    subject::{FingerPosition, SubjectId},
};

/// The tables that a backup holds. Not what is true of the box alone: facts about its store, and how far its own audit
/// was forwarded.
pub(crate) const KEPT: [Table; 15] = [
    Table::Subjects,
    Table::Fingers,
    Table::Factors,
    Table::Probes,
    Table::Audit,
    Table::Policy,
    Table::Clients,
    Table::Tokens,
    Table::Certificates,
    Table::Revocations,
    Table::Counters,
    Table::Cookies,
    Table::Tombstones,
    Table::Archive,
    Table::Heads,
];

/// What a backup says of itself at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Values by table.
    pub values: BTreeMap<String, u64>,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl Manifest {
    /// Counts a value.
    pub(crate) fn count(&mut self, table: Table, key: &[u8], value: &[u8]) {
        *self.values.entry(table.name().to_owned()).or_default() += 1;
        self.bytes += (key.len() + value.len()) as u64;
    }
}

/// What a look at a whole backup found.
pub(crate) struct Contents {
    pub(crate) header: Header,
    pub(crate) manifest: Manifest,
    /// The number of the last audit record in it: what was erased up to then is not in it.
    pub(crate) audit: u64,
    /// Who was erased before it was taken.
    pub(crate) erasures: Erasures,
    /// Clients that its box knew.
    pub(crate) clients: Vec<String>,
    /// People, with the fingers that their records list.
    people: HashMap<SubjectId, Vec<FingerPosition>>,
    /// Fingers whose templates are there.
    fingers: HashSet<FingerKey>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Reads a backup to its end; `tell` is told how many bytes were read.
///
/// # Errors
/// [`BackupError`] when anything in it is not what this version stores.
pub(crate) fn look<R: Read>(
    mut reader: Reader<R>,
    tell: &(dyn Fn(u64) + Sync),
) -> Result<Contents, BackupError> {
    let mut counted = Manifest::default();
    let mut contents = Contents {
        header: reader.header.clone(),
        manifest: Manifest::default(),
        audit: 0,
        erasures: Erasures::new(reader.header.taken, Vec::new()),
        clients: Vec::new(),
        people: HashMap::new(),
        fingers: HashSet::new(),
    };
    loop {
        match reader.item()? {
            Item::Value(value) => {
                counted.count(value.table, &value.key, &value.value);
                contents.take(value)?;
                tell(reader.position());
            }
            Item::End(manifest) if manifest == counted => {
                contents.manifest = manifest;
                contents.clients.sort();
                return Ok(contents);
            }
            Item::End(_) => return Err(BackupError::Damaged { at: reader.position() }),
        }
    }
}

fn unreadable(value: &Value) -> BackupError {
    BackupError::Contents { place: value.table.name().to_owned() }
}

impl Contents {
    fn take(&mut self, value: Value) -> Result<(), BackupError> {
        let bad = || unreadable(&value);
        match value.table {
            Table::Subjects => {
                let (id, record) = subject(&value)?;
                self.people.insert(id, record.fingers.iter().map(|finger| finger.position).collect());
            }
            Table::Fingers => {
                self.fingers.insert(read_finger(&value.key, &value.value)?.0);
            }
            Table::Audit => {
                let number = value.key.as_slice().try_into().map_err(|_| bad())?;
                self.audit = self.audit.max(u64::from_be_bytes(number));
            }
            Table::Tombstones => self.erasures.read(&value.key, &value.value)?,
            Table::Clients => {
                let named: Named = serde_json::from_slice(&value.value).map_err(|_| bad())?;
                self.clients.push(named.name);
            }
            table if KEPT.contains(&table) => {}
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// People and fingers that are restored when these were erased.
    pub(crate) fn counts(&self, erased: &Erasures) -> (u64, u64) {
        let people = self.people.keys().filter(|id| !erased.person(**id)).count();
        let fingers = self.fingers.iter().filter(|finger| self.stays(finger, erased)).count();
        (people as u64, fingers as u64)
    }

    /// Whether a finger is restored: it is there, its person lists it, and it was not erased since.
    fn stays(&self, finger @ (subject, position): &FingerKey, erased: &Erasures) -> bool {
        self.fingers.contains(finger)
            && self.people.get(subject).is_some_and(|listed| listed.contains(position))
            && !erased.person(*subject)
            && !erased.finger(*subject, *position, &self.erasures)
    }

    /// The person's value as it is restored; `None` when nothing of it is.
    pub(crate) fn restored(&self, value: Value, erased: &Erasures) -> Result<Option<Value>, BackupError> {
        match value.table {
            Table::Subjects => {
                let (id, mut record) = subject(&value)?;
                if erased.person(id) {
                    return Ok(None);
                }
                let all = record.fingers.len();
                record.fingers.retain(|finger| self.stays(&(id, finger.position), erased));
                if record.fingers.len() == all {
                    return Ok(Some(value));
                }
                let changed = serde_json::to_vec(&record).map_err(|_| unreadable(&value))?;
                Ok(Some(Value { value: changed, ..value }))
            }
            Table::Fingers => {
                let (key, _) = value.key.split_at_checked(16).ok_or_else(|| unreadable(&value))?;
                let id = SubjectId::from_bytes(key.try_into().map_err(|_| unreadable(&value))?);
                let code = value.key.get(16).copied().and_then(FingerPosition::from_code);
                let position = code.ok_or_else(|| unreadable(&value))?;
                Ok(self.stays(&(id, position), erased).then_some(value))
            }
            Table::Factors | Table::Probes => {
                let key = value.key.as_slice().try_into().map_err(|_| unreadable(&value))?;
                let id = SubjectId::from_bytes(key);
                let Some(listed) = self.people.get(&id).filter(|_| !erased.person(id)) else {
                    return Ok(None);
                };
                let stays = |position: FingerPosition| self.stays(&(id, position), erased);
                if value.table == Table::Probes {
                    return Ok(listed.iter().any(|position| stays(*position)).then_some(value));
                }
                let bad = |_| unreadable(&value);
                let mut factors: Factors = serde_json::from_slice(&value.value).map_err(bad)?;
                factors.duress.retain(|position| stays(*position));
                // It may have been used since, and an officer gives another one.
                factors.recovery = None;
                let changed = serde_json::to_vec(&factors).map_err(bad)?;
                Ok(Some(Value { value: changed, ..value }))
            }
            _ => Ok(Some(value)),
        }
    }
}

fn subject(value: &Value) -> Result<(SubjectId, SubjectRecord), BackupError> {
    let bad = || unreadable(value);
    let id = SubjectId::from_bytes(value.key.as_slice().try_into().map_err(|_| bad())?);
    let record = serde_json::from_slice(&value.value).map_err(|_| bad())?;
    Ok((id, record))
}
