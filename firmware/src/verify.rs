//! Verification: is this the finger of that subject?
//!
//! Somebody who is not enrolled is refused as a wrong finger is, after the same work.

use authenteon_matcher::{Prepared, Score, search::Finger};
use sha2::{Digest, Sha256};

use crate::{
    audit::{Basis, Event},
    memory::Known,
    observe::Step,
    policy::{Decision, Evidence, Verdict, decide},
    request::{Caller, Nonce, RequestId},
    sample::{Examined, Sample},
    services::{DecideError, Services},
    subject::{FingerPosition, SubjectId},
};

/// A verification asked for.
pub struct VerifyRequest {
    /// The caller's name for this request.
    pub request_id: RequestId,
    /// Fresh, and in the answer.
    pub nonce: Nonce,
    /// Who is claimed.
    pub subject: SubjectId,
    /// The probe.
    pub sample: Sample,
}

/// What comparing with a subject came to.
struct Best {
    enrolled: bool,
    impressions: usize,
    score: Score,
}

impl Services {
    /// Verifies.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn verify(&self, by: &Caller, request: VerifyRequest) -> Result<Decision, DecideError> {
        let VerifyRequest { request_id, nonce, subject, sample } = request;
        let asked = Sha256::new()
            .chain_update(b"verify")
            .chain_update(nonce.as_ref())
            .chain_update(subject.as_bytes());
        self.answered(by, request_id.clone(), asked, sample, |examined| {
            let evidence = match examined {
                Ok(probe) => {
                    let Best { enrolled, impressions, score } = self.best_score(subject, &probe);
                    Evidence::Verification { claimed: subject, enrolled, impressions, score }
                }
                Err(evidence) => evidence,
            };
            let verdict = decide(&self.inner.policy, &evidence);
            let event = Event::Verified {
                request: request_id.into(),
                claimed: subject,
                decision: name(&verdict.decision).to_owned(),
                why: verdict.why.to_owned(),
                score: verdict.score.map(Score::get),
                needed: verdict.needed.map(Score::get),
                basis: None,
            };
            (verdict, event)
        })
    }

    /// The best score among all fingers of a subject; a decoy's when there are none.
    fn best_score(&self, subject: SubjectId, probe: &Prepared) -> Best {
        let gallery = self.inner.gallery();
        let fingers: Vec<_> =
            FingerPosition::ALL.iter().filter_map(|p| gallery.get(&(subject, *p))).collect();
        let best = |enrolled, fingers: &[&Finger]| {
            let scores = fingers.iter().map(|finger| finger.compare(probe));
            let score = scores.fold(Score::ZERO, |best, score| if score > best { score } else { best });
            Best { enrolled, impressions: fingers.iter().map(|finger| finger.impressions()).sum(), score }
        };
        if fingers.is_empty() { best(false, &[&self.inner.decoy]) } else { best(true, &fingers) }
    }

    /// The frame of verification and identification alike: a repeated request gets its answer again, a
    /// replayed or unusable sample its refusal, and every new decision is in the audit before it is given.
    pub(crate) fn answered(
        &self,
        by: &Caller,
        request_id: RequestId,
        asked: Sha256,
        sample: Sample,
        decided: impl FnOnce(Result<Prepared, Evidence>) -> (Verdict, Event),
    ) -> Result<Decision, DecideError> {
        let sample = sample.decode()?;
        let body: [u8; 32] = asked.chain_update(sample.digest).finalize().into();
        let name = (by.id.clone(), request_id);
        let _turn = self.inner.in_progress.begin(&name);
        let known = self.inner.answers().known(&name, &body, self.inner.clock.now());
        match known {
            Known::Answered(decision) => return Ok(decision),
            Known::Reused => return Err(DecideError::RequestIdReused),
            Known::New => {}
        }
        let examined = match self.inner.timed(Step::Extraction, || sample.examine()) {
            Ok(Examined { extraction, digest }) if !self.inner.seen_before(&digest) => {
                Ok(Prepared::new(&extraction.template))
            }
            Ok(_) => Err(Evidence::Replay),
            Err(why) => match why.retry_hint() {
                Some(hint) => Err(Evidence::Unusable { hint }),
                None => return Err(why.into()),
            },
        };
        let (verdict, event) = self.inner.timed(Step::Comparison, || decided(examined));
        let event = event.resting_on(Basis::new(&self.inner.policy, None));
        self.inner.commit(by, &[], &event)?;
        let decision = verdict.decision;
        self.inner.answers().remember(name, body, decision.clone(), self.inner.clock.now());
        Ok(decision)
    }
}

/// The decision's name in the audit.
pub(crate) fn name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Accept { .. } => "accept",
        Decision::Refuse { .. } => "refuse",
        Decision::Retry { .. } => "retry",
    }
}
