//! Identification: whose finger is this, among everybody's?

use authenteon_matcher::Score;
use sha2::{Digest, Sha256};

use crate::{
    audit::Event,
    policy::{Decision, Evidence, decide},
    request::{Caller, Nonce, RequestId},
    sample::Sample,
    services::{DecideError, Services},
    subject::{FingerPosition, SubjectId},
    verify::name,
};

/// An identification asked for.
pub struct IdentifyRequest {
    /// The caller's name for this request.
    pub request_id: RequestId,
    /// Fresh, and in the answer.
    pub nonce: Nonce,
    /// The probe.
    pub sample: Sample,
}

impl Services {
    /// Identifies.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn identify(&self, by: &Caller, request: IdentifyRequest) -> Result<Decision, DecideError> {
        let IdentifyRequest { request_id, nonce, sample } = request;
        let asked = Sha256::new().chain_update(b"identify").chain_update(nonce.as_ref());
        self.answered(by, request_id.clone(), asked, sample, |examined| {
            let gallery = self.inner.gallery();
            let impressions = gallery.impressions();
            let evidence = match examined {
                Ok(probe) => {
                    // Enough for all fingers of the best, and one of the runner-up.
                    let found = gallery.search(&probe, FingerPosition::ALL.len() + 1);
                    let mut candidates: Vec<(SubjectId, Score)> = Vec::new();
                    for candidate in found {
                        if candidates.iter().all(|(subject, _)| *subject != candidate.key.0) {
                            candidates.push((candidate.key.0, candidate.score));
                        }
                    }
                    Evidence::Identification { impressions, candidates }
                }
                Err(evidence) => evidence,
            };
            let verdict = decide(&self.inner.policy, &evidence);
            let subject = match &verdict.decision {
                Decision::Accept { subject } => Some(*subject),
                Decision::Refuse { .. } | Decision::Retry { .. } => None,
            };
            let event = Event::Identified {
                request: request_id.into(),
                subject,
                decision: name(&verdict.decision).to_owned(),
                why: verdict.why.to_owned(),
                score: verdict.score.map(Score::get),
                needed: verdict.needed.map(Score::get),
                impressions,
                basis: None,
            };
            (verdict, event)
        })
    }
}
