//! Encryption at rest: the passphrase that a locked box waits for, and which master key what is stored has.
//!
//! Invariant: a passphrase is in no answer, no log and no message of an error.

use axum::{Extension, Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::off_core;
use crate::{
    request::Caller,
    server::{State, access::OPERATIONAL, json::Small, problem::Problem},
    services::{AtRest, Master, Passphrase},
};

/// The passphrase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnlockBody {
    #[schema(value_type = String, max_length = 1024)]
    passphrase: String,
}

/// The box is not locked any more.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnlockedBody {
    /// `operational`.
    #[schema(example = "operational")]
    state: String,
}

/// How what is stored is to be protected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MasterBody {
    mode: Mode,
    /// The passphrase that is asked for at every start from now on; with `passphrase` only. Nobody can read what
    /// is stored without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 12, max_length = 1024)]
    passphrase: Option<String>,
    /// The present passphrase, where there is one.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1024)]
    current: Option<String>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// A key in a file: the box starts by itself, and whoever takes it with its disk has the key too.
    KeyFile,
    /// A passphrase.
    Passphrase,
    /// A key that the machine's TPM seals: the box starts by itself, and the disk is worth nothing without it.
    Tpm,
}

/// How what is stored is protected.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct AtRestBody {
    /// `passphrase`, `key-file`, `tpm` or `not-encrypted`.
    #[schema(value_type = String, example = "passphrase")]
    mode: AtRest,
    /// Whether what was stored before its encryption still lies beside in clear.
    snapshot: bool,
}

/// Gives the passphrase to a locked box. A wrong one makes the next attempt wait.
#[utoipa::path(post, path = "/v1/system/unlock", tag = "system", request_body = UnlockBody, responses(
    (status = 200, description = "It does its work", body = UnlockedBody),
    (status = 403, description = "Another passphrase", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is not locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too soon after a wrong one", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn unlock(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    Small(body): Small<UnlockBody>,
) -> Result<Json<UnlockedBody>, Problem> {
    let (body, place) = body.into_parts();
    let passphrase = Zeroizing::new(body.passphrase);
    // Not on the matcher's permits: nothing is matched yet.
    off_core(move || {
        let done = state.lock.unlock(&by, &passphrase);
        drop(place);
        done
    })
    .await??;
    Ok(Json(UnlockedBody { state: OPERATIONAL.to_owned() }))
}

/// How what is stored is protected.
#[utoipa::path(get, path = "/v1/system/at-rest", operation_id = "read_at_rest", tag = "system", responses(
    (status = 200, description = "This way", body = AtRestBody)))]
pub(crate) async fn read(Shared(state): Shared<State>) -> Result<Json<AtRestBody>, Problem> {
    let services = state.services()?;
    Ok(Json(AtRestBody { mode: services.at_rest(), snapshot: services.snapshot() }))
}

/// Protects what is stored this way from now on: the keys are wrapped anew at once, and no value is touched.
#[utoipa::path(put, path = "/v1/system/at-rest", tag = "system", request_body = MasterBody, responses(
    (status = 200, description = "It is protected this way", body = AtRestBody),
    (status = 403, description = "`current` is not the present passphrase", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Nothing is encrypted yet: an update is on trial; or no TPM is there, or none is supported", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The passphrase is too short, or `current` is missing", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The TPM is there and does not do it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    Small(body): Small<MasterBody>,
) -> Result<Json<AtRestBody>, Problem> {
    let (body, place) = body.into_parts();
    let current = body.current.map(Zeroizing::new);
    let master = match (body.mode, body.passphrase) {
        (Mode::KeyFile, None) => Master::File,
        (Mode::Tpm, None) => Master::Tpm,
        (Mode::KeyFile | Mode::Tpm, Some(passphrase)) => {
            drop(Zeroizing::new(passphrase));
            return Err(Problem::bad_request(
                "a key in a file or in a TPM has no passphrase; the present one is `current`",
            ));
        }
        (Mode::Passphrase, None) => return Err(Problem::bad_request("`passphrase` is missing")),
        (Mode::Passphrase, Some(passphrase)) => {
            Master::Passphrase(Passphrase::new(passphrase).map_err(Problem::from)?)
        }
    };
    let services = state.services()?.clone();
    off_core(move || {
        let mode = services.change_master(&by, current.as_ref().map(|c| c.as_str()), &master)?;
        drop(place);
        Ok::<_, Problem>(AtRestBody { mode, snapshot: services.snapshot() })
    })
    .await?
    .map(Json)
}
