//! Which readers may be used: adopted, released, and resumed after the case was opened.

use authenteon_hal::discovery::ReaderId;
use axum::{Extension, Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    At, off_core, parsed,
    sensors::{SensorBody, described},
};
use crate::{
    reader::Reader,
    request::Caller,
    sensors::CaptureError,
    server::{State, json::Body, problem::Problem},
    services::{ReaderError, Services},
};

/// A reader as the administrator saw it in the list: what has been put in its place since is not adopted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdoptBody {
    /// Maker and model.
    pub(crate) model: String,
    /// Its serial number; left out where it tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// Where it is plugged in.
    pub(crate) port: String,
}

/// A reader as it was when it was adopted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdoptedBody {
    /// Maker and model.
    pub(crate) model: String,
    /// Its serial number, where it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// Where it was plugged in.
    pub(crate) port: String,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub(crate) at: String,
    /// When it was suspended, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub(crate) suspended: Option<String>,
}

/// Adopts a reader: from now on it is used.
#[utoipa::path(post, path = "/v1/sensors/{id}/adopt", tag = "sensors", operation_id = "adopt_sensor", request_body = AdoptBody,
    params(("id" = String, Path, description = "The reader")),
    responses((status = 200, description = "It is adopted", body = SensorBody),
        (status = 404, description = "There is no such reader", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is another than the body says, it is suspended, or the case is open", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The reader is absent", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn adopt(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(id): At<String>,
    body: Body<AdoptBody>,
) -> Result<Json<SensorBody>, Problem> {
    let reader = present(&state, &parsed(&id)?)?;
    if (&body.model, &body.serial, &body.port) != (&reader.model, &reader.serial, &reader.port) {
        let detail = "the reader is not as the request says: list the readers again and look at it";
        return Err(Problem::new(StatusCode::CONFLICT, "sensor-changed", "The reader is another", detail));
    }
    changed(&state, reader, move |services, reader| services.adopt(&by, reader)).await
}

/// Uses a suspended reader again.
#[utoipa::path(post, path = "/v1/sensors/{id}/resume", tag = "sensors", operation_id = "resume_sensor",
    params(("id" = String, Path, description = "The reader")),
    responses((status = 200, description = "It is used again", body = SensorBody),
        (status = 404, description = "There is no such reader, or nobody has adopted it", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not suspended, it has moved, or the case is open", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The reader is absent", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn resume(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(id): At<String>,
) -> Result<Json<SensorBody>, Problem> {
    let reader = present(&state, &parsed(&id)?)?;
    changed(&state, reader, move |services, reader| services.resume(&by, reader)).await
}

/// Releases a reader: it is used no longer, and need not be there.
#[utoipa::path(delete, path = "/v1/sensors/{id}/adopt", tag = "sensors", operation_id = "release_sensor",
    params(("id" = String, Path, description = "The reader")),
    responses((status = 204, description = "It is released"),
        (status = 404, description = "Nobody has adopted it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn release(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    let sensor: ReaderId = parsed(&id)?;
    let services = state.services()?.clone();
    off_core(move || services.release(&by, &sensor)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// The reader of this name as it is now.
fn present(state: &State, id: &ReaderId) -> Result<Reader, CaptureError> {
    let found = state.sensors.list().into_iter().find(|found| found.id == *id);
    found.ok_or(CaptureError::Unknown)?.reader.ok_or(CaptureError::Absent)
}

/// Makes a change of a reader, and says how it is then.
async fn changed(
    state: &State,
    reader: Reader,
    change: impl FnOnce(&Services, &Reader) -> Result<(), ReaderError> + Send + 'static,
) -> Result<Json<SensorBody>, Problem> {
    let (services, id) = (state.services()?.clone(), reader.id.clone());
    off_core(move || change(&services, &reader)).await??;
    let body = described(state).into_iter().find(|body| body.sensor == id);
    body.map(Json).ok_or_else(|| CaptureError::Unknown.into())
}

impl From<ReaderError> for Problem {
    fn from(why: ReaderError) -> Self {
        let detail = why.to_string();
        let conflict = |slug, title| Self::new(StatusCode::CONFLICT, slug, title, detail.clone());
        match why {
            ReaderError::NotAdopted => {
                Self::new(StatusCode::NOT_FOUND, "sensor-not-adopted", "The reader is not adopted", detail)
            }
            ReaderError::Suspended => conflict("sensor-suspended", "The reader is suspended"),
            ReaderError::NotSuspended => conflict("sensor-not-suspended", "The reader is not suspended"),
            ReaderError::Moved => conflict("sensor-moved", "The reader was moved or exchanged"),
            ReaderError::CaseOpen => conflict("case-open", "The case is open"),
            ReaderError::OnTrial => conflict("on-trial", "Not while an update is on trial"),
            ReaderError::Store(why) => why.into(),
        }
    }
}
