//! Backups over the API: one is taken as it streams out; one that came in is tried, and restored into an empty box.
//!
//! Invariant: a passphrase is in no answer, no log and no message of an error.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body as Raw,
    extract::State as Shared,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::off_core;
use crate::{
    backup::{BackupError, Erasures, Header},
    clock::Timestamp,
    request::{Caller, Role},
    server::{
        State,
        backups::{Came, Phase, Work},
        connection::LongAnswer,
        json::{Body, Small},
        outgoing::{self, Asked},
        problem::Problem,
    },
    services::{Passphrase, RestoreOptions, RestoreReport},
};

/// What a backup is sent as.
const BACKUP: &str = "application/vnd.authenteon.backup";

/// A backup to be taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct BackupBody {
    /// Its own passphrase: without it nobody reads the backup.
    #[schema(value_type = String, min_length = 12, max_length = 1024)]
    passphrase: String,
    /// Days until it is to be destroyed; 90 if nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    expires_days: Option<u32>,
}

/// Takes a backup of what is stored at this moment, while everybody is served. A body that ends before its last part
/// was cut: it is no backup.
#[utoipa::path(post, path = "/v1/system/backup", tag = "system", request_body = BackupBody, responses(
    (status = 200, description = "The backup, encrypted", body = Vec<u8>, content_type = "application/vnd.authenteon.backup"),
    (status = 422, description = "The passphrase is too short, or the backup cannot expire then", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "People are being put back", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn take_backup(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    Small(body): Small<BackupBody>,
) -> Result<Response, Problem> {
    let (body, place) = body.into_parts();
    let passphrase = Passphrase::new(body.passphrase)?;
    drop(place);
    let days = body.expires_days.unwrap_or(Header::DAYS);
    let asked = Asked { by, passphrase: Arc::new(passphrase), days };
    let (body, length) = outgoing::take(state.services()?.clone(), state.backups.folder(), asked).await?;
    let mut response = body.into_response();
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(BACKUP));
    response.extensions_mut().insert(LongAnswer);
    Ok(response)
}

/// Who and what was erased on this box, by random ids: to be applied before an older backup is restored.
#[utoipa::path(get, path = "/v1/system/erasures", tag = "system", responses(
    (status = 200, description = "The list", body = Object)))]
pub(crate) async fn erasures(Shared(state): Shared<State>) -> Result<Json<serde_json::Value>, Problem> {
    let services = state.services()?.clone();
    Ok(Json(off_core(move || services.erasures()).await??.to_json()))
}

/// What a backup that came in says of itself, and what was made of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RestoreBody {
    /// `nothing`, `receiving`, `received`, `checking`, `restoring`, `checked`, `restored` or `failed`.
    #[schema(example = "received")]
    state: String,
    /// What it is called here: to be named by who has something done with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    backup: Option<uuid::Uuid>,
    /// The store that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    store: Option<uuid::Uuid>,
    /// When it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    taken: Option<Timestamp>,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    expires: Option<Timestamp>,
    /// Bytes that are done, of `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<u64>,
    /// What was, or would be, restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<ReportBody>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// What was, or would be, restored.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ReportBody {
    people: u64,
    fingers: u64,
    /// Erasures that are known on this box now.
    erasures: u64,
    /// Records of the other box's audit, which are kept apart.
    audit: u64,
    /// Clients of the other box: they hold certificates of another authority, and are to be added anew.
    clients: Vec<String>,
}

impl From<RestoreReport> for ReportBody {
    fn from(report: RestoreReport) -> Self {
        let RestoreReport { people, fingers, erasures, audit, clients, .. } = report;
        Self { people, fingers, erasures, audit, clients }
    }
}

impl From<Phase> for RestoreBody {
    fn from(phase: Phase) -> Self {
        let of = |state: &str, came: Option<&Came>| Self {
            state: state.to_owned(),
            backup: came.map(|came| came.id),
            store: came.map(|came| came.header.store),
            taken: came.map(|came| came.header.taken),
            expires: came.map(|came| came.header.expires),
            done: None,
            all: None,
            report: None,
            error: None,
        };
        match phase {
            Phase::Nothing => of("nothing", None),
            Phase::Receiving => of("receiving", None),
            Phase::Here(came, bytes) => Self { all: Some(bytes), ..of("received", Some(&came)) },
            Phase::Working { came, dry_run, done, all } => {
                let state = if dry_run { "checking" } else { "restoring" };
                Self { done: Some(done), all: Some(all), ..of(state, Some(&came)) }
            }
            Phase::Done { came, dry_run, report } => {
                let state = if dry_run { "checked" } else { "restored" };
                Self { report: Some((*report).into()), ..of(state, Some(&came)) }
            }
            Phase::Failed(came, why) => Self { error: Some(*why), ..of("failed", Some(&came)) },
        }
    }
}

/// Takes in a backup; nothing is done with it before POST.
#[utoipa::path(put, path = "/v1/system/restore", tag = "system",
    request_body(content = Vec<u8>, content_type = "application/vnd.authenteon.backup"),
    responses(
        (status = 200, description = "It is here", body = RestoreBody),
        (status = 409, description = "Another one is being restored", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is no backup, or of a later version", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "No room for it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn receive_backup(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Raw,
) -> Result<Json<RestoreBody>, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    state.backups.take(body, announced, state.limits.request()).await?;
    Ok(Json(state.backups.phase().into()))
}

/// How the backup that came in is to be worked on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WorkBody {
    /// Which one, as PUT answered.
    #[schema(value_type = String)]
    backup: uuid::Uuid,
    /// The backup's passphrase.
    #[schema(value_type = String, max_length = 1024)]
    passphrase: String,
    /// Only read all of it, and say what would be restored.
    #[serde(default)]
    dry_run: bool,
    /// The list of erasures since the backup, as the box that it is of exports it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    erasures: Option<serde_json::Value>,
    /// Go on without such a list: people who were erased since come back.
    #[serde(default)]
    without_erasures: bool,
    /// Though it expired.
    #[serde(default)]
    even_expired: bool,
}

/// Begins to try or to restore the backup that came in; GET says how far it is. Only an administrator restores. It is restored whole or not at all,
/// into a box where nobody is enrolled.
#[utoipa::path(post, path = "/v1/system/restore", tag = "system", request_body = WorkBody, responses(
    (status = 202, description = "It has begun", body = RestoreBody),
    (status = 403, description = "Only an administrator restores; others may try it with dry-run", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "No backup is here, another one is being restored, or no list of erasures is given", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The list of erasures cannot be used", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn restore_backup(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    body: Body<WorkBody>,
) -> Result<(StatusCode, Json<RestoreBody>), Problem> {
    let (body, _place) = body.into_parts();
    let passphrase = Zeroizing::new(body.passphrase);
    if !body.dry_run && by.role != Role::Administrator {
        return Err(Problem::forbidden(
            "only an administrator restores a backup; others may try it with dry-run",
        ));
    }
    let erasures = body.erasures.map(Erasures::from_json).transpose()?;
    if erasures.is_none() && !body.without_erasures {
        return Err(BackupError::NoErasures.into());
    }
    let options =
        RestoreOptions { erasures, without_erasures: body.without_erasures, even_expired: body.even_expired };
    let work = Work { backup: body.backup, by, passphrase, options, dry_run: body.dry_run };
    state.backups.work(state.services()?.clone(), work)?;
    Ok((StatusCode::ACCEPTED, Json(state.backups.phase().into())))
}

/// How far it is, and what came of it.
#[utoipa::path(get, path = "/v1/system/restore", tag = "system", responses(
    (status = 200, description = "State and progress", body = RestoreBody)))]
pub(crate) async fn restore_status(Shared(state): Shared<State>) -> Json<RestoreBody> {
    Json(state.backups.phase().into())
}

/// Forgets the backup that came in.
#[utoipa::path(delete, path = "/v1/system/restore", tag = "system", responses(
    (status = 204, description = "Nothing is here any more"),
    (status = 409, description = "It is being restored", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn discard_backup(Shared(state): Shared<State>) -> Result<StatusCode, Problem> {
    state.backups.forget()?;
    Ok(StatusCode::NO_CONTENT)
}
