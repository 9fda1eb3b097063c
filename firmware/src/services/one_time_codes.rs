//! One-time codes: an accept gives its person one, and within a minute it lets the same person in once more, by whoever can
//! ask for nothing but a password.
//!
//! Invariant: somebody has one code at a time, for a minute, on the clock that nobody can set, and it is used up by the accept
//! that rests on it; wrong ones count against the person as wrong fingers do. They are in memory only: a restart ends them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    DecideError, Ground, NotAccepted, Purpose, Services, StoreError, Wish, handover::Handing,
    lockout::Attempt,
};
use crate::{
    audit::Event,
    factor::OneTimeCode,
    policy::{Decision, Evidence, Operation, Presented, Verdict, judge},
    request::{Caller, Nonce, RequestId},
    subject::SubjectId,
    verify::{Asked, Judged, name},
};

/// How long a code is good.
pub const GOOD: Duration = Duration::from_secs(60);
/// Codes that are good at a time.
const MOST: usize = 65_536;

/// Why nobody is given a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// There is no accept that it would be of.
    #[error(transparent)]
    Accept(#[from] NotAccepted),
    /// The person was erased since.
    #[error("there is no such subject any more")]
    Gone,
    /// There are as many as can be.
    #[error("{MOST} codes are good now: try again in a minute")]
    TooMany,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Given {
    code: OneTimeCode,
    until: Duration,
}

/// Those that were given and not used.
#[derive(Default)]
pub(super) struct OneTimeCodes(Mutex<HashMap<SubjectId, Given>>);

impl OneTimeCodes {
    fn all(&self) -> MutexGuard<'_, HashMap<SubjectId, Given>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has this code from now on, and no other one. False when there are too many.
    fn give(&self, subject: SubjectId, code: OneTimeCode, now: Duration) -> bool {
        let mut all = self.all();
        if all.len() >= MOST {
            all.retain(|_, given| now < given.until);
        }
        let fits = all.len() < MOST;
        if fits {
            all.insert(subject, Given { code, until: now + GOOD });
        }
        fits
    }

    /// Whether that is somebody's code, and good now.
    fn is(&self, subject: SubjectId, code: &OneTimeCode, now: Duration) -> bool {
        self.all().get(&subject).is_some_and(|given| given.code == *code && now < given.until)
    }

    /// The same, and it is none any more.
    pub(super) fn take(&self, subject: SubjectId, code: &OneTimeCode, now: Duration) -> bool {
        let mut all = self.all();
        let right = all.get(&subject).is_some_and(|given| given.code == *code && now < given.until);
        if right {
            all.remove(&subject);
        }
        right
    }

    /// Nobody is let in for this one any more by a code.
    pub(super) fn forget(&self, subject: SubjectId) {
        self.all().remove(&subject);
    }
}

impl Services {
    /// Gives the person of an accept a code, in the place of the one of before: once, to the caller that the accept was
    /// given to, within a minute of it.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn give_code(&self, by: &Caller, request: &RequestId) -> Result<OneTimeCode, CodeError> {
        let accepted = self.redeem(by, request, Purpose::OneTimeCode)?;
        let given = self.given(by, request, accepted.subject);
        if given.is_err() {
            self.give_back(by, request, Purpose::OneTimeCode);
        }
        given
    }

    fn given(&self, by: &Caller, request: &RequestId, subject: SubjectId) -> Result<OneTimeCode, CodeError> {
        let inner = &self.inner;
        let code = OneTimeCode::random().ok_or(CodeError::Randomness)?;
        // An erasure comes before, and there is nobody, or after, and takes the code along.
        let _turn = inner.accepting.begin(&subject);
        inner.subject(subject)?.ok_or(CodeError::Gone)?;
        inner.act(by, &Event::OneTimeCodeGiven { subject, request: request.clone().into() })?;
        let fits = inner.codes.give(subject, code.clone(), inner.clock.running());
        if fits { Ok(code) } else { Err(CodeError::TooMany) }
    }

    /// Verifies by a one-time code, which is used up with the accept.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn verify_code(
        &self,
        by: &Caller,
        request_id: RequestId,
        subject: SubjectId,
        code: OneTimeCode,
    ) -> Result<Decision, DecideError> {
        let body = Sha256::new().chain_update(b"one-time code").chain_update(subject.as_bytes());
        let body = body.chain_update(code.as_bytes());
        let (wanted, nonce) = (Wish::default(), Nonce::random());
        let asked = Asked {
            handing: Handing { wanted: &wanted, nonce: &nonce },
            attempt: Attempt { by, claimed: Some(subject), found: None, sensor: None },
            told: self.policy_for(by, Operation::Verify),
            // The accept that gave the code had all that its policy asks for.
            presented: Presented {
                fingers: Presented::WHATEVER_FINGERS,
                pin: true,
                wrong_pin: false,
                among: None,
            },
        };
        let request = request_id.clone();
        let answer = self.answered(asked, request_id, body, Vec::new(), |examined, circumstances| {
            let right = self.inner.codes.is(subject, &code, self.inner.clock.running());
            let evidence = examined.err().unwrap_or(Evidence::OneTimeCode { claimed: subject, right });
            Judged {
                verdict: judge(&circumstances, &evidence),
                found: None,
                ground: Ground::OneTime(code),
                event: move |verdict: &Verdict| Event::Verified {
                    request: request.into(),
                    claimed: subject,
                    decision: name(&verdict.decision).to_owned(),
                    why: verdict.why.to_owned(),
                    score: None,
                    needed: None,
                    basis: None,
                    duress: false,
                    assertion: None,
                },
                also: Vec::new(),
            }
        })?;
        Ok(answer.decision)
    }
}

#[cfg(test)]
mod tests;
