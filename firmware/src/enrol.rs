//! Enrolment: several impressions of one finger become its views.
//!
//! Invariant: the views kept resemble each other, and nobody else's finger.

use authenteon_matcher::{Prepared, QualityReason, Score, Template, compare, search::Finger};

use crate::{
    audit::Event,
    gallery,
    policy::Policy,
    request::Caller,
    sample::{Sample, SampleError},
    services::{
        Factors, FingerKey, FingerRecord, Services, encode_views, finger_key, put_factors, put_subject,
    },
    store::{Change, StoreError, Table},
    subject::{FingerPosition, FingerSummary, SubjectId},
};

/// What is to be enrolled.
pub struct Enrolment {
    /// Whose finger.
    pub subject: SubjectId,
    /// Which finger.
    pub position: FingerPosition,
    /// Its impressions.
    pub samples: Vec<Sample>,
}

/// Why a finger was not enrolled, or not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// There is no such subject.
    #[error("there is no such subject")]
    UnknownSubject,
    /// The subject has no such finger enrolled.
    #[error("this finger is not enrolled")]
    UnknownFinger,
    /// The subject has this finger enrolled already.
    #[error("this finger is enrolled already: remove it first to enrol it anew")]
    AlreadyEnrolled,
    /// Too few or too many impressions.
    #[error("{got} samples where {least} to {most} are needed")]
    SampleCount {
        /// How many came.
        got: usize,
        /// How few may.
        least: usize,
        /// How many may.
        most: usize,
    },
    /// A sample cannot be used.
    #[error("sample {index}: {why}")]
    Sample {
        /// Which, from zero.
        index: usize,
        /// Why.
        why: SampleError,
    },
    /// A sample's quality is too low.
    #[error("sample {index}: quality {quality} is below {least}; {hint}", hint = quality_hint(.reasons))]
    Quality {
        /// Which, from zero.
        index: usize,
        /// What it is.
        quality: u8,
        /// What it needs to be.
        least: u8,
        /// What is wrong with it.
        reasons: Vec<QualityReason>,
    },
    /// A sample shows another finger, or another part of it.
    #[error("sample {index} does not resemble the others: present the same finger each time")]
    Inconsistent {
        /// Which, from zero.
        index: usize,
    },
    /// The finger is enrolled for somebody else.
    #[error("this finger is enrolled for another subject already")]
    DuplicateFinger,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the person at the reader can do.
fn quality_hint(reasons: &[QualityReason]) -> String {
    if reasons.is_empty() {
        return "place a clean finger flat, in the centre, and hold it still".to_owned();
    }
    reasons.iter().map(|reason| reason.hint()).collect::<Vec<_>>().join("; ")
}

/// A view and how good it is.
struct View {
    template: Template,
    prepared: Prepared,
    quality: u8,
}

impl Services {
    /// Enrols a finger.
    ///
    /// # Errors
    /// [`EnrolError`]; then nothing is kept.
    pub fn enrol(&self, by: &Caller, enrolment: Enrolment) -> Result<FingerSummary, EnrolError> {
        let Enrolment { subject, position, samples } = enrolment;
        let policy = &self.inner.policy;
        let (least, most) = (policy.impressions, policy.most_impressions);
        if !(least..=most).contains(&samples.len()) {
            return Err(EnrolError::SampleCount { got: samples.len(), least, most });
        }
        self.inner.room_for_people()?;
        self.inner.searchable()?;
        // Before the work, and again under the lock.
        self.check_free(subject, position)?;
        let views = self.views(samples)?;
        check_consistent(policy, &views)?;
        if let Some((other, score)) = self.owner(subject, &views) {
            let event = Event::DuplicateFinger { subject, other, score: score.get() };
            self.inner.commit(by, &[], &event)?;
            return Err(EnrolError::DuplicateFinger);
        }

        let _people = self.inner.people();
        self.inner.people_may_change()?;
        let mut record = self.check_free(subject, position)?;
        let quality = views.iter().map(|v| v.quality).min().unwrap_or(0);
        let summary = FingerRecord { position, impressions: views.len(), quality };
        record.fingers.push(summary);
        record.fingers.sort_by_key(|f| f.position);
        let templates: Vec<Template> = views.into_iter().map(|v| v.template).collect();
        let key = (subject, position);
        let value = encode_views(&templates);
        let changes = vec![
            put_subject(subject, &record)?,
            Change::Put { table: Table::Fingers, key: finger_key(&key), value },
        ];
        let event = Event::FingerEnrolled { subject, position, impressions: templates.len(), quality };
        self.inner.commit(by, &changes, &event)?;
        let finger = Finger::new(&templates);
        self.inner.gallery.change(|gallery| gallery.insert(key, finger));
        Ok(summary.into())
    }

    /// Removes an enrolled finger.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub fn remove_finger(
        &self,
        by: &Caller,
        subject: SubjectId,
        position: FingerPosition,
    ) -> Result<(), EnrolError> {
        self.inner.people_may_change()?;
        let _people = self.inner.people();
        self.inner.people_may_change()?;
        let mut record = self.inner.subject(subject)?.ok_or(EnrolError::UnknownSubject)?;
        let before = record.fingers.len();
        record.fingers.retain(|f| f.position != position);
        if record.fingers.len() == before {
            return Err(EnrolError::UnknownFinger);
        }
        let key: FingerKey = (subject, position);
        let mut changes = vec![
            put_subject(subject, &record)?,
            Change::Delete { table: Table::Fingers, key: finger_key(&key) },
        ];
        if record.fingers.is_empty() {
            let (table, key) = (Table::Probes, subject.as_bytes().to_vec());
            changes.push(Change::Delete { table, key });
        }
        // No accept that is under way keeps a probe of it after this.
        let _turn = self.inner.accepting.begin(&subject);
        // Another finger that is enrolled there one day raises no alarm.
        let mut factors = Factors::clone(&self.inner.factors_of(subject));
        let marked = factors.duress.remove(&position);
        if marked {
            changes.push(put_factors(subject, &factors)?);
        }
        self.inner.commit(by, &changes, &Event::FingerRemoved { subject, position })?;
        if marked {
            self.inner.keep_factors(subject, factors);
        }
        self.inner.gallery.change(|gallery| {
            gallery.remove(&key);
        });
        if record.fingers.is_empty() {
            self.inner.forget_proofs(subject);
        }
        Ok(())
    }

    fn check_free(
        &self,
        subject: SubjectId,
        position: FingerPosition,
    ) -> Result<crate::services::SubjectRecord, EnrolError> {
        let record = self.inner.subject(subject)?.ok_or(EnrolError::UnknownSubject)?;
        if record.fingers.iter().any(|f| f.position == position) {
            return Err(EnrolError::AlreadyEnrolled);
        }
        Ok(record)
    }

    fn views(&self, samples: Vec<Sample>) -> Result<Vec<View>, EnrolError> {
        let mut views = Vec::with_capacity(samples.len());
        let mut digests = Vec::with_capacity(samples.len());
        for (index, sample) in samples.into_iter().enumerate() {
            let examined = sample.examine().map_err(|why| EnrolError::Sample { index, why })?;
            let (quality, least) = (examined.extraction.quality, self.inner.policy.enrol_quality);
            if quality < least {
                let reasons = examined.extraction.reasons;
                return Err(EnrolError::Quality { index, quality, least, reasons });
            }
            // The same picture twice is no second impression.
            if digests.contains(&examined.digest) {
                return Err(EnrolError::Inconsistent { index });
            }
            digests.push(examined.digest);
            let template = examined.extraction.template;
            views.push(View { prepared: Prepared::new(&template), template, quality });
        }
        // Whoever has seen an enrolment must not be able to present it.
        for digest in &digests {
            self.inner.remember_sample(digest);
        }
        Ok(views)
    }

    /// Another subject whose finger one of the views is.
    fn owner(&self, subject: SubjectId, views: &[View]) -> Option<(SubjectId, Score)> {
        let gallery = self.inner.gallery();
        let policy = &self.inner.policy;
        let fmr = policy.identification_fmr(gallery.impressions());
        let needed = fmr.unwrap_or(authenteon_matcher::CALIBRATED_FMR_FLOOR).score();
        views
            .iter()
            .flat_map(|view| gallery::search(&gallery, &view.prepared, 2 * FingerPosition::ALL.len()))
            .filter(|candidate| candidate.key.0 != subject && candidate.score >= needed)
            .map(|candidate| (candidate.key.0, candidate.score))
            .max_by(|a, b| a.1.get().total_cmp(&b.1.get()))
    }
}

/// Every view must resemble another.
fn check_consistent(policy: &Policy, views: &[View]) -> Result<(), EnrolError> {
    let needed = policy.enrol.score();
    for (index, view) in views.iter().enumerate() {
        let others = views.iter().enumerate().filter(|(other, _)| *other != index);
        if !others.into_iter().any(|(_, other)| compare(&view.prepared, &other.prepared) >= needed) {
            return Err(EnrolError::Inconsistent { index });
        }
    }
    Ok(())
}
