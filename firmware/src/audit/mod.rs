//! The audit: what was decided and changed, by whom and why, each record chained to the one before by
//! its hash. Written in the same batch as the change it tells of; append-only.
//!
//! Invariant: no biometrics and no secrets; subjects by random id only.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    policy::Rules,
    request::{Caller, ClientId, Role, hex},
    store::{AtRest, Change, Store, StoreError, Table},
    subject::{FingerPosition, SubjectId},
};

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Event {
    SubjectCreated {
        subject: SubjectId,
    },
    SubjectDeleted {
        subject: SubjectId,
    },
    FingerEnrolled {
        subject: SubjectId,
        position: FingerPosition,
        impressions: usize,
        quality: u8,
    },
    FingerRemoved {
        subject: SubjectId,
        position: FingerPosition,
    },
    /// An enrolment refused because the finger is somebody else's already.
    DuplicateFinger {
        subject: SubjectId,
        other: SubjectId,
        score: f64,
    },
    Verified {
        request: String,
        claimed: SubjectId,
        decision: String,
        why: String,
        score: Option<f64>,
        needed: Option<f64>,
    },
    Identified {
        request: String,
        subject: Option<SubjectId>,
        decision: String,
        why: String,
        score: Option<f64>,
        needed: Option<f64>,
        impressions: usize,
    },
    /// The passphrase was given, after so many wrong ones since the start.
    Unlocked {
        wrong: u32,
    },
    /// What is stored has another master key.
    MasterKeyChanged {
        mode: AtRest,
    },
    /// A repair of the store gave up that this one was erased, or a finger of it: its key is gone, and it is erased.
    SubjectLost {
        subject: SubjectId,
    },
    /// Decisions follow these rules from now on.
    PolicyInForce {
        rules: Rules,
    },
    /// Somebody got a certificate.
    ClientAdded {
        client: ClientId,
        role: Role,
        name: String,
    },
    /// A certificate is revoked.
    ClientRemoved {
        client: ClientId,
        role: Role,
        name: String,
    },
    /// A backup was begun, which is to be destroyed at that moment.
    BackupTaken {
        expires: Timestamp,
    },
    /// A backup of a store is being restored into this one.
    RestoreBegun {
        store: Uuid,
        taken: Timestamp,
        /// Nobody said who was erased since.
        without_erasures: bool,
        /// It should have been destroyed by then.
        expired: bool,
    },
    /// It is; this store's audit goes on, the other's is kept apart.
    BackupRestored {
        store: Uuid,
        taken: Timestamp,
        people: u64,
        fingers: u64,
        erasures: u64,
    },
    /// It is not: what was there of it was cleared away.
    RestoreUndone {
        store: Uuid,
    },
    /// Every stored value was read; so many had another copy in the index, which was made anew then.
    StoreVerified {
        values: u64,
        differences: u64,
    },
    /// A task of upkeep found damage there.
    StoreDamaged {
        place: String,
    },
    /// The journal was made as short as it can be.
    StoreCompacted,
    /// What is stored has other keys.
    KeysRotated,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The certificate.
    pub client: ClientId,
    /// Its role then.
    pub role: Role,
    /// Its name then.
    pub name: String,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self { client: caller.id.clone(), role: caller.role, name: caller.name.clone() }
    }
}

/// One record of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Numbered from one, without gaps.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// SHA-256 of the record before, in hex; zeros before the first.
    pub previous: String,
    /// Who.
    pub by: Actor,
    /// What.
    pub what: Event,
}

/// Why the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is missing, or another stands in its place.
    #[error("the audit chain is broken at record {number}: {reason}")]
    Broken {
        /// The record that should be there.
        number: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The end of the chain: what the next record hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    number: u64,
    hash: String,
}

impl Head {
    /// The chain's end in a store, empty or not.
    ///
    /// # Errors
    /// [`ChainError`] when the last record cannot be read.
    pub fn of(store: &dyn Store) -> Result<Self, ChainError> {
        match store.last(Table::Audit)? {
            None => Ok(Self { number: 0, hash: hex(&[0; 32]) }),
            Some((_, bytes)) => {
                let record = parse(&bytes, 0)?;
                Ok(Self { number: record.number, hash: hash(&bytes) })
            }
        }
    }

    /// The same for who can only say that the store failed.
    pub(crate) fn of_store(store: &dyn Store) -> Result<Self, StoreError> {
        Self::of(store).map_err(|why| match why {
            ChainError::Store(why) => why,
            broken @ ChainError::Broken { .. } => StoreError::Damaged { place: broken.to_string() },
        })
    }

    /// The change that appends a record, and the head after it. The caller commits the change and then
    /// keeps the new head.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the record cannot be written as JSON.
    pub fn append(&self, at: Timestamp, by: &Caller, what: Event) -> Result<(Change, Self), StoreError> {
        let number = self.number + 1;
        let record = Record { number, at, previous: self.hash.clone(), by: by.into(), what };
        let value = serde_json::to_vec(&record).map_err(|why| StoreError::Io(why.to_string()))?;
        let head = Self { number, hash: hash(&value) };
        Ok((Change::Put { table: Table::Audit, key: number.to_be_bytes().to_vec(), value }, head))
    }

    /// Number of the last record; 0 when there is none.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// Walks the whole chain, and gives the records to `each`.
///
/// # Errors
/// [`ChainError::Broken`] at the first record that is missing, altered or out of place.
pub fn verify(store: &dyn Store, mut each: impl FnMut(&Record)) -> Result<Head, ChainError> {
    const PAGE: usize = 1000;
    let mut head = Head { number: 0, hash: hex(&[0; 32]) };
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(Table::Audit, after.as_deref(), PAGE)?;
        for (key, bytes) in &page {
            let number = head.number + 1;
            let broken = |reason| ChainError::Broken { number, reason };
            if *key != number.to_be_bytes() {
                return Err(broken("the record is missing"));
            }
            let record = parse(bytes, number)?;
            if record.number != number {
                return Err(broken("another record stands in its place"));
            }
            if record.previous != head.hash {
                return Err(broken("the record before it was altered"));
            }
            each(&record);
            head = Head { number, hash: hash(bytes) };
        }
        match page.last() {
            Some((key, _)) => after = Some(key.clone()),
            None => return Ok(head),
        }
    }
}

fn parse(bytes: &[u8], number: u64) -> Result<Record, ChainError> {
    serde_json::from_slice(bytes)
        .map_err(|_| ChainError::Broken { number, reason: "the record cannot be read" })
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn caller() -> Caller {
        Caller { id: ClientId::of_certificate(&[7; 32]), role: Role::Officer, name: "desk".into() }
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
}
