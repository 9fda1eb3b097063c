//! The audit over the API: a page of records, all of them as a stream, whether it holds, and what the box signs of it.
//!
//! Invariant: a stream that ends well is whole; a verification goes on whoever asks or goes away.

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Query, State as Shared, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::on_core;
use crate::{
    audit::Signed,
    clock::Timestamp,
    forward::Progress,
    request::Caller,
    server::{
        State,
        connection::LongAnswer,
        json::{SMALL, Small},
        outgoing::{self, Outgoing},
        problem::Problem,
    },
    services::{AuditError, AuditPage, Check, CheckState, Wanted},
    subject::SubjectId,
};

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;
/// What an export is sent as.
const LINES: &str = "application/x-ndjson";

/// Its routes.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/audit", get(read))
        .route("/v1/audit/export", get(export))
        .route("/v1/audit/verify", get(verification).post(verify).layer(DefaultBodyLimit::max(SMALL)))
        .route("/v1/audit/anchor", get(anchor))
        .route("/v1/audit/key", get(key))
        .route("/v1/audit/forwarding", get(forwarding))
}

impl From<AuditError> for Problem {
    fn from(why: AuditError) -> Self {
        let detail = why.to_string();
        match why {
            AuditError::Running => {
                Self::new(StatusCode::CONFLICT, "audit-check-running", "The audit is being verified", detail)
            }
            AuditError::NoKey => {
                Self::new(StatusCode::CONFLICT, "no-device-key", "Nothing is signed", detail)
            }
            AuditError::Chain(_) => {
                let title = "The audit is damaged or was changed";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "audit-broken", title, detail)
            }
            AuditError::Store(why) => why.into(),
            AuditError::Io(_) => Self::internal(&why),
        }
    }
}

/// Which records.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// From the record after this number: what `through` said of the page before.
    after: Option<u64>,
    /// Instead of `after`: look at so many of the newest.
    last: Option<u64>,
    /// How many, at most 1000.
    limit: Option<usize>,
    /// Only this kind of event, such as `verified`.
    event: Option<String>,
    /// Only what is about this person.
    #[param(value_type = Option<String>, format = "uuid")]
    subject: Option<SubjectId>,
    /// Not before this moment (RFC 3339).
    #[param(value_type = Option<String>, format = "date-time")]
    since: Option<Timestamp>,
    /// Before this moment.
    #[param(value_type = Option<String>, format = "date-time")]
    until: Option<Timestamp>,
}

/// A page of the audit.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditBody {
    /// Records in their order, each with its number, time, who, what, the hash of the one before and its own.
    #[schema(value_type = Vec<Object>)]
    records: Vec<Value>,
    /// The last record that was looked at: the next page is after it.
    through: u64,
    /// The last record that there is. When `through` is less, there may be more.
    head: u64,
}

/// Reads the audit, a page at a time. A page that looked at many records and found none that is asked for is empty, and
/// says how far it looked.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Which), operation_id = "read_audit",
    responses((status = 200, description = "A page", body = AuditBody), (status = 400, description = "Not a question", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Shared(state): Shared<State>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<AuditBody>, Problem> {
    let Query(which) = which.map_err(|why| Problem::bad_request(why.body_text()))?;
    let limit = which.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is from 1 to {LARGEST_PAGE}")));
    }
    if which.after.is_some() && which.last.is_some() {
        return Err(Problem::bad_request("either after or last"));
    }
    let Which { after, last, event, subject, since, until, .. } = which;
    let wanted = Wanted { after: after.unwrap_or_default(), last, limit, event, subject, since, until };
    let services = state.services()?.clone();
    let AuditPage { records, through, head } = on_core(&state, move || services.audit(&wanted)).await??;
    Ok(Json(AuditBody { records, through, head }))
}

/// Which records are given out.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Bounds {
    /// From the first record that is not before this moment (RFC 3339).
    #[param(value_type = Option<String>, format = "date-time")]
    since: Option<Timestamp>,
    /// To the last one before the first that is not before this moment.
    #[param(value_type = Option<String>, format = "date-time")]
    until: Option<Timestamp>,
}

/// Gives out records as lines of JSON, without a gap: the SHA-256 of a record's line, without its end, is `previous` in the
/// next. The first line says whose audit it is, the last one counts the records and signs the last of them; a stream
/// without it was cut. That it was given out is a record itself.
#[utoipa::path(get, path = "/v1/audit/export", tag = "audit", params(Bounds), operation_id = "export_audit", responses(
    (status = 200, description = "The records", body = Vec<u8>, content_type = "application/x-ndjson"),
    (status = 400, description = "Not a question", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn export(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    bounds: Result<Query<Bounds>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Bounds { since, until }) = bounds.map_err(|why| Problem::bad_request(why.body_text()))?;
    let services = state.services()?.clone();
    let write = move |out: Outgoing| services.export_audit(&by, since, until, out).map(drop);
    let mut response = outgoing::body(write).await?.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    response.extensions_mut().insert(LongAnswer);
    Ok(response)
}

/// What the audit is to be compared with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyAuditBody {
    /// A head that the box signed and somebody kept elsewhere, as GET /v1/audit/anchor gives it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    anchor: Option<Signed>,
}

/// The verification that goes on, or the last one since the start.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CheckBody {
    /// Counted from one at every start of the box.
    number: u64,
    /// `running`, `done` or `failed`.
    #[schema(example = "done")]
    state: String,
    /// When it began (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    begun: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended: Option<Timestamp>,
    /// Records that were read, of `all`.
    done: u64,
    all: u64,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<FoundBody>,
    /// Why nothing can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// What a verification found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FoundBody {
    /// `verdict` is `whole`, `broken`, `start-forged`, `rewritten`, `truncated`, `anchor-forged`, `anchor-foreign`,
    /// `anchor-too-old` or `anchor-after-backup`; beside it, the record that it is about.
    #[schema(value_type = Object)]
    #[serde(flatten)]
    verdict: Value,
    /// Records that were read.
    records: u64,
    /// Signed heads that they were compared with.
    heads: u64,
    /// The first record that is kept.
    first: u64,
    /// The last one.
    last: u64,
    /// SHA-256 of the last one.
    hash: String,
    /// The store that the anchor is of, when it is one whose backup was restored here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    archive_of: Option<uuid::Uuid>,
    /// Signed heads of this box, and its start, that another key signed than it has now.
    other_keys: u64,
    /// Whether another key signed the anchor.
    anchor_of_other_key: bool,
}

impl From<Check> for CheckBody {
    fn from(check: Check) -> Self {
        let Check { number, begun, ended, progress: (done, all), state } = check;
        let (state, found, problem) = match state {
            CheckState::Running => ("running", None, None),
            CheckState::Done(finding) => ("done", Some(finding), None),
            CheckState::Failed(why) => ("failed", None, Some(why.into())),
        };
        let found = found.map(|finding| FoundBody {
            verdict: serde_json::json!(finding.verdict),
            records: finding.records,
            heads: finding.heads,
            first: finding.first,
            last: finding.head.number(),
            hash: finding.head.hash().to_owned(),
            archive_of: finding.of,
            other_keys: finding.other_keys,
            anchor_of_other_key: finding.other_key,
        });
        Self { number, state: state.to_owned(), begun, ended, done, all, found, problem }
    }
}

/// Begins to verify the audit: the chain from its start to its head, against every head that the box signed and keeps, and
/// against one that was kept elsewhere. GET says how far it is and what was found.
#[utoipa::path(post, path = "/v1/audit/verify", tag = "audit", request_body = VerifyAuditBody, operation_id = "verify_audit", responses(
    (status = 202, description = "It has begun", body = CheckBody),
    (status = 409, description = "It is being verified already", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify(
    Shared(state): Shared<State>,
    Small(body): Small<VerifyAuditBody>,
) -> Result<(StatusCode, Json<CheckBody>), Problem> {
    let (body, _place) = body.into_parts();
    let services = state.services()?.clone();
    let check = on_core(&state, move || services.check_audit(body.anchor)).await??;
    Ok((StatusCode::ACCEPTED, Json(check.into())))
}

/// A verification, if there was one since the start of the box.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerificationBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<CheckBody>,
}

/// How far the verification is, and what it found.
#[utoipa::path(get, path = "/v1/audit/verify", tag = "audit", operation_id = "audit_verification", responses(
    (status = 200, description = "State and progress", body = VerificationBody)))]
pub(crate) async fn verification(Shared(state): Shared<State>) -> Result<Json<VerificationBody>, Problem> {
    Ok(Json(VerificationBody { check: state.services()?.audit_check().map(CheckBody::from) }))
}

/// The head of the audit now, signed with the device key: whoever keeps it elsewhere can tell later whether the audit was
/// rewritten or cut short.
#[utoipa::path(get, path = "/v1/audit/anchor", tag = "audit", operation_id = "audit_anchor", responses(
    (status = 200, description = "The signed head", body = Object),
    (status = 409, description = "The box has no device key", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn anchor(Shared(state): Shared<State>) -> Result<Json<Signed>, Problem> {
    let services = state.services()?.clone();
    Ok(Json(on_core(&state, move || services.audit_anchor()).await??))
}

/// The public key of what the box signs.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyBody {
    /// The store whose audit is signed.
    #[schema(value_type = String, format = "uuid")]
    store: uuid::Uuid,
    /// `ed25519`.
    #[schema(example = "ed25519")]
    algorithm: String,
    /// The key, in base64.
    key: String,
    /// Its certificate in PEM: of the box's authority, for documents (RFC 9336) and no connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

/// The public key that the box signs its audit with.
#[utoipa::path(get, path = "/v1/audit/key", tag = "audit", operation_id = "audit_key", responses(
    (status = 200, description = "The key", body = KeyBody),
    (status = 409, description = "The box has no device key", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn key(Shared(state): Shared<State>) -> Result<Json<KeyBody>, Problem> {
    let (store, key, certificate) = state.services()?.audit_key()?;
    Ok(Json(KeyBody { store, algorithm: "ed25519".to_owned(), key, certificate }))
}

/// How the audit is forwarded.
#[derive(Serialize, ToSchema)]
pub(crate) struct ForwardingBody {
    /// Destinations of the configuration.
    destinations: Vec<DestinationBody>,
}

/// How forwarding to a destination goes.
#[derive(Serialize, ToSchema)]
pub(crate) struct DestinationBody {
    /// What it is called.
    name: String,
    /// `syslog` or `webhook`.
    #[schema(example = "syslog")]
    kind: String,
    /// `forwarding`, or `failing` when the last attempt did.
    #[schema(example = "forwarding")]
    state: String,
    /// The last record that it has confirmed.
    through: u64,
    /// Records that it has not confirmed.
    lag: u64,
    /// Records that it has confirmed since the start of the box.
    sent: u64,
    /// When it confirmed last (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    confirmed: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<Progress> for DestinationBody {
    fn from(progress: Progress) -> Self {
        let lag = progress.lag();
        let Progress { name, kind, through, sent, confirmed, error, .. } = progress;
        let state = if error.is_some() { "failing" } else { "forwarding" };
        Self { name, kind: kind.to_owned(), state: state.to_owned(), through, lag, sent, confirmed, error }
    }
}

/// How far each destination has confirmed the audit.
#[utoipa::path(get, path = "/v1/audit/forwarding", tag = "audit", operation_id = "audit_forwarding", responses(
    (status = 200, description = "By destination", body = ForwardingBody)))]
pub(crate) async fn forwarding(Shared(state): Shared<State>) -> Json<ForwardingBody> {
    let destinations = state.forwarding.progress().into_iter().map(DestinationBody::from).collect();
    Json(ForwardingBody { destinations })
}
