//! `POST /v1/system/claim`: the only thing that an unclaimed box does for strangers.

use std::sync::PoisonError;

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use tracing::error;
use utoipa::ToSchema;
use uuid::Uuid;

use super::off_core;
use crate::{
    claim::{ClaimError, NAME},
    server::{State, json::Small, problem::Problem},
};

/// A claim.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimBody {
    /// The code on the box's console, or the one whose SHA-256 is in `provision.toml`. Never sent before
    /// the box has shown the authority whose SHA-256 stands beside the code.
    #[schema(max_length = 256)]
    pub(crate) code: String,
    /// PKCS#10 in PEM: P-256, P-384, Ed25519, or RSA of 2048 bits or more. Only the key in it is used.
    #[schema(max_length = 8192)]
    pub(crate) csr: String,
}

/// What the administrator gets.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimedBody {
    /// The administrator's certificate in PEM.
    pub(crate) certificate: String,
    /// The certificate of the box's authority in PEM: what to trust from now on.
    pub(crate) ca: String,
    /// The box's id: whatever its address, its certificate has the DNS name `ID.box.authenteon.invalid`.
    #[schema(value_type = String)]
    pub(crate) device_id: Uuid,
    /// The administrator's name in the registry of clients.
    #[schema(example = "administrator")]
    pub(crate) name: String,
}

/// Claims the box: gives its first administrator a certificate, once. The same code with the same key
/// gets the same answer again.
#[utoipa::path(post, path = "/v1/system/claim", tag = "system", request_body = ClaimBody,
    responses((status = 200, description = "The box is yours", body = ClaimedBody),
        (status = 403, description = "The code is wrong; the detail says how many wrong ones are left", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The box is claimed already", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The certificate request cannot be used; the code stays good", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts, or claiming is locked", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn claim(
    Shared(state): Shared<State>,
    Small(body): Small<ClaimBody>,
) -> Result<Json<ClaimedBody>, Problem> {
    let Some(claim) = state.claim.clone() else { return Err(ClaimError::Claimed.into()) };
    // Not on the matcher's permits: nobody's decision waits for a stranger.
    let claimed = off_core(move || {
        let claimed = claim.attempt(&body.code, &body.csr, |clients| {
            *state.clients.write().unwrap_or_else(PoisonError::into_inner) = clients;
        })?;
        // The claim holds without it; the next start makes up for it.
        if let Err(why) = state.settle_clients() {
            error!(%why, "the administrator is not a fact of the store yet");
        }
        Ok::<_, ClaimError>(claimed)
    })
    .await??;
    Ok(Json(ClaimedBody {
        certificate: claimed.certificate,
        ca: claimed.authority,
        device_id: claimed.device,
        name: NAME.to_owned(),
    }))
}
