//! The routes of `/v1`. Handlers parse, call a service on a blocking thread, and put its answer into words.

pub(super) mod accounts;
pub(super) mod adoption;
pub(super) mod at_rest;
pub(super) mod audit;
pub(super) mod backup;
pub(super) mod claim;
pub(super) mod decisions;
pub(super) mod diagnose;
pub(super) mod directory;
pub(super) mod factors;
pub(super) mod fingers;
pub(super) mod handover;
pub(super) mod health;
pub(super) mod invitations;
pub(super) mod lockouts;
pub(super) mod one_time_codes;
pub(super) mod policy;
mod presented;
pub(super) mod rights;
pub(super) mod sample;
pub(super) mod sensors;
pub(super) mod stations;
pub(super) mod subjects;
pub(super) mod support;
pub(super) mod system;
pub(super) mod tokens;
pub(super) mod upkeep;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequestParts, Path},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
    middleware,
    routing::{delete, get, post, put},
};

use serde::de::DeserializeOwned;

use tracing::Span;

use super::{State, access, correlation, json::SMALL, metrics, openapi, problem::Problem};

/// All routes, each behind the guard.
pub(super) fn router(state: State) -> Router {
    // Strangers may ask for it, so it is made once.
    let document = Bytes::from(openapi::document().to_string());
    Router::new()
        .route("/v1/health/live", get(health::live))
        .route("/v1/health/state", get(health::state))
        .route("/v1/health/ready", get(health::ready))
        .route("/v1/health/diagnose", get(diagnose::diagnose))
        .route(
            "/v1/openapi.json",
            get(move || async move { ([(CONTENT_TYPE, "application/json")], document) }),
        )
        .route("/v1/system/claim", post(claim::claim).layer(DefaultBodyLimit::max(SMALL)))
        .route("/v1/system/support-bundle", get(support::bundle))
        .route("/v1/system/unlock", post(at_rest::unlock).layer(DefaultBodyLimit::max(SMALL)))
        .route(
            "/v1/system/at-rest",
            get(at_rest::read).put(at_rest::change).layer(DefaultBodyLimit::max(SMALL)),
        )
        .route("/v1/system/backup", post(backup::take_backup).layer(DefaultBodyLimit::max(SMALL)))
        .route("/v1/system/erasures", get(backup::erasures))
        .route(
            "/v1/system/restore",
            put(backup::receive_backup)
                .post(backup::restore_backup)
                .get(backup::restore_status)
                .delete(backup::discard_backup),
        )
        .merge(upkeep::routes())
        .merge(audit::routes())
        .route("/v1/subjects", post(subjects::create).get(subjects::list))
        .route("/v1/subjects/{id}", get(subjects::read).patch(subjects::change).delete(subjects::remove))
        .route("/v1/subjects/{id}/export", get(rights::export))
        .route("/v1/system/erasures/{id}", get(rights::proof))
        .route("/v1/subjects/{id}/fingers", post(fingers::enrol).get(fingers::list))
        .route("/v1/subjects/{id}/fingers/{position}", delete(fingers::remove))
        .route("/v1/subjects/{id}/fingers/{position}/duress", put(factors::mark_duress))
        .route("/v1/subjects/{id}/pin", put(factors::set_pin).delete(factors::remove_pin))
        .route(
            "/v1/subjects/{id}/recovery-code",
            post(factors::give_recovery_code).delete(factors::revoke_recovery_code),
        )
        .route("/v1/policy", get(policy::read_policy))
        .route(
            "/v1/policy/{kind}/{name}",
            get(policy::read_restriction).put(policy::restrict).delete(policy::unrestrict),
        )
        .route("/v1/lockouts", get(lockouts::list_lockouts))
        .route("/v1/subjects/{id}/lockout", delete(lockouts::unlock_subject))
        .route("/v1/stations/{name}/lockout", delete(lockouts::unlock_station))
        .route("/v1/sensors/{id}/lockout", delete(lockouts::unlock_sensor))
        .route("/v1/stations", post(stations::add).get(stations::list))
        .route("/v1/stations/{name}", delete(stations::remove).patch(stations::rename))
        .route("/v1/stations/self/renew", post(stations::renew).layer(DefaultBodyLimit::max(SMALL)))
        .merge(invitations::routes())
        .merge(accounts::routes())
        .merge(tokens::routes())
        .merge(directory::routes())
        .merge(handover::routes())
        .merge(one_time_codes::routes())
        .route("/v1/sensors", get(sensors::list))
        .route("/v1/sensors/{id}/capture", post(sensors::capture))
        .route("/v1/sensors/{id}/test", post(sensors::test))
        .route("/v1/sensors/{id}/adopt", post(adoption::adopt).delete(adoption::release))
        .route("/v1/sensors/{id}/resume", post(adoption::resume))
        .route("/v1/system/update", get(system::status).post(system::upload).delete(system::discard))
        .route("/v1/system/update/trial", post(system::trial))
        .route("/v1/verify", post(decisions::verify))
        .route("/v1/identify", post(decisions::identify))
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "Not with this method",
                "see /v1/openapi.json",
            )
        })
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-route",
                "There is no such route",
                "see /v1/openapi.json",
            )
        })
        .layer(DefaultBodyLimit::max(state.limits.body_bytes))
        .layer(middleware::from_fn_with_state(state.clone(), access::guard))
        .layer(middleware::from_fn(correlation::correlate))
        .layer(middleware::from_fn_with_state(state.operation.metrics.clone(), metrics::measure))
        .with_state(state)
}

/// Runs a service call on a blocking thread, at most as many at a time as there are cores.
pub(super) async fn on_core<T: Send + 'static>(
    state: &State,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    // The semaphore is never closed.
    let permit = state.cores.clone().acquire_owned().await.map_err(|why| Problem::internal(&why))?;
    off_core(move || {
        let result = work();
        drop(permit);
        result
    })
    .await
}

/// Runs what waits more than it works on a blocking thread. What it logs is of this request.
pub(super) async fn off_core<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let span = Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work));
    done.await.map_err(|why| Problem::internal(&why))
}

/// Parts of the path. What is no text is a problem as everything else is.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|why| Problem::bad_request(why.body_text()))
    }
}

/// A part of the path, parsed; what does not parse cannot exist.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|why: T::Err| Problem::bad_request(why.to_string()))
}
