//! Fingers of a subject: enrolled from samples, listed and removed by officers.

use authenteon_hal::sensor::Signal;
use axum::{Extension, Json, extract::State as Shared, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    At, on_core, parsed,
    presented::{PresentedBody, present, shown},
};
use crate::{
    enrol::{EnrolError, Enrolment},
    request::Caller,
    sample::Sample,
    server::{
        State,
        json::Body,
        live::{self, Teller, Wanted},
        problem::Problem,
    },
    subject::{FingerPosition, FingerSummary, SubjectId},
};

/// A finger to be enrolled.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolBody {
    /// Which finger: `right-index`, `left-thumb` and so on.
    #[schema(value_type = String, example = "right-index")]
    pub(crate) position: FingerPosition,
    /// Its impressions, three by default, each of a finger lifted and placed anew.
    pub(crate) samples: Vec<PresentedBody>,
}

/// An enrolled finger.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FingerBody {
    /// Which.
    #[schema(value_type = String, example = "right-index")]
    pub(crate) position: FingerPosition,
    /// Impressions kept.
    pub(crate) impressions: usize,
    /// The worst of their qualities, 0 to 100.
    pub(crate) quality: u8,
    /// Whether it is the one for duress: accepted as any other, with a silent alarm.
    #[serde(default)]
    pub(crate) duress: bool,
}

impl From<FingerSummary> for FingerBody {
    fn from(finger: FingerSummary) -> Self {
        let FingerSummary { position, impressions, quality, duress } = finger;
        Self { position, impressions, quality, duress }
    }
}

/// The fingers of a subject.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FingersBody {
    /// By position.
    pub(crate) fingers: Vec<FingerBody>,
}

/// Enrols a finger from several impressions.
#[utoipa::path(post, path = "/v1/subjects/{id}/fingers", tag = "fingers", request_body = EnrolBody,
    params(("id" = String, Path, description = "The subject")),
    responses((status = 201, description = "Enrolled", body = FingerBody),
        (status = 404, description = "There is no such subject", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "No finger was laid on the reader in time", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Enrolled already, for this subject or another, or the reader is in use", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A sample cannot be used", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn enrol(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
    wanted: Wanted,
    body: Body<EnrolBody>,
) -> Result<Response, Problem> {
    let subject: SubjectId = parsed(&id)?;
    live::answer(wanted, StatusCode::CREATED, |teller| enrolled(state, caller, subject, body, teller)).await
}

/// Takes the samples, and enrols the finger.
async fn enrolled(
    state: State,
    caller: Caller,
    subject: SubjectId,
    body: Body<EnrolBody>,
    teller: Teller,
) -> Result<FingerBody, Problem> {
    let (EnrolBody { position, samples }, permit) = body.into_parts();
    if samples.iter().any(|sample| matches!(sample, PresentedBody::Captured(_))) {
        // Nobody lays fingers down for what cannot be done anyway.
        worth_the_fingers(&state, subject, position, samples.len()).await?;
    }
    let (samples, readers, permit) = present(&state, samples, permit, &teller).await?;
    let services = state.services()?.clone();
    let enrolled = on_core(&state, move || -> Result<_, Problem> {
        let samples = samples.into_iter().enumerate();
        let samples = samples
            .map(|(index, sample)| Sample::try_from(sample).map_err(|why| why.of_sample(index)))
            .collect::<Result<_, _>>()?;
        let finger = services.enrol(&caller, Enrolment { subject, position, samples })?;
        drop(permit);
        Ok(finger)
    });
    let enrolled = enrolled.await.and_then(|enrolled| enrolled);
    readers.show(enrolled.as_ref().map_or_else(shown, |_| Signal::Accepted));
    Ok(enrolled?.into())
}

/// The enrolment can succeed, as far as can be known before its samples are taken.
async fn worth_the_fingers(
    state: &State,
    id: SubjectId,
    position: FingerPosition,
    got: usize,
) -> Result<(), Problem> {
    let services = state.services()?.clone();
    let subject = on_core(state, move || services.subject(id)).await??;
    let policy = &state.services()?.inner.policy;
    let (least, most) = (policy.impressions, policy.most_impressions);
    if !(least..=most).contains(&got) {
        return Err(EnrolError::SampleCount { got, least, most }.into());
    }
    if subject.fingers.iter().any(|finger| finger.position == position) {
        return Err(EnrolError::AlreadyEnrolled.into());
    }
    Ok(())
}

/// Lists the fingers of a subject.
#[utoipa::path(get, path = "/v1/subjects/{id}/fingers", operation_id = "list_fingers", tag = "fingers", params(("id" = String, Path, description = "The subject")),
    responses((status = 200, description = "The fingers", body = FingersBody), (status = 404, description = "There is no such subject", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Shared(state): Shared<State>,
    At(id): At<String>,
) -> Result<Json<FingersBody>, Problem> {
    let (id, services) = (parsed(&id)?, state.services()?.clone());
    let subject = on_core(&state, move || services.subject(id)).await??;
    Ok(Json(FingersBody { fingers: subject.fingers.into_iter().map(FingerBody::from).collect() }))
}

/// Removes a finger.
#[utoipa::path(delete, path = "/v1/subjects/{id}/fingers/{position}", operation_id = "remove_finger", tag = "fingers",
    params(("id" = String, Path, description = "The subject"), ("position" = String, Path, description = "The finger")),
    responses((status = 204, description = "Removed"), (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At((id, position)): At<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (id, position, services) = (parsed(&id)?, parsed(&position)?, state.services()?.clone());
    on_core(&state, move || services.remove_finger(&caller, id, position)).await??;
    Ok(StatusCode::NO_CONTENT)
}
