//! The audit as it is read: a page of records, all of them as a file, what the box signs of it, and whether it holds.
//!
//! Invariant: reading changes nothing, and is bounded: a page looks at so many records and says how far it got.

mod check;
mod cut;
mod forwarding;
mod keeper;

use std::{
    io::{self, Write},
    sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard},
};

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Inner, Services};
use crate::{
    audit::{ChainError, DeviceKey, Event, Head, Purpose, Signed, hash},
    clock::Timestamp,
    request::Caller,
    store::{StoreError, Table},
    subject::SubjectId,
};

pub use self::{
    check::{Check, CheckState, Finding, Verdict},
    forwarding::{Batch, Cursor},
    keeper::AuditSettings,
};

/// Records that are read at a time.
const PAGE: usize = 500;
/// Records that one page looks at, whether or not they are asked for.
const LOOKED_AT: u64 = 20_000;

/// What the services keep of the audit beside its chain.
#[derive(Default)]
pub(super) struct Auditing {
    /// What signs; a box that has none answers so.
    device: OnceLock<DeviceKey>,
    checks: check::Checks,
    keeper: keeper::Keeper,
    /// Held for reading by whoever walks the chain, and for writing while its beginning is cut off.
    uncut: RwLock<()>,
}

impl Auditing {
    /// What signs, if there is one.
    pub(super) fn device(&self) -> Option<&DeviceKey> {
        self.device.get()
    }

    /// While it is held, nothing is cut off.
    pub(super) fn uncut(&self) -> RwLockReadGuard<'_, ()> {
        self.uncut.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the audit does not give what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// It is being verified already.
    #[error("the audit is being verified: ask again when that has ended")]
    Running,
    /// There is no key to sign with.
    #[error("this box has no device key to sign its audit with: its log says why")]
    NoKey,
    /// What was to be given out was not taken.
    #[error("{0}")]
    Io(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain does not hold.
    #[error(transparent)]
    Chain(ChainError),
}

impl From<ChainError> for AuditError {
    fn from(why: ChainError) -> Self {
        match why {
            ChainError::Store(why) => Self::Store(why),
            broken @ ChainError::Broken { .. } => Self::Chain(broken),
        }
    }
}

impl From<io::Error> for AuditError {
    fn from(why: io::Error) -> Self {
        Self::Io(why.to_string())
    }
}

/// Which records.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// From the one after this number.
    pub after: u64,
    /// Of the newest, so many are looked at; `after` counts for nothing then.
    pub last: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// Only this kind of event.
    pub event: Option<String>,
    /// Only what is about this person.
    pub subject: Option<SubjectId>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditPage {
    /// Each as it is stored, with its own hash beside.
    pub records: Vec<Value>,
    /// The last record that was looked at: the next page is after it.
    pub through: u64,
    /// The last record that there is.
    pub head: u64,
}

/// What the first line of an export says.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Opening<'a> {
    audit_export: u32,
    store: Uuid,
    at: Timestamp,
    key: Option<&'a str>,
    start: Option<Signed>,
    /// Only records from before this moment were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// What its last line says.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Closing {
    audit_export_end: u64,
    head: Option<Signed>,
}

impl Services {
    /// A page of the audit.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn audit(&self, wanted: &Wanted) -> Result<AuditPage, AuditError> {
        let inner = &self.inner;
        let _uncut = inner.auditing.uncut();
        let head = Head::of(inner.store.as_ref())?.number();
        let begin = wanted.last.map_or(wanted.after, |last| head.saturating_sub(last));
        let mut page = AuditPage { records: Vec::new(), through: begin, head };
        let mut looked_at = 0;
        loop {
            let entries = inner.store.scan(Table::Audit, Some(&page.through.to_be_bytes()), PAGE)?;
            if entries.is_empty() {
                return Ok(page);
            }
            for (_, bytes) in entries {
                let (number, mut record) = read(&bytes, page.through + 1)?;
                if wanted.takes(&record) {
                    if let Some(fields) = record.as_object_mut() {
                        fields.insert("hash".to_owned(), hash(&bytes).into());
                    }
                    page.records.push(record);
                }
                (page.through, looked_at) = (number, looked_at + 1);
                // One that was written meanwhile is the last one then.
                page.head = page.head.max(number);
                if page.records.len() >= wanted.limit || looked_at >= LOOKED_AT {
                    return Ok(page);
                }
            }
        }
    }

    /// Writes records as lines of JSON, each as it is stored, so that the SHA-256 of a line is what the next line names; the
    /// first line says whose audit it is, the last one that it is whole. That it was given out is a record itself.
    ///
    /// # Errors
    /// [`AuditError`]; what was written then has no last line.
    pub fn export_audit(
        &self,
        by: &Caller,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        mut out: impl Write,
    ) -> Result<u64, AuditError> {
        let inner = &self.inner;
        Inner::commit(inner, by, &[], &Event::AuditExported { since, until })?;
        let _uncut = inner.auditing.uncut();
        let (store, device) = (inner.store.id(), inner.auditing.device());
        let opening = Opening {
            audit_export: 1,
            store,
            at: inner.clock.now(),
            key: device.map(DeviceKey::public),
            start: Signed::start_of(inner.store.as_ref(), store)?,
            until,
        };
        line(&mut out, &serde_json::to_vec(&opening).map_err(io::Error::from)?)?;
        let mut last = Head::none();
        let (mut count, mut begun) = (0, false);
        let ended = crate::audit::walk(inner.store.as_ref(), store, |head, bytes| {
            if bytes.is_empty() {
                return Ok(());
            }
            let at = read(bytes, head.number())?.1["at"].as_str().and_then(moment);
            begun |= since.is_none_or(|since| at >= Some(since));
            if !begun {
                return Ok(());
            }
            if until.is_some_and(|until| at >= Some(until)) {
                return Err(Ended::Enough);
            }
            line(&mut out, bytes).map_err(AuditError::from)?;
            (last, count) = (head.clone(), count + 1);
            Ok(())
        });
        if let Err(Ended::Failed(why)) = ended {
            return Err(why);
        }
        let sign = |device: &DeviceKey| device.sign(Purpose::Head, store, &last, inner.clock.now(), None);
        let head = device.filter(|_| count > 0).map(sign);
        let closing = Closing { audit_export_end: count, head };
        line(&mut out, &serde_json::to_vec(&closing).map_err(io::Error::from)?)?;
        out.flush()?;
        Ok(count)
    }

    /// The head of the audit now, signed: to be kept elsewhere.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn audit_anchor(&self) -> Result<Signed, AuditError> {
        let inner = &self.inner;
        let device = inner.auditing.device().ok_or(AuditError::NoKey)?;
        // What the store has is durable; what was only submitted may never be.
        let head = Head::of(inner.store.as_ref())?;
        Ok(device.sign(Purpose::Head, inner.store.id(), &head, inner.clock.now(), None))
    }

    /// The public key that the box signs its audit with, with its certificate, and the store that it is of.
    ///
    /// # Errors
    /// [`AuditError::NoKey`].
    pub fn audit_key(&self) -> Result<(Uuid, String, Option<String>), AuditError> {
        let device = self.inner.auditing.device().ok_or(AuditError::NoKey)?;
        let certificate = device.certificate().map(str::to_owned);
        Ok((self.inner.store.id(), device.public().to_owned(), certificate))
    }
}

/// How the records of an export end.
enum Ended {
    /// The rest is not asked for.
    Enough,
    Failed(AuditError),
}

impl<E: Into<AuditError>> From<E> for Ended {
    fn from(why: E) -> Self {
        Self::Failed(why.into())
    }
}

fn line(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.write_all(b"\n")
}

fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::try_from(text.to_owned()).ok()
}

/// A record's number, and the record, whatever version wrote it.
fn read(bytes: &[u8], number: u64) -> Result<(u64, Value), AuditError> {
    let broken = || ChainError::Broken { number, reason: "the record cannot be read" };
    let record: Value = serde_json::from_slice(bytes).map_err(|_| broken())?;
    let number = record["number"].as_u64().ok_or_else(broken)?;
    Ok((number, record))
}

impl Wanted {
    fn takes(&self, record: &Value) -> bool {
        let what = &record["what"];
        let at = record["at"].as_str().and_then(moment);
        self.event.as_deref().is_none_or(|kind| what["event"] == kind)
            && self.since.is_none_or(|since| at >= Some(since))
            && self.until.is_none_or(|until| at < Some(until))
            && self.subject.is_none_or(|subject| is_about(what, subject))
    }
}

/// Whether an event names a person, in whichever part of it.
pub(super) fn is_about(what: &Value, subject: SubjectId) -> bool {
    let id = subject.to_string();
    what.as_object().is_some_and(|fields| fields.values().any(|value| *value == id))
}

#[cfg(test)]
mod tests;
