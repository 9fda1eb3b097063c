//! Whether the box lives, and whether it is ready.

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::{
    State,
    access::{OPERATIONAL, UNPROVISIONED},
};

/// What an image says whose updates anybody can sign.
const TEST_IMAGE: &str = "TEST: the key of its updates is no secret";

/// The box answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Live {
    /// Always `live`.
    #[schema(example = "live")]
    pub(crate) status: String,
    /// `unprovisioned` until the box is claimed, then `operational`.
    #[schema(example = "operational")]
    pub(crate) state: String,
    /// `TEST: ...` if the image is for tests; not there otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
}

/// The box does its work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Ready {
    /// `operational`.
    #[schema(example = "operational")]
    pub(crate) state: String,
    /// Fingers enrolled.
    pub(crate) fingers: usize,
    /// Impressions of them: the N of identification.
    pub(crate) impressions: usize,
    /// Liveness of fingers is `not assessed`.
    #[schema(example = "not assessed")]
    pub(crate) liveness: String,
    /// Templates at rest are `not encrypted` in this version.
    #[schema(example = "not encrypted")]
    pub(crate) at_rest: String,
}

/// Whether the box answers, and whether it was claimed.
#[utoipa::path(get, path = "/v1/health/live", tag = "health", responses((status = 200, description = "It does", body = Live)))]
pub(crate) async fn live(Shared(state): Shared<State>) -> Json<Live> {
    let now = if state.unprovisioned() { UNPROVISIONED } else { OPERATIONAL };
    let image = state.test_image.then(|| TEST_IMAGE.to_owned());
    Json(Live { status: "live".to_owned(), state: now.to_owned(), image })
}

/// Whether the box does its work, and how much is enrolled.
#[utoipa::path(get, path = "/v1/health/ready", tag = "health", responses((status = 200, description = "It does", body = Ready)))]
pub(crate) async fn ready(Shared(state): Shared<State>) -> Json<Ready> {
    let counts = state.services.counts();
    Json(Ready {
        state: OPERATIONAL.to_owned(),
        fingers: counts.fingers,
        impressions: counts.impressions,
        liveness: "not assessed".to_owned(),
        at_rest: "not encrypted".to_owned(),
    })
}
