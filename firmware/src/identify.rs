//! Identification: whose finger is this, among everybody's?

use authenteon_hal::discovery::ReaderId;
use authenteon_matcher::Score;
use sha2::{Digest, Sha256};

use crate::{
    audit::Event,
    factor::Pin,
    policy::{Decision, Evidence, Operation, Presented, Verdict, decide, judge},
    replay::Probe,
    request::{Caller, Nonce, RequestId},
    sample::Sample,
    services::{DecideError, Ground, Services, lockout::Attempt},
    subject::{FingerPosition, SubjectId},
    verify::{Asked, Judged, name, pin_digest, wrong_pin},
};

/// An identification asked for.
pub struct IdentifyRequest {
    /// The caller's name for this request.
    pub request_id: RequestId,
    /// Fresh, and in the answer.
    pub nonce: Nonce,
    /// The probe.
    pub sample: Sample,
    /// What the person knows.
    pub pin: Option<Pin>,
    /// The box's own reader that took it, if one did.
    pub sensor: Option<ReaderId>,
}

impl Services {
    /// Identifies.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn identify(&self, by: &Caller, request: IdentifyRequest) -> Result<Decision, DecideError> {
        let IdentifyRequest { request_id, nonce, sample, pin, sensor } = request;
        let body = Sha256::new()
            .chain_update(b"identify")
            .chain_update(nonce.as_ref())
            .chain_update(pin_digest(pin.as_ref()));
        let asked = Asked {
            attempt: Attempt { by, claimed: None, found: None, sensor: sensor.as_ref() },
            told: self.policy_for(by, Operation::Identify),
            presented: Presented {
                fingers: 1,
                pin: pin.is_some(),
                wrong_pin: false,
                among: Some(self.inner.gallery().impressions()),
            },
        };
        let answer =
            self.answered(asked, request_id.clone(), body, vec![sample], |examined, mut circumstances| {
                let gallery = self.inner.gallery();
                let impressions = gallery.impressions();
                let (mut best, mut duress) = (None, false);
                let evidence = match examined {
                    Ok(probes) => {
                        // Enough for all fingers of the best, and one of the runner-up. One was presented.
                        let search =
                            |probe: &Probe| gallery.search(&probe.prepared, FingerPosition::ALL.len() + 1);
                        let found = probes.first().map(search).unwrap_or_default();
                        let mut candidates: Vec<(SubjectId, Score)> = Vec::new();
                        for candidate in found {
                            if candidates.is_empty() {
                                best = Some(candidate.key);
                            }
                            if candidates.iter().all(|(subject, _)| *subject != candidate.key.0) {
                                candidates.push((candidate.key.0, candidate.score));
                            }
                        }
                        let factors =
                            best.map(|(subject, _)| self.inner.factors_of(subject)).unwrap_or_default();
                        circumstances.presented.wrong_pin = wrong_pin(pin.as_ref(), factors.pin.as_ref());
                        duress = best.is_some_and(|(_, position)| factors.duress.contains(&position));
                        Evidence::Identification { impressions, candidates }
                    }
                    Err(evidence) => evidence,
                };
                // Whose finger it is counts and is recorded also when more was needed, and wrong or missing.
                let found = match decide(circumstances.told, &evidence).decision {
                    Decision::Accept { subject } => Some(subject),
                    Decision::Refuse { .. } | Decision::Retry { .. } => None,
                };
                let event = move |verdict: &Verdict| Event::Identified {
                    request: request_id.into(),
                    subject: found,
                    decision: name(&verdict.decision).to_owned(),
                    why: verdict.why.to_owned(),
                    score: verdict.score.map(Score::get),
                    needed: verdict.needed.map(Score::get),
                    impressions,
                    basis: None,
                    duress: duress && matches!(verdict.decision, Decision::Accept { .. }),
                };
                let ground = best.map_or(Ground::Enrolled, |(_, position)| Ground::Fingers(vec![position]));
                Judged { verdict: judge(&circumstances, &evidence), found, ground, event, also: Vec::new() }
            })?;
        if let Some(subject) = answer.found {
            let told = self.policy_for(by, Operation::Verify);
            let grace = self.policy_with(&told, &self.inner.factors_of(subject).groups).grace_seconds;
            self.note_grace(by, subject, grace, &answer);
        }
        Ok(answer.decision)
    }
}
