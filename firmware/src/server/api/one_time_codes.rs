//! One-time codes for whoever can ask for nothing but a password, such as RADIUS.

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State as Shared},
    http::StatusCode,
    routing::post,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::off_core;
use crate::{
    request::{Caller, RequestId},
    server::{
        State,
        json::{Body, SMALL},
        problem::Problem,
    },
    services::{CODE_GOOD, CodeError, NotAccepted},
};

/// The route of codes, with small bodies.
pub(super) fn routes() -> Router<State> {
    Router::new().route("/v1/one-time-codes", post(give)).layer(DefaultBodyLimit::max(SMALL))
}

/// Which accept gives the code.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedCodeBody {
    /// Of the verification or identification that was accepted.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub(crate) request_id: RequestId,
}

/// A code, shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneTimeCodeBody {
    /// Eight digits, which the person types in the place of a password.
    #[schema(pattern = "^[0-9]{8}$")]
    pub(crate) one_time_code: String,
    /// For how many seconds it is good, once.
    pub(crate) good_for_s: u64,
}

impl From<CodeError> for Problem {
    fn from(why: CodeError) -> Self {
        const TITLE: &str = "No code is given";
        let detail = why.to_string();
        match why {
            CodeError::Accept(NotAccepted::Unknown) => {
                Self::new(StatusCode::NOT_FOUND, "no-such-accept", TITLE, detail)
            }
            CodeError::Accept(NotAccepted::Used) => {
                Self::new(StatusCode::CONFLICT, "accept-used", TITLE, detail)
            }
            CodeError::Gone => Self::unknown_subject(),
            CodeError::TooMany => Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-codes", TITLE, detail),
            CodeError::Randomness => Self::internal(&why),
            CodeError::Store(why) => why.into(),
        }
    }
}

/// Gives a one-time code to who was accepted a moment ago, for use over RADIUS: once, within 60 s, to the same station.
#[utoipa::path(post, path = "/v1/one-time-codes", operation_id = "give_one_time_code", tag = "handover", request_body = WantedCodeBody,
    responses((status = 201, description = "The code; one of before is none any more", body = OneTimeCodeBody),
        (status = 404, description = "There was no such accept of this station within 60 s", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The accept gave a code already", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many codes are good now", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn give(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    body: Body<WantedCodeBody>,
) -> Result<(StatusCode, Json<OneTimeCodeBody>), Problem> {
    let services = state.services()?.clone();
    let (WantedCodeBody { request_id }, permit) = body.into_parts();
    drop(permit);
    let code = off_core(move || services.give_code(&caller, &request_id)).await??;
    let given = OneTimeCodeBody { one_time_code: code.text(), good_for_s: CODE_GOOD.as_secs() };
    Ok((StatusCode::CREATED, Json(given)))
}
