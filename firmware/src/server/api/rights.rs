//! The rights of who is enrolled, over the API: all that is kept about a person as a stream, and the proof of an erasure.

use axum::{
    Extension, Json,
    extract::{Query, State as Shared, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{At, on_core, parsed};
use crate::{
    audit::Signed,
    request::Caller,
    server::{
        State,
        connection::LongAnswer,
        outgoing::{self, Outgoing},
        problem::Problem,
    },
    services::{Proof, RightsError},
};

impl From<RightsError> for Problem {
    fn from(why: RightsError) -> Self {
        let detail = why.to_string();
        match why {
            RightsError::Subject(why) => why.into(),
            RightsError::NotErased => {
                Self::new(StatusCode::NOT_FOUND, "not-erased", "Nobody of this id was erased", detail)
            }
            RightsError::TooOld => {
                Self::new(StatusCode::GONE, "erasure-too-old", "The record is not kept any more", detail)
            }
            RightsError::Audit(why) => why.into(),
        }
    }
}

/// What is given out beside what is always given.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct With {
    /// The templates too, as records of ISO/IEC 19794-2:2005 in base64.
    #[serde(default)]
    templates: bool,
}

/// Gives out all that is kept about a person: the record, fingers, which other factors there are, how many probes, and every
/// record of the audit that names the person; the templates on request. That it was given out is a record itself.
#[utoipa::path(get, path = "/v1/subjects/{id}/export", tag = "subjects", operation_id = "export_subject",
    params(("id" = String, Path, description = "The subject"), With),
    responses((status = 200, description = "All that is kept", body = Object), (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn export(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(id): At<String>,
    with: Result<Query<With>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(With { templates }) = with.map_err(|why| Problem::bad_request(why.body_text()))?;
    let (id, services) = (parsed(&id)?, state.services()?.clone());
    let write = move |out: Outgoing| services.export_subject(&by, id, templates, out);
    let mut response = outgoing::body(write).await?.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(LongAnswer);
    Ok(response)
}

/// That somebody was erased.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProofBody {
    /// The record of the erasure, as it is in the audit: its SHA-256 is what is signed.
    record: String,
    /// The box's signature: the record is in its audit, and the key of what was stored of the person is destroyed.
    #[schema(value_type = Object)]
    statement: Signed,
}

/// The proof that somebody was erased on this box, for who was not there.
#[utoipa::path(get, path = "/v1/system/erasures/{id}", tag = "system", operation_id = "erasure_proof",
    params(("id" = String, Path, description = "Who was erased")),
    responses((status = 200, description = "The proof", body = ProofBody),
        (status = 404, description = "Nobody of this id was erased", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The record is not kept any more", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn proof(
    Shared(state): Shared<State>,
    At(id): At<String>,
) -> Result<Json<ProofBody>, Problem> {
    let (id, services) = (parsed(&id)?, state.services()?.clone());
    let Proof { record, statement } = on_core(&state, move || services.erasure_proof(id)).await??;
    Ok(Json(ProofBody { record, statement }))
}
