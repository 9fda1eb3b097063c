//! PIN, recovery code and finger under duress of a subject: given and taken by officers, never shown to a station.

use std::time::Duration;

use axum::{Extension, Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{At, on_core, parsed};
use crate::{
    factor::Pin,
    request::Caller,
    server::{State, json::Body, problem::Problem},
    services::PinError,
    subject::{FingerPosition, SubjectId},
};

/// A PIN to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinBody {
    /// 4 to 64 characters, and no row such as 1234.
    #[schema(value_type = String, format = Password, min_length = 4, max_length = 64)]
    pin: Pin,
}

/// A code to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecoveryBody {
    /// For how long it is good.
    #[serde(default)]
    #[schema(value_type = u32, default = 24, minimum = 1, maximum = 168)]
    valid_hours: ValidHours,
}

/// An hour to a week.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct ValidHours(u32);

impl Default for ValidHours {
    fn default() -> Self {
        Self(24)
    }
}

impl TryFrom<u32> for ValidHours {
    type Error = &'static str;

    fn try_from(hours: u32) -> Result<Self, &'static str> {
        if (1..=168).contains(&hours) { Ok(Self(hours)) } else { Err("valid_hours is from 1 to 168") }
    }
}

/// A code, shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecoveryGivenBody {
    /// Give it to the person: it is good once in the place of a finger.
    pub(crate) recovery_code: String,
    /// And until then (RFC 3339).
    #[schema(format = DateTime)]
    pub(crate) expires: String,
}

/// Whether a finger is the one for duress.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DuressBody {
    /// It is accepted as any other, and raises a silent alarm.
    pub(crate) duress: bool,
}

impl From<PinError> for Problem {
    fn from(why: PinError) -> Self {
        match why {
            PinError::Not(why) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "weak-pin",
                "The PIN cannot be used",
                why.to_string(),
            ),
            PinError::Subject(why) => why.into(),
        }
    }
}

/// Gives a subject a PIN, in the place of the one of before.
#[utoipa::path(put, path = "/v1/subjects/{id}/pin", tag = "factors", request_body = PinBody, params(("id" = String, Path, description = "The subject")),
    responses((status = 204, description = "Kept"), (status = 404, description = "There is no such subject", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be used", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_pin(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
    body: Body<PinBody>,
) -> Result<StatusCode, Problem> {
    let (id, services) = (parsed::<SubjectId>(&id)?, state.services()?.clone());
    let (PinBody { pin }, permit) = body.into_parts();
    drop(permit);
    on_core(&state, move || services.set_pin(&caller, id, &pin)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a subject's PIN away.
#[utoipa::path(delete, path = "/v1/subjects/{id}/pin", tag = "factors", params(("id" = String, Path, description = "The subject")),
    responses((status = 204, description = "There is none"), (status = 404, description = "There is no such subject", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_pin(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    let (id, services) = (parsed::<SubjectId>(&id)?, state.services()?.clone());
    on_core(&state, move || services.remove_pin(&caller, id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a code that is good once in the place of a finger, in the place of the one of before.
#[utoipa::path(post, path = "/v1/subjects/{id}/recovery-code", tag = "factors", request_body = RecoveryBody, params(("id" = String, Path, description = "The subject")),
    responses((status = 201, description = "Given", body = RecoveryGivenBody), (status = 404, description = "There is no such subject", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn give_recovery_code(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
    body: Body<RecoveryBody>,
) -> Result<(StatusCode, Json<RecoveryGivenBody>), Problem> {
    let (id, services) = (parsed::<SubjectId>(&id)?, state.services()?.clone());
    let valid = Duration::from_secs(u64::from(body.valid_hours.0) * 3600);
    drop(body);
    let (code, expires) = on_core(&state, move || services.issue_recovery_code(&caller, id, valid)).await??;
    let given = RecoveryGivenBody { recovery_code: code.text(), expires: expires.to_string() };
    Ok((StatusCode::CREATED, Json(given)))
}

/// Takes a code back.
#[utoipa::path(delete, path = "/v1/subjects/{id}/recovery-code", tag = "factors", params(("id" = String, Path, description = "The subject")),
    responses((status = 204, description = "There is none"), (status = 404, description = "There is no such subject", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_recovery_code(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    let (id, services) = (parsed::<SubjectId>(&id)?, state.services()?.clone());
    on_core(&state, move || services.revoke_recovery_code(&caller, id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether a finger is the one for duress: accepted as any other, with a silent alarm.
#[utoipa::path(put, path = "/v1/subjects/{id}/fingers/{position}/duress", tag = "factors", request_body = DuressBody,
    params(("id" = String, Path, description = "The subject"), ("position" = String, Path, description = "The finger")),
    responses((status = 204, description = "Kept"), (status = 404, description = "There is no such subject or finger", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn mark_duress(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At((id, position)): At<(String, String)>,
    body: Body<DuressBody>,
) -> Result<StatusCode, Problem> {
    let (id, position) = (parsed::<SubjectId>(&id)?, parsed::<FingerPosition>(&position)?);
    let (services, duress) = (state.services()?.clone(), body.duress);
    drop(body);
    on_core(&state, move || services.mark_duress(&caller, id, position, duress)).await??;
    Ok(StatusCode::NO_CONTENT)
}
