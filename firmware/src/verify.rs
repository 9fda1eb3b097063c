//! Verification: is this the finger of that subject, and does he know what he should?
//!
//! Somebody who is not enrolled is refused as a wrong finger is, after the same work; and a wrong PIN as a wrong finger,
//! so that nobody learns which of them was wrong.

use authenteon_hal::discovery::ReaderId;
use authenteon_matcher::{Score, search::Finger};
use sha2::{Digest, Sha256};

use crate::{
    audit::{Basis, Event},
    credential::assertion::Audience,
    factor::{Pin, PinHash, RecoveryCode},
    memory::Known,
    observe::Step,
    policy::{Bar, Circumstances, Decision, Evidence, Operation, Policy, Presented, Replay, Verdict, judge},
    replay::Probe,
    request::{Caller, Nonce, RequestId},
    sample::{Decoded, Examined, Sample},
    services::{
        Accepting, Allowed, DecideError, Decided, Factors, Ground, Handed, HandoverError, LookedAt, Services,
        handover::{self, Handing},
        lockout::{Attempt, Numbers},
        put_factors,
    },
    store::Change,
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
    /// What the person presents.
    pub proof: Proof,
    /// And knows.
    pub pin: Option<Pin>,
    /// The box's own reader that took the first impression, if one did.
    pub sensor: Option<ReaderId>,
}

/// What a person presents.
pub enum Proof {
    /// Impressions of as many different fingers.
    Fingers(Vec<Sample>),
    /// The code that an officer gave for a hurt finger.
    Recovery(RecoveryCode),
    /// Nothing: he was accepted here a moment ago.
    Grace,
}

impl From<Sample> for Proof {
    fn from(sample: Sample) -> Self {
        Self::Fingers(vec![sample])
    }
}

/// What comparing with a subject came to.
struct Compared {
    enrolled: bool,
    impressions: usize,
    /// The worst of the probes' best scores: each of them has to pass.
    score: Score,
    /// The fingers that they are most like.
    fingers: Vec<FingerPosition>,
}

/// What holds whoever asks for whom, and for whom.
pub(crate) struct Asked<'a> {
    pub(crate) attempt: Attempt<'a>,
    pub(crate) told: Policy,
    pub(crate) presented: Presented,
    /// What goes with an accept.
    pub(crate) handing: Handing<'a>,
}

/// A verdict, the record of the decision that it becomes, and what is changed with it when that is an accept.
pub(crate) struct Judged<E> {
    pub(crate) verdict: Verdict,
    /// Whose finger it is, if that was not claimed but found, whatever else was wrong.
    pub(crate) found: Option<SubjectId>,
    pub(crate) ground: Ground,
    pub(crate) event: E,
    pub(crate) also: Vec<Change>,
}

/// A decision, and whether it was made now.
pub(crate) struct Answer<'a> {
    pub(crate) decision: Decision,
    pub(crate) handed: Handed,
    pub(crate) found: Option<SubjectId>,
    pub(crate) is_new: bool,
    /// While it is held, nobody erases who was accepted.
    _accepting: Option<Accepting<'a>>,
}

impl From<Answer<'_>> for Decided {
    fn from(answer: Answer<'_>) -> Self {
        Self { decision: answer.decision, handed: answer.handed }
    }
}

/// For whom an assertion is handed over with a decision.
pub(crate) fn asserted(audience: Option<Audience>, decision: &Decision) -> Option<String> {
    audience.filter(|_| matches!(decision, Decision::Accept { .. })).map(String::from)
}

impl Services {
    /// Verifies.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn verify(&self, by: &Caller, request: VerifyRequest) -> Result<Decision, DecideError> {
        self.verify_for(by, request, &Allowed::default()).map(|decided| decided.decision)
    }

    /// Verifies, and hands over with an accept what is wanted.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn verify_for(
        &self,
        by: &Caller,
        request: VerifyRequest,
        allowed: &Allowed,
    ) -> Result<Decided, DecideError> {
        let wanted = allowed.wish();
        let VerifyRequest { request_id, nonce, subject, proof, pin, sensor } = request;
        let body = Sha256::new()
            .chain_update(b"verify")
            .chain_update(nonce.as_ref())
            .chain_update(subject.as_bytes())
            .chain_update(pin_digest(pin.as_ref()));
        let body = wanted.digested(body);
        let attempt = Attempt { by, claimed: Some(subject), found: None, sensor: sensor.as_ref() };
        let told = self.policy_for(by, Operation::Verify);
        let factors = self.inner.factors_of(subject);
        let grace = self.policy_with(&told, &factors.groups).grace_seconds;
        let asked = |fingers| {
            let presented = Presented { fingers, pin: pin.is_some(), wrong_pin: false, among: None };
            Asked { attempt, told, presented, handing: Handing { wanted, nonce: &nonce } }
        };
        let audience = wanted.assertion.clone();
        let request = request_id.clone();
        let event = |duress: bool| {
            move |verdict: &Verdict| Event::Verified {
                request: request.into(),
                claimed: subject,
                decision: name(&verdict.decision).to_owned(),
                why: verdict.why.to_owned(),
                score: verdict.score.map(Score::get),
                needed: verdict.needed.map(Score::get),
                basis: None,
                duress: duress && verdict.decision == Decision::Accept { subject },
                assertion: asserted(audience, &verdict.decision),
            }
        };
        let samples = match proof {
            Proof::Fingers(samples) => samples,
            Proof::Grace if !wanted.is_nothing() => return Err(HandoverError::Grace.into()),
            Proof::Grace => {
                let (asked, body) = (asked(Presented::WHATEVER_FINGERS), body.chain_update(b"grace"));
                let answer =
                    self.answered(asked, request_id, body, Vec::new(), |examined, mut circumstances| {
                        circumstances.presented.wrong_pin = wrong_pin(pin.as_ref(), factors.pin.as_ref());
                        let over =
                            grace == 0 || !self.within_grace(by, subject) || !self.inner.is_enrolled(subject);
                        let evidence = examined.err().unwrap_or(Evidence::Grace { claimed: subject, over });
                        Judged {
                            verdict: judge(&circumstances, &evidence),
                            found: None,
                            ground: Ground::Enrolled,
                            event: event(false),
                            also: Vec::new(),
                        }
                    })?;
                self.end_grace(by, subject, &answer);
                return Ok(answer.into());
            }
            Proof::Recovery(code) => {
                let body = body.chain_update(b"recovery").chain_update(code.as_bytes());
                return self.recovered(
                    asked(Presented::WHATEVER_FINGERS),
                    (subject, request_id),
                    body,
                    (&code, pin.as_ref()),
                    event(false),
                );
            }
        };
        let answer =
            self.answered(asked(samples.len()), request_id, body, samples, |examined, mut circumstances| {
                let (mut duress, mut ground) = (false, Ground::Enrolled);
                let evidence = match examined {
                    Ok(probes) => {
                        let Compared { enrolled, impressions, score, fingers } =
                            self.compared(subject, probes);
                        duress = fingers.iter().any(|finger| factors.duress.contains(finger));
                        ground = Ground::Fingers(fingers);
                        circumstances.presented.wrong_pin = wrong_pin(pin.as_ref(), factors.pin.as_ref());
                        Evidence::Verification { claimed: subject, enrolled, impressions, score }
                    }
                    Err(evidence) => evidence,
                };
                Judged {
                    verdict: judge(&circumstances, &evidence),
                    found: None,
                    ground,
                    event: event(duress),
                    also: Vec::new(),
                }
            })?;
        self.note_grace(by, subject, grace, &answer);
        Ok(answer.into())
    }

    /// Compares probes with all fingers of a subject; with a decoy when there are none.
    fn compared(&self, subject: SubjectId, probes: &[Probe]) -> Compared {
        let gallery = self.inner.gallery();
        let fingers: Vec<(FingerPosition, &Finger)> =
            FingerPosition::ALL.iter().filter_map(|p| Some((*p, gallery.get(&(subject, *p))?))).collect();
        let enrolled = !fingers.is_empty();
        let fingers = if enrolled { fingers } else { vec![(FingerPosition::RightThumb, &self.inner.decoy)] };
        let mut found: Vec<(FingerPosition, Score)> = Vec::with_capacity(probes.len());
        for probe in probes {
            let scores =
                fingers.iter().map(|(position, finger)| (*position, finger.compare(&probe.prepared)));
            let none = (FingerPosition::RightThumb, Score::ZERO);
            let best = scores.fold(none, |best, one| if one.1 > best.1 { one } else { best });
            // A finger proves itself once.
            let again = found.iter().any(|(position, _)| *position == best.0);
            found.push(if again { (best.0, Score::ZERO) } else { best });
        }
        let worst = found.iter().map(|(_, score)| *score).reduce(|a, b| if b < a { b } else { a });
        Compared {
            enrolled,
            impressions: fingers.iter().map(|(_, finger)| finger.impressions()).sum(),
            score: worst.unwrap_or(Score::ZERO),
            fingers: found.into_iter().map(|(position, _)| position).collect(),
        }
    }

    /// Verifies by a recovery code, which is used up with the accept.
    fn recovered<E: FnOnce(&Verdict) -> Event>(
        &self,
        asked: Asked<'_>,
        (subject, request_id): (SubjectId, RequestId),
        body: Sha256,
        (code, pin): (&RecoveryCode, Option<&Pin>),
        event: E,
    ) -> Result<Decided, DecideError> {
        let by = asked.attempt.by;
        // Nobody waits for as long as people are put back.
        self.inner.people_may_change()?;
        // Two who bring the same code come one after the other.
        let _people = self.inner.people();
        self.inner.people_may_change()?;
        let factors = self.inner.factors_of(subject);
        let used = Factors { recovery: None, ..Factors::clone(&factors) };
        let also = match &factors.recovery {
            Some(_) => vec![put_factors(subject, &used)?],
            None => Vec::new(),
        };
        let answer = self.answered(asked, request_id, body, Vec::new(), |examined, mut circumstances| {
            circumstances.presented.wrong_pin = wrong_pin(pin, factors.pin.as_ref());
            let right = factors.recovery.as_ref().is_some_and(|issued| issued.is(code, circumstances.now));
            let evidence = examined.err().unwrap_or(Evidence::Recovery { claimed: subject, right });
            let verdict = judge(&circumstances, &evidence);
            Judged { verdict, found: None, ground: Ground::Code, event, also }
        })?;
        self.end_grace(by, subject, &answer);
        if answer.is_new && answer.decision == (Decision::Accept { subject }) {
            self.inner.keep_factors(subject, used);
        }
        Ok(answer.into())
    }

    /// The frame of verification and identification alike: a repeated request gets its answer again, a
    /// replayed or unusable sample its refusal, who is barred is not looked at, and every new decision is in the
    /// audit before it is given.
    pub(crate) fn answered<E: FnOnce(&Verdict) -> Event>(
        &self,
        asked: Asked<'_>,
        request_id: RequestId,
        body: Sha256,
        samples: Vec<Sample>,
        judged: impl FnOnce(Result<&[Probe], Evidence>, Circumstances<'_>) -> Judged<E>,
    ) -> Result<Answer<'_>, DecideError> {
        let Asked { attempt, told, presented, handing } = asked;
        let brought = samples.len();
        let samples: Vec<Decoded> = samples.into_iter().map(Sample::decode).collect::<Result<_, _>>()?;
        let body = samples.iter().fold(body, |body, sample| body.chain_update(sample.digest));
        let body: [u8; 32] = body.finalize().into();
        let name = (attempt.by.id.clone(), request_id);
        let _turn = self.inner.in_progress.begin(&name);
        let known = self.inner.answers().known(&name, &body, self.inner.clock.running());
        match known {
            Known::Answered(Decided { decision, handed }) => {
                return Ok(Answer { decision, handed, found: None, is_new: false, _accepting: None });
            }
            Known::Reused => return Err(DecideError::RequestIdReused),
            Known::New => {}
        }
        let now = self.inner.clock.now();
        let of = |subject| self.policy_with(&told, &self.inner.factors_of(subject).groups);
        let numbers =
            |who: Option<SubjectId>| Numbers { told: told.lockout, own: who.map(|who| of(who).lockout) };
        let bar = self.wait(&attempt, &numbers(attempt.claimed)).map(Bar::LockedOut);
        let bar = bar.or_else(|| Bar::of(&told, now, &presented));
        let mut looked_at = self.inner.looking();
        let examined = match bar {
            Some(bar) => Err(Evidence::Barred(bar)),
            None => self.inner.timed(Step::Extraction, || examined(samples, &mut looked_at))?,
        };
        let stands = |subject| self.inner.directory_state(subject);
        let circumstances = Circumstances { told: &told, of: &of, stands: &stands, now, presented };
        let (probes, examined) = match examined {
            Ok(probes) => (probes, None),
            Err(evidence) => (Vec::new(), Some(evidence)),
        };
        let (judged, accepting) = self.inner.timed(Step::Comparison, || {
            let mut judged = judged(examined.map_or(Ok(&probes), Err), circumstances);
            let accepting = self.uphold(&mut judged, &probes)?;
            Ok::<_, DecideError>((judged, accepting))
        })?;
        let Judged { verdict, found, ground, event, also } = judged;
        let who = attempt.claimed.or(found);
        let in_force = who.map_or_else(|| told.clone(), of);
        let basis = Basis::new(&in_force, attempt.sensor.map(|sensor| sensor.as_str().to_owned()));
        let event = |verdict: &Verdict| event(verdict).resting_on(basis);
        let decision = self.settle(&Attempt { found, ..attempt }, &numbers(who), (verdict, &also), event)?;
        // Only now: whoever gets no answer may ask again with the same.
        looked_at.remember();
        if let (Some(accepting), Decision::Accept { .. }) = (&accepting, &decision) {
            accepting.made();
        }
        let means = handover::means(&ground, brought, presented.pin);
        let handed = self.inner.hand_over((&attempt, &name.1), &decision, &handing, &means);
        let decided = Decided { decision: decision.clone(), handed: handed.clone() };
        self.inner.answers().remember(&name, body, decided, self.inner.clock.running());
        Ok(Answer { decision, handed, found, is_new: true, _accepting: accepting })
    }
}

/// What comes of samples: probes, or evidence without any.
fn examined(
    samples: Vec<Decoded>,
    looked_at: &mut LookedAt<'_>,
) -> Result<Result<Vec<Probe>, Evidence>, DecideError> {
    let mut probes = Vec::with_capacity(samples.len());
    for sample in samples {
        match sample.examine() {
            Ok(Examined { extraction, digest }) if looked_at.claim(&digest) => {
                probes.push(Probe::new(extraction.template, digest));
            }
            Ok(_) => return Ok(Err(Evidence::Replay(Replay::Same))),
            Err(why) => match why.retry_hint() {
                Some(hint) => return Ok(Err(Evidence::Unusable { hint })),
                None => return Err(why.into()),
            },
        }
    }
    Ok(Ok(probes))
}

/// Whether a PIN was presented, and is not the one that is kept. It takes as long when none is kept.
pub(crate) fn wrong_pin(presented: Option<&Pin>, kept: Option<&PinHash>) -> bool {
    match (presented, kept) {
        (None, _) => false,
        (Some(pin), Some(kept)) => !kept.is(pin),
        (Some(pin), None) => {
            PinHash::work_for_nobody(pin);
            true
        }
    }
}

/// What a PIN adds to the digest of a request.
pub(crate) fn pin_digest(pin: Option<&Pin>) -> [u8; 32] {
    let digest = Sha256::new().chain_update([u8::from(pin.is_some())]);
    digest.chain_update(pin.map(Pin::as_bytes).unwrap_or_default()).finalize().into()
}

/// The decision's name in the audit.
pub(crate) fn name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Accept { .. } => "accept",
        Decision::Refuse { .. } => "refuse",
        Decision::Retry { .. } => "retry",
    }
}
