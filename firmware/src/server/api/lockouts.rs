//! Who is locked out after too many failures: listed, and let in again.

use axum::{Extension, Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{At, on_core, parsed};
use crate::{
    request::Caller,
    server::{State, problem::Problem},
    services::{Failed, lockout::About},
};

/// Who failed.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockoutsBody {
    /// Who waits longest first.
    pub(crate) lockouts: Vec<LockoutBody>,
    /// How many more there are.
    pub(crate) left_out: usize,
}

/// Failures that count against somebody.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockoutBody {
    /// `subject`, `station` or `sensor`.
    pub(crate) scope: String,
    /// Which one: a subject's id, also of one that does not exist; a station's name; a reader's id.
    pub(crate) id: String,
    /// How many.
    pub(crate) failures: u32,
    /// Seconds that are still to be waited; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_s: Option<u32>,
}

impl From<Failed> for LockoutBody {
    fn from(failed: Failed) -> Self {
        Self {
            scope: failed.scope.name().to_owned(),
            id: failed.id,
            failures: failed.failures,
            retry_after_s: failed.wait.map(|wait| wait.seconds()),
        }
    }
}

const MOST: usize = 1000;

/// Lists who failed, and who has to wait.
#[utoipa::path(get, path = "/v1/lockouts", tag = "lockouts",
    responses((status = 200, description = "At most 1000, those who wait longest first", body = LockoutsBody)))]
pub(crate) async fn list_lockouts(Shared(state): Shared<State>) -> Result<Json<LockoutsBody>, Problem> {
    let services = state.services()?.clone();
    let mut all = on_core(&state, move || services.lockouts()).await?;
    let left_out = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    Ok(Json(LockoutsBody { lockouts: all.into_iter().map(LockoutBody::from).collect(), left_out }))
}

async fn clear(state: &State, caller: Caller, about: About) -> Result<StatusCode, Problem> {
    let services = state.services()?.clone();
    on_core(state, move || services.clear_lockout(&caller, &about)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes away a subject's failures, and what is to be waited for them.
#[utoipa::path(delete, path = "/v1/subjects/{id}/lockout", tag = "lockouts", params(("id" = String, Path, description = "The subject")),
    responses((status = 204, description = "Nothing counts against the subject"), (status = 404, description = "There is no such subject", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn unlock_subject(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    clear(&state, caller, About::Subject(parsed(&id)?)).await
}

/// Takes away a station's failures, and what is to be waited for them.
#[utoipa::path(delete, path = "/v1/stations/{name}/lockout", tag = "lockouts", params(("name" = String, Path, description = "The station's name")),
    responses((status = 204, description = "Nothing counts against the station")))]
pub(crate) async fn unlock_station(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
) -> Result<StatusCode, Problem> {
    clear(&state, caller, About::Station(name)).await
}

/// Takes away the failures at a reader of the box, and what is to be waited for them.
#[utoipa::path(delete, path = "/v1/sensors/{id}/lockout", tag = "lockouts", params(("id" = String, Path, description = "The reader")),
    responses((status = 204, description = "Nothing counts against the reader")))]
pub(crate) async fn unlock_sensor(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    clear(&state, caller, About::Sensor(id)).await
}
