//! Verification and identification for stations. The answer is a decision, never a score.

use std::sync::{Arc, PoisonError};

use axum::{Extension, extract::State as Shared, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::{
    on_core,
    presented::{PresentedBody, present},
};
use crate::{
    identify::IdentifyRequest,
    memory::Known,
    policy::Decision,
    request::{Caller, Nonce, RequestId},
    sample::Sample,
    server::{
        State,
        json::Body,
        live::{self, Teller, Wanted},
        problem::Problem,
    },
    services::DecideError,
    subject::SubjectId,
    verify::VerifyRequest,
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
    /// Who is claimed.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) subject_id: SubjectId,
    /// The probe.
    pub(crate) sample: PresentedBody,
}

/// Whose finger is this?
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentifyBody {
    /// The caller's name for this request; the same name and body get the same answer for ten minutes.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub(crate) request_id: RequestId,
    /// Fresh for every request; comes back in the answer.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{16,128}$")]
    pub(crate) nonce: Nonce,
    /// The probe.
    pub(crate) sample: PresentedBody,
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
    /// On `refuse`: `not-matched`, `gallery-too-large` (ask for an identity too) or `replay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// On `retry`: what the person can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// As asked.
    #[schema(value_type = String)]
    pub(crate) request_id: RequestId,
    /// As asked.
    #[schema(value_type = String)]
    pub(crate) nonce: Nonce,
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
    fn new(decision: Decision, request_id: RequestId, nonce: Nonce) -> Self {
        let mut body = Self {
            decision: DecisionWord::Refuse,
            subject_id: None,
            reason: None,
            hint: None,
            request_id,
            nonce,
        };
        match decision {
            Decision::Accept { subject } => {
                body.decision = DecisionWord::Accept;
                body.subject_id = Some(subject);
            }
            Decision::Refuse { reason } => body.reason = Some(reason.name().to_owned()),
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
    let (VerifyBody { request_id, nonce, subject_id, sample }, permit) = body.into_parts();
    let asked = Asked { caller, request_id, nonce, claimed: Some(subject_id) };
    let services = state.services()?.clone();
    live::answer(wanted, StatusCode::OK, |teller| {
        asked.decide(state, sample, permit, teller, move |Asked { caller, request_id, nonce, .. }, sample| {
            services.verify(&caller, VerifyRequest { request_id, nonce, subject: subject_id, sample })
        })
    })
    .await
}

/// Finds whose finger it is among all enrolled (1:N).
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
    let (IdentifyBody { request_id, nonce, sample }, permit) = body.into_parts();
    let asked = Asked { caller, request_id, nonce, claimed: None };
    let services = state.services()?.clone();
    live::answer(wanted, StatusCode::OK, |teller| {
        asked.decide(state, sample, permit, teller, move |Asked { caller, request_id, nonce, .. }, sample| {
            services.identify(&caller, IdentifyRequest { request_id, nonce, sample })
        })
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
}

impl Asked {
    /// Gets the sample, decides, and shows the decision where the finger was.
    async fn decide(
        self,
        state: State,
        sample: PresentedBody,
        permit: OwnedSemaphorePermit,
        teller: Teller,
        service: impl FnOnce(Self, Sample) -> Result<Decision, DecideError> + Send + 'static,
    ) -> Result<DecisionBody, Problem> {
        let at_reader = match &sample {
            PresentedBody::Captured(sample) => Some(self.digest(sample.sensor.as_str())),
            PresentedBody::Sent(_) => None,
        };
        let name = (self.caller.id.clone(), self.request_id.clone());
        let answers = || state.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = Arc::clone(&state.services()?.inner.clock);
        let now = || clock.now();
        if let Some(digest) = &at_reader {
            // The same request again must not ask for another finger.
            match answers().known(&name, digest, now()) {
                Known::Answered(decision) => {
                    return Ok(DecisionBody::new(decision, self.request_id, self.nonce));
                }
                Known::Reused => return Err(DecideError::RequestIdReused.into()),
                Known::New => {}
            }
        }
        let (mut samples, readers, permit) = present(&state, vec![sample], permit, &teller).await?;
        let asked = self.clone();
        let decided = on_core(&state, move || -> Result<_, Problem> {
            // One was asked for, and so one came.
            let sample = samples.pop().ok_or_else(|| Problem::bad_request("a sample is missing"))?;
            let decision = service(asked, Sample::try_from(sample)?)?;
            drop(permit);
            Ok(decision)
        });
        let decided = decided.await.and_then(|decided| decided);
        readers.show_decision(&decided);
        if let (Some(panel), Ok(decision), true) = (&state.panel, &decided, at_reader.is_some()) {
            panel.show(decision);
        }
        let decision = decided?;
        let operation = if self.claimed.is_some() { "verify" } else { "identify" };
        state.operation.metrics.decided(operation, &decision);
        if let Some(digest) = at_reader {
            answers().remember(name, digest, decision.clone(), now());
        }
        Ok(DecisionBody::new(decision, self.request_id, self.nonce))
    }

    fn digest(&self, sensor: &str) -> [u8; 32] {
        let claimed = self.claimed.as_ref().map(|id| id.as_bytes().as_slice()).unwrap_or_default();
        Sha256::new()
            .chain_update(self.nonce.as_ref())
            .chain_update([0])
            .chain_update(claimed)
            .chain_update([0])
            .chain_update(sensor)
            .finalize()
            .into()
    }
}
