//! Identification: whose finger is this, or whose two fingers are these, among everybody's?

mod two;

use std::iter;

use authenteon_hal::discovery::ReaderId;
use authenteon_matcher::{Score, search::Gallery};
use sha2::{Digest, Sha256};

use crate::{
    audit::Event,
    factor::Pin,
    gallery,
    policy::{Decision, Evidence, Operation, Pair, Presented, Verdict, decide, judge},
    replay::Probe,
    request::{Caller, Nonce, RequestId},
    sample::Sample,
    services::{
        Allowed, DecideError, Decided, FingerKey, Ground, Services, handover::Handing, lockout::Attempt,
    },
    subject::{FingerPosition, SubjectId},
    verify::{Asked, Judged, asserted, name, pin_digest, wrong_pin},
};

/// An identification asked for.
pub struct IdentifyRequest {
    /// The caller's name for this request.
    pub request_id: RequestId,
    /// Fresh, and in the answer.
    pub nonce: Nonce,
    /// The probe.
    pub sample: Sample,
    /// One of another finger: then both have to be of the same person.
    pub second: Option<Sample>,
    /// What the person knows.
    pub pin: Option<Pin>,
    /// The box's own reader that took the first, if one did.
    pub sensor: Option<ReaderId>,
}

/// What a search found.
struct Found {
    evidence: Evidence,
    /// Who is most alike, with which fingers.
    best: Option<(SubjectId, Vec<FingerPosition>)>,
}

impl Services {
    /// Identifies.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn identify(&self, by: &Caller, request: IdentifyRequest) -> Result<Decision, DecideError> {
        self.identify_for(by, request, &Allowed::default()).map(|decided| decided.decision)
    }

    /// Identifies, and hands over with an accept what is wanted.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn identify_for(
        &self,
        by: &Caller,
        request: IdentifyRequest,
        allowed: &Allowed,
    ) -> Result<Decided, DecideError> {
        let wanted = allowed.wish();
        self.inner.searchable()?;
        let IdentifyRequest { request_id, nonce, sample, second, pin, sensor } = request;
        let samples: Vec<Sample> = iter::once(sample).chain(second).collect();
        let fingers = samples.len();
        let body = Sha256::new()
            .chain_update(b"identify")
            .chain_update(nonce.as_ref())
            .chain_update(pin_digest(pin.as_ref()));
        let body = wanted.digested(body);
        let asked = Asked {
            attempt: Attempt { by, claimed: None, found: None, sensor: sensor.as_ref() },
            told: self.policy_for(by, Operation::Identify),
            presented: Presented {
                fingers,
                pin: pin.is_some(),
                wrong_pin: false,
                among: Some(self.inner.gallery().impressions()),
            },
            handing: Handing { wanted, nonce: &nonce },
        };
        let audience = wanted.assertion.clone();
        let answer =
            self.answered(asked, request_id.clone(), body, samples, |examined, mut circumstances| {
                let gallery = self.inner.gallery();
                let impressions = gallery.impressions();
                let looked = examined.is_ok();
                let Found { evidence, best } = match examined {
                    Ok(probes) => found(&gallery, probes),
                    Err(evidence) => Found { evidence, best: None },
                };
                let mut duress = false;
                if looked {
                    let factors = best.as_ref().map(|(subject, _)| self.inner.factors_of(*subject));
                    let factors = factors.unwrap_or_default();
                    circumstances.presented.wrong_pin = wrong_pin(pin.as_ref(), factors.pin.as_ref());
                    let mut fingers = best.iter().flat_map(|(_, fingers)| fingers);
                    duress = fingers.any(|finger| factors.duress.contains(finger));
                }
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
                    fingers: (fingers > 1).then_some(fingers),
                    basis: None,
                    duress: duress && matches!(verdict.decision, Decision::Accept { .. }),
                    assertion: asserted(audience, &verdict.decision),
                };
                let ground = best.map_or(Ground::Enrolled, |(_, fingers)| Ground::Fingers(fingers));
                Judged { verdict: judge(&circumstances, &evidence), found, ground, event, also: Vec::new() }
            })?;
        if let Some(subject) = answer.found {
            let told = self.policy_for(by, Operation::Verify);
            let grace = self.policy_with(&told, &self.inner.factors_of(subject).groups).grace_seconds;
            self.note_grace(by, subject, grace, &answer);
        }
        Ok(answer.into())
    }
}

/// Searches for one probe, or for two at once.
fn found(gallery: &Gallery<FingerKey>, probes: &[Probe]) -> Found {
    if let [one, other] = probes {
        let evidence = two::evidence(gallery, [&one.prepared, &other.prepared]);
        let best = match &evidence {
            Evidence::TwoFingers { pairs, .. } => Pair::best(pairs),
            _ => None,
        };
        let best = best.map(|pair| (pair.subject, pair.fingers.to_vec()));
        return Found { evidence, best };
    }
    // Enough for all fingers of the best, and one of the runner-up. One was presented.
    let search = |probe: &Probe| gallery::search(gallery, &probe.prepared, FingerPosition::ALL.len() + 1);
    let found = probes.first().map(search).unwrap_or_default();
    let best = found.first().map(|candidate| (candidate.key.0, vec![candidate.key.1]));
    let mut candidates: Vec<(SubjectId, Score)> = Vec::new();
    for candidate in found {
        if candidates.iter().all(|(subject, _)| *subject != candidate.key.0) {
            candidates.push((candidate.key.0, candidate.score));
        }
    }
    Found { evidence: Evidence::Identification { impressions: gallery.impressions(), candidates }, best }
}

#[cfg(test)]
mod tests;
