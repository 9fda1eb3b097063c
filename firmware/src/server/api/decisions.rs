//! Verification and identification for stations. The answer is a decision, never a score.

use axum::{Extension, Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{on_core, sample::SampleBody};
use crate::{
    identify::IdentifyRequest,
    policy::Decision,
    request::{Caller, Nonce, RequestId},
    sample::Sample,
    server::{State, json::Body, problem::Problem},
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
    pub(crate) sample: SampleBody,
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
    pub(crate) sample: SampleBody,
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
    responses((status = 200, description = "The decision", body = DecisionBody),
        (status = 409, description = "The request_id was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The sample cannot be used", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    body: Body<VerifyBody>,
) -> Result<Json<DecisionBody>, Problem> {
    let (VerifyBody { request_id, nonce, subject_id, sample }, permit) = body.into_parts();
    let services = state.services.clone();
    let asked = (request_id.clone(), nonce.clone());
    let decision = on_core(&state, move || -> Result<_, Problem> {
        let request =
            VerifyRequest { request_id, nonce, subject: subject_id, sample: Sample::try_from(sample)? };
        let decision = services.verify(&caller, request)?;
        drop(permit);
        Ok(decision)
    })
    .await??;
    Ok(Json(DecisionBody::new(decision, asked.0, asked.1)))
}

/// Finds whose finger it is among all enrolled (1:N).
#[utoipa::path(post, path = "/v1/identify", tag = "decisions", request_body = IdentifyBody,
    responses((status = 200, description = "The decision", body = DecisionBody),
        (status = 409, description = "The request_id was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The sample cannot be used", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn identify(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    body: Body<IdentifyBody>,
) -> Result<Json<DecisionBody>, Problem> {
    let (IdentifyBody { request_id, nonce, sample }, permit) = body.into_parts();
    let services = state.services.clone();
    let asked = (request_id.clone(), nonce.clone());
    let decision = on_core(&state, move || -> Result<_, Problem> {
        let request = IdentifyRequest { request_id, nonce, sample: Sample::try_from(sample)? };
        let decision = services.identify(&caller, request)?;
        drop(permit);
        Ok(decision)
    })
    .await??;
    Ok(Json(DecisionBody::new(decision, asked.0, asked.1)))
}
