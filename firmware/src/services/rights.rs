//! The rights of who is enrolled: all that is kept about a person, and the proof that it is kept no more.
//!
//! Invariant: what is given out is a record before its first byte; templates only when they are asked for.

use std::io::{self, Write};

use authenteon_matcher::{
    Template,
    interchange::{self, Format, View},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{Value, json};

use super::{AuditError, Inner, Services, SubjectError, damaged, factors::Factors};
use crate::{
    audit::{Event, Head, Purpose, Signed, hash, walk},
    factor::Issued,
    gallery::{decode_views, finger_key},
    policy::Scope,
    replay::History,
    request::Caller,
    store::{Entries, StoreError, Table},
    subject::{FingerPosition, SubjectId},
};

/// Values of a person that are read at a time.
const PAGE: usize = 500;

/// Why there is no export, or no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RightsError {
    /// There is no such person.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The person was not erased.
    #[error("nobody of this id was erased on this box, or the person is enrolled still")]
    NotErased,
    /// The record of the erasure is not kept any more.
    #[error(
        "the record of the erasure was deleted when its time was over; the erasure stays in the list of erasures"
    )]
    TooOld,
    /// The audit, or what is written to.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl From<StoreError> for RightsError {
    fn from(why: StoreError) -> Self {
        Self::Audit(why.into())
    }
}

/// That somebody was erased, for who was not there: the record as it is in the audit, and the box's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// The record of the erasure, as it is stored: its SHA-256 is what is signed.
    pub record: String,
    /// The box says that the record is in its audit, and that the key of what was stored of the person is destroyed.
    pub statement: Signed,
}

impl Services {
    /// Writes all that is kept about a person as one JSON value: the record, fingers with their templates (ISO/IEC 19794-2)
    /// if they are asked for, which other factors there are, how many probes, failed attempts, and every record of the audit.
    ///
    /// # Errors
    /// [`RightsError`]; what was written then has no end.
    pub fn export_subject(
        &self,
        by: &Caller,
        id: SubjectId,
        templates: bool,
        mut out: impl Write,
    ) -> Result<(), RightsError> {
        let inner = &self.inner;
        let subject = self.subject(id)?;
        Inner::commit(inner, by, &[], &Event::SubjectExported { subject: id, templates })?;
        let mut fingers = Vec::new();
        for finger in &subject.fingers {
            let mut value = json!({
                "position": finger.position, "impressions": finger.impressions, "quality": finger.quality,
            });
            if templates {
                value["template"] = inner.template(id, finger.position)?;
            }
            fingers.push(value);
        }
        let factors = inner.kept_factors(id)?;
        let set = [
            ("pin", factors.pin.is_some()),
            ("duress", !factors.duress.is_empty()),
            ("recovery-code", factors.recovery.is_some()),
        ];
        let kinds: Vec<&str> = set.into_iter().filter_map(|(kind, set)| set.then_some(kind)).collect();
        let about = json!({
            "subject_id": id, "name": subject.name, "created": subject.created, "fingers": fingers,
            "groups": factors.groups, "factors": kinds, "probes": inner.probes(id)?,
            "recovery-code-expires": factors.recovery.as_ref().map(Issued::expires), "failures": self.failures(id),
            "directory": subject.followed.map(|followed| json!({"link": followed.link, "account": followed.account})),
        });
        let failed = |why: io::Error| RightsError::from(AuditError::from(why));
        let opening = json!({"subject-export": 1, "store": inner.store.id(), "at": inner.clock.now()});
        let opening = opening.to_string();
        let opening = opening.trim_end_matches('}');
        write!(out, "{opening},\"subject\":{about},\"audit\":[").map_err(failed)?;
        let _uncut = inner.auditing.uncut();
        let mut first = true;
        // The box that the person came from with a backup had an audit too.
        for of in inner.archives()?.into_iter().chain([inner.store.id()]) {
            walk(inner.store.as_ref(), of, |_: &Head, bytes| {
                let record: Value = serde_json::from_slice(bytes).unwrap_or_default();
                if super::audit::is_about(&record["what"], id) {
                    let comma = if first { "" } else { "," };
                    first = false;
                    out.write_all(comma.as_bytes()).and_then(|()| out.write_all(bytes))?;
                }
                Ok::<(), AuditError>(())
            })?;
        }
        out.write_all(b"]}").and_then(|()| out.flush()).map_err(failed)
    }

    /// Failed attempts at the person that count against the next one, and what there is to wait for them.
    fn failures(&self, id: SubjectId) -> Value {
        let all = self.lockouts();
        let own = all.iter().find(|failed| failed.scope == Scope::Subject && failed.id == id.to_string());
        let wait = own.and_then(|own| own.wait).map_or(0, |wait| wait.left.as_secs());
        json!({"count": own.map_or(0, |own| own.failures), "wait-seconds": wait})
    }

    /// The proof that somebody was erased on this box: nothing of the person is stored, and the record says who did it.
    ///
    /// # Errors
    /// [`RightsError`].
    pub fn erasure_proof(&self, id: SubjectId) -> Result<Proof, RightsError> {
        let inner = &self.inner;
        inner.people_may_change()?;
        let device = inner.auditing.device().ok_or(AuditError::NoKey)?;
        for table in Table::ALL.into_iter().filter(|table| table.is_of_people()) {
            if !inner.of_person(table, id)?.is_empty() {
                return Err(RightsError::NotErased);
            }
        }
        let erasures = self.erasures().map_err(|why| match why {
            crate::backup::BackupError::Store(why) => RightsError::from(why),
            other => RightsError::from(damaged(other.to_string())),
        })?;
        let own = inner.store.id();
        let erased = erasures.of_person(id, own).ok_or(RightsError::NotErased)?;
        let _uncut = inner.auditing.uncut();
        let key = erased.audit.to_be_bytes();
        let bytes = inner.store.get(Table::Audit, &key)?.ok_or(RightsError::TooOld)?;
        let head = Head::at(erased.audit, hash(&bytes));
        let statement = device.sign(Purpose::Erasure, own, &head, inner.clock.now(), Some(id));
        let record = String::from_utf8(bytes).map_err(|_| damaged("audit".to_owned()))?;
        Ok(Proof { record, statement })
    }
}

impl Inner {
    /// What a table holds of a person; there is little of each.
    fn of_person(&self, table: Table, id: SubjectId) -> Result<Entries, StoreError> {
        let mut found = self.store.scan(table, Some(id.as_bytes()), PAGE)?;
        found.retain(|(key, _)| key.starts_with(id.as_bytes()));
        // A key that is the id alone stands before all that begin with it.
        if let Some(value) = self.store.get(table, id.as_bytes())? {
            found.insert(0, (id.as_bytes().to_vec(), value));
        }
        Ok(found)
    }

    /// What is kept beside name and fingers. Of the factors themselves nothing is given out: they are hashes.
    fn kept_factors(&self, id: SubjectId) -> Result<Factors, StoreError> {
        let value = self.store.get(Table::Factors, id.as_bytes())?;
        let read =
            |value: Vec<u8>| serde_json::from_slice(&value).map_err(|_| damaged(format!("factors/{id}")));
        value.map_or_else(|| Ok(Factors::default()), read)
    }

    /// How many probes are kept against replays.
    fn probes(&self, id: SubjectId) -> Result<Value, StoreError> {
        let (mut digests, mut templates) = (0, 0);
        for (_, value) in self.of_person(Table::Probes, id)? {
            let history = History::decode(&value).ok_or_else(|| damaged(format!("probes/{id}")))?;
            let (some, more) = history.counts();
            (digests, templates) = (digests + some, templates + more);
        }
        Ok(json!({"digests": digests, "templates": templates}))
    }

    /// A finger's template as a record of ISO/IEC 19794-2:2005.
    fn template(&self, id: SubjectId, position: FingerPosition) -> Result<Value, RightsError> {
        let unreadable = || damaged(format!("fingers/{id}"));
        let value = self.store.get(Table::Fingers, &finger_key(&(id, position)))?.ok_or_else(unreadable)?;
        let views = decode_views(&value).map_err(|_| unreadable())?;
        let view = |template: Template| View {
            position: position.code(),
            impression: 0,
            quality: None,
            template,
            extensions: Vec::new(),
        };
        let record = interchange::Record { views: views.into_iter().map(view).collect() };
        let bytes = interchange::encode(&record, Format::Iso2005).map_err(|_| unreadable())?;
        Ok(json!({"format": "iso-19794-2:2005", "data": BASE64_STANDARD.encode(bytes)}))
    }
}

#[cfg(test)]
mod tests;
