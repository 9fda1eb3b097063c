//! Verification and identification for stations. The answer is a decision, never a score.

use std::sync::{Arc, PoisonError};

use authenteon_hal::discovery::ReaderId;
use axum::{Extension, extract::State as Shared, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{
    handover::{AssertionWishBody, CertificateWishBody, wish},
    on_core,
    presented::{PresentedBody, present},
};
use crate::{
    clock::Timestamp,
    factor::{Pin, RecoveryCode},
    identify::IdentifyRequest,
    memory::Known,
    policy::{Decision, MOST_FINGERS, MOST_TO_IDENTIFY, RefuseReason},
    request::{Caller, Nonce, RequestId},
    sample::{Sample, SampleError},
    server::{
        State,
        json::Body,
        live::{self, Teller, Wanted},
        problem::Problem,
        shares::Place,
    },
    services::{Allowed, DecideError, Decided, Wish},
    subject::{Login, SubjectId},
    verify::{Proof, VerifyRequest, pin_digest},
};

/// Is this the finger of that subject?
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyBody {
    /// The caller's name for this request; the same name and body get the same answer for ten minutes.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub(crate) request_id: RequestId,
    /// Fresh for every request; comes back in the answer.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{16,128}$")]
    pub(crate) nonce: Nonce,
    /// Who is claimed; or else `login`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) subject_id: Option<SubjectId>,
    /// What he is called in a directory that the box follows: his login or user principal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "ada@corp.example")]
    pub(crate) login: Option<Login>,
    /// An impression of one finger; or else `samples` or `recovery_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<PresentedBody>,
    /// Impressions of up to four different fingers, one each: all have to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<Vec<PresentedBody>>,
    /// The code that an officer gave for a hurt finger: good once.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Option<String>)]
    pub(crate) recovery_code: Option<RecoveryCode>,
    /// Nothing is presented: the person was accepted here a moment ago, and the policy has a grace period.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) grace: bool,
    /// The person's PIN.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Option<String>, format = Password)]
    pub(crate) pin: Option<Pin>,
    /// With an accept, an assertion for a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assertion: Option<AssertionWishBody>,
    /// After an accept, a certificate of this key can be asked for: `POST /v1/certificates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<CertificateWishBody>,
}

/// Whose finger is this, or whose are these two?
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentifyBody {
    /// The caller's name for this request; the same name and body get the same answer for ten minutes.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub(crate) request_id: RequestId,
    /// Fresh for every request; comes back in the answer.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{16,128}$")]
    pub(crate) nonce: Nonce,
    /// An impression of one finger; or else `samples`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<PresentedBody>,
    /// Impressions of one finger or of two different ones, one each: both have to be of the same person. Which fingers
    /// they are need not be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<Vec<PresentedBody>>,
    /// The person's PIN.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Option<String>, format = Password)]
    pub(crate) pin: Option<Pin>,
    /// With an accept, an assertion for a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assertion: Option<AssertionWishBody>,
    /// After an accept, a certificate of this key can be asked for: `POST /v1/certificates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<CertificateWishBody>,
}

/// The decision.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionBody {
    /// `accept`, `refuse`, or `retry` with a better impression.
    pub(crate) decision: DecisionWord,
    /// Whose finger it is, on `accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) subject_id: Option<SubjectId>,
    /// On `refuse`: `not-matched`, `gallery-too-large` (present as many as `fingers` says, or else ask for an identity
    /// too), `replay`, `locked-out` (after too many failures), `outside-hours`, `fingers-required` (see `fingers`),
    /// `pin-required`, `finger-required` (the grace period is over) or `account-disabled` (the directory that the person is
    /// in does not let him in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// On `fingers-required`: how many different fingers; on `gallery-too-large`: how many would do, absent when none would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingers: Option<u8>,
    /// On `locked-out`: seconds after which it may be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_s: Option<u32>,
    /// On `retry`: what the person can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// `point-estimate` in every answer of an identification that rests on the estimated false match rate, and not on the
    /// one that holds with 95 % confidence: an administrator accepted that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<String>,
    /// On `accept`, the assertion that was asked for: a JSON Web Token, good for at most a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assertion: Option<String>,
    /// On `accept`, until when the certificate can be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) certificate_until: Option<Timestamp>,
    /// Whether the finger was found to be alive: that is not assessed.
    pub(crate) liveness: Liveness,
    /// As asked.
    #[schema(value_type = String)]
    pub(crate) request_id: RequestId,
    /// As asked.
    #[schema(value_type = String)]
    pub(crate) nonce: Nonce,
}

/// What is known of the finger being alive, and no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Liveness {
    /// Nothing.
    NotAssessed,
}

/// The decision in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DecisionWord {
    /// It is.
    Accept,
    /// It is not, or cannot be said.
    Refuse,
    /// Try again.
    Retry,
}

impl DecisionBody {
    fn new(Decided { decision, handed }: Decided, request_id: RequestId, nonce: Nonce) -> Self {
        let mut body = Self {
            decision: DecisionWord::Refuse,
            subject_id: None,
            reason: None,
            fingers: None,
            retry_after_s: None,
            hint: None,
            bound: None,
            assertion: handed.assertion,
            certificate_until: handed.certificate_until,
            liveness: Liveness::NotAssessed,
            request_id,
            nonce,
        };
        match decision {
            Decision::Accept { subject } => {
                body.decision = DecisionWord::Accept;
                body.subject_id = Some(subject);
            }
            Decision::Refuse { reason } => {
                body.reason = Some(reason.name().to_owned());
                match reason {
                    RefuseReason::LockedOut { retry_after_s } => body.retry_after_s = Some(retry_after_s),
                    RefuseReason::FingersRequired { fingers } => body.fingers = Some(fingers),
                    RefuseReason::GalleryTooLarge { fingers } => body.fingers = fingers,
                    _ => {}
                }
            }
            Decision::Retry { hint } => {
                body.decision = DecisionWord::Retry;
                body.hint = Some(hint.to_owned());
            }
        }
        body
    }
}

/// Verifies a finger against one subject (1:1).
#[utoipa::path(post, path = "/v1/verify", tag = "decisions", request_body = VerifyBody,
    responses((status = 200, description = "The decision; at a reader, with `Accept: text/event-stream`, told on the way as for a capture", body = DecisionBody),
        (status = 408, description = "No finger was laid on the reader in time", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The request_id was used for another request, or the reader is in use or not adopted", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The sample cannot be used", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    wanted: Wanted,
    body: Body<VerifyBody>,
) -> Result<Response, Problem> {
    let (body, permit) = body.into_parts();
    let wish = wish(body.assertion, body.certificate)?;
    let VerifyBody {
        request_id, nonce, subject_id, login, sample, samples, recovery_code, grace, pin, ..
    } = body;
    let services = state.services()?.clone();
    let subject = match (subject_id, login) {
        (Some(id), None) => id,
        (None, Some(login)) => {
            let services = services.clone();
            on_core(&state, move || services.claimed(&login)).await?.map_err(DecideError::from)?
        }
        _ => return Err(Problem::bad_request("one of subject_id and login is needed, and only one")),
    };
    let pin_digest = pin_digest(pin.as_ref());
    let asked = Asked { caller, request_id, nonce, claimed: Some(subject), pin: pin_digest, wish };
    let samples = match (sample, samples, &recovery_code) {
        (None, None, None) if grace => Vec::new(),
        _ if grace => return Err(Problem::bad_request("with grace nothing is presented")),
        (Some(sample), None, None) => vec![sample],
        (None, Some(samples), None) if (1..=MOST_FINGERS.into()).contains(&samples.len()) => samples,
        (None, None, Some(_)) => Vec::new(),
        (None, Some(_), None) => return Err(Problem::bad_request("samples are 1 to 4")),
        _ => {
            return Err(Problem::bad_request(
                "one of sample, samples, recovery_code and grace is needed, and only one",
            ));
        }
    };
    live::answer(wanted, StatusCode::OK, |teller| {
        asked.decide(state, samples, permit, teller, move |asked, allowed, samples, sensor| {
            let Asked { caller, request_id, nonce, .. } = asked;
            let fingers = if grace { Proof::Grace } else { Proof::Fingers(samples) };
            let proof = recovery_code.map_or(fingers, Proof::Recovery);
            let request = VerifyRequest { request_id, nonce, subject, proof, pin, sensor };
            services.verify_for(&caller, request, &allowed)
        })
    })
    .await
}

/// Finds whose finger it is among all enrolled (1:N), or whose two fingers.
#[utoipa::path(post, path = "/v1/identify", tag = "decisions", request_body = IdentifyBody,
    responses((status = 200, description = "The decision; at a reader, with `Accept: text/event-stream`, told on the way as for a capture", body = DecisionBody),
        (status = 408, description = "No finger was laid on the reader in time", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The request_id was used for another request, or the reader is in use or not adopted", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The sample cannot be used", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn identify(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    wanted: Wanted,
    body: Body<IdentifyBody>,
) -> Result<Response, Problem> {
    let (IdentifyBody { request_id, nonce, sample, samples, pin, assertion, certificate }, permit) =
        body.into_parts();
    let wish = wish(assertion, certificate)?;
    let samples = match (sample, samples) {
        (Some(sample), None) => vec![sample],
        (None, Some(samples)) if (1..=MOST_TO_IDENTIFY.into()).contains(&samples.len()) => samples,
        (None, Some(_)) => {
            return Err(Problem::bad_request(
                "samples are 1 or 2: to present more fingers, say whose they are and verify",
            ));
        }
        _ => return Err(Problem::bad_request("one of sample and samples is needed, and only one")),
    };
    let asked = Asked { caller, request_id, nonce, claimed: None, pin: pin_digest(pin.as_ref()), wish };
    let services = state.services()?.clone();
    let bound = services.inner.policy.bound.told().map(str::to_owned);
    live::answer(wanted, StatusCode::OK, |teller| async move {
        let decided = asked.decide(state, samples, permit, teller, move |asked, allowed, samples, sensor| {
            let Asked { caller, request_id, nonce, .. } = asked;
            let mut samples = samples.into_iter();
            // As many came as were asked for: one or two.
            let sample = samples.next().ok_or(SampleError::Impressions { got: 0 })?;
            let second = samples.next();
            let request = IdentifyRequest { request_id, nonce, sample, second, pin, sensor };
            services.identify_for(&caller, request, &allowed)
        });
        Ok(DecisionBody { bound, ..decided.await? })
    })
    .await
}

/// A decision asked for, but for the sample.
#[derive(Clone)]
struct Asked {
    caller: Caller,
    request_id: RequestId,
    nonce: Nonce,
    /// Who, in a verification.
    claimed: Option<SubjectId>,
    /// Of the PIN, if one came.
    pin: [u8; 32],
    /// What goes with an accept.
    wish: Wish,
}

impl Asked {
    /// Gets the sample, decides, and shows the decision where the finger was.
    async fn decide(
        self,
        state: State,
        samples: Vec<PresentedBody>,
        permit: Place,
        teller: Teller,
        service: impl FnOnce(Self, Allowed, Vec<Sample>, Option<ReaderId>) -> Result<Decided, DecideError>
        + Send
        + 'static,
    ) -> Result<DecisionBody, Problem> {
        let sensors = samples.iter().filter_map(|sample| match sample {
            PresentedBody::Captured(sample) => Some(sample.sensor.clone()),
            PresentedBody::Sent(_) => None,
        });
        let sensors: Vec<ReaderId> = sensors.collect();
        let sensor = sensors.first().cloned();
        let at_reader = sensor.is_some().then(|| self.digest(&sensors));
        let name = (self.caller.id.clone(), self.request_id.clone());
        let answers = || state.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = Arc::clone(&state.services()?.inner.clock);
        let now = || clock.running();
        if let Some(digest) = &at_reader {
            // The same request again must not ask for another finger.
            match answers().known(&name, digest, now()) {
                Known::Answered(decided) => {
                    return Ok(DecisionBody::new(decided, self.request_id, self.nonce));
                }
                Known::Reused => return Err(DecideError::RequestIdReused.into()),
                Known::New => {}
            }
        }
        // Before anybody lays a finger down.
        let allowed = if self.wish.is_nothing() {
            Allowed::default()
        } else {
            let (services, by, wish) = (state.services()?.clone(), self.caller.clone(), self.wish.clone());
            let own = sensor.is_some();
            on_core(&state, move || services.may_hand_over(&by, &wish, own)).await??
        };
        let (samples, readers, permit) = present(&state, samples, permit, &teller).await?;
        let asked = self.clone();
        let decided = on_core(&state, move || -> Result<_, Problem> {
            let samples = samples.into_iter().map(Sample::try_from).collect::<Result<_, _>>()?;
            let decision = service(asked, allowed, samples, sensor)?;
            drop(permit);
            Ok(decision)
        });
        let decided = decided.await.and_then(|decided| decided);
        readers.show_decision(decided.as_ref().map(|decided| &decided.decision));
        if let (Some(panel), Ok(decided), true) = (&state.panel, &decided, at_reader.is_some()) {
            panel.show(&decided.decision);
        }
        let decided = decided?;
        let operation = if self.claimed.is_some() { "verify" } else { "identify" };
        state.operation.metrics.decided(operation, &decided.decision);
        if let Some(digest) = at_reader {
            answers().remember(&name, digest, decided.clone(), now());
        }
        Ok(DecisionBody::new(decided, self.request_id, self.nonce))
    }

    fn digest(&self, sensors: &[ReaderId]) -> [u8; 32] {
        let claimed = self.claimed.as_ref().map(|id| id.as_bytes().as_slice()).unwrap_or_default();
        let asked = Sha256::new()
            .chain_update(self.nonce.as_ref())
            .chain_update([0])
            .chain_update(claimed)
            .chain_update([0])
            .chain_update(self.pin);
        let asked = sensors
            .iter()
            .fold(self.wish.digested(asked), |asked, id| asked.chain_update(id.as_str()).chain_update([0]));
        asked.finalize().into()
    }
}
