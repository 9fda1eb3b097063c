//! A subject as it is stored: who it is, and a summary of each finger.

use serde::{Deserialize, Serialize};

use super::{Factors, damaged};
use crate::{
    clock::Timestamp,
    directory::Account,
    factor::Issued,
    store::{Change, StoreError, Table},
    subject::{FingerPosition, FingerSummary, Followed, Subject, SubjectId, SubjectName},
};

/// A subject as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectRecord {
    pub(super) name: SubjectName,
    pub(super) created: Timestamp,
    pub(crate) fingers: Vec<FingerRecord>,
    /// In the directory that he is followed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Account>,
}

/// A finger's summary as it is stored with its subject.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FingerRecord {
    pub(crate) position: FingerPosition,
    pub(crate) impressions: usize,
    pub(crate) quality: u8,
}

impl From<FingerRecord> for FingerSummary {
    fn from(record: FingerRecord) -> Self {
        let FingerRecord { position, impressions, quality } = record;
        Self { position, impressions, quality, duress: false }
    }
}

impl SubjectRecord {
    /// Somebody without fingers.
    pub(super) fn new(name: SubjectName, created: Timestamp) -> Self {
        Self { name, created, fingers: Vec::new(), account: None }
    }

    /// As it is shown.
    pub(super) fn subject(&self, id: SubjectId, factors: &Factors) -> Subject {
        let summary = |finger: &FingerRecord| {
            let duress = factors.duress.contains(&finger.position);
            FingerSummary { duress, ..(*finger).into() }
        };
        Subject {
            id,
            name: self.name.clone(),
            created: self.created,
            groups: factors.groups.clone(),
            fingers: self.fingers.iter().map(summary).collect(),
            pin: factors.pin.is_some(),
            recovery_code: factors.recovery.as_ref().map(Issued::expires),
            followed: factors
                .followed
                .clone()
                .map(|link| Followed { link, account: self.account.clone().unwrap_or_default() }),
        }
    }
}

pub(crate) fn put_subject(id: SubjectId, record: &SubjectRecord) -> Result<Change, StoreError> {
    let value = serde_json::to_vec(record).map_err(|why| StoreError::Io(why.to_string()))?;
    Ok(Change::Put { table: Table::Subjects, key: id.as_bytes().to_vec(), value })
}

pub(super) fn parse_subject(id: SubjectId, value: &[u8]) -> Result<SubjectRecord, StoreError> {
    serde_json::from_slice(value).map_err(|_| damaged(format!("subjects/{id}")))
}
