//! The policy: what holds for everybody, and restrictions of groups, stations and operations.

use axum::{
    Extension, Json,
    extract::{Query, State as Shared, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{At, on_core};
use crate::{
    policy::{Bound, Lockout, Policy, ReplayRule, Restriction, Whom},
    request::Caller,
    server::{State, json::Body, problem::Problem},
    services::RestrictionError,
};

/// The policy of a box.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyBody {
    /// What holds for everybody: the box's configuration says it.
    pub(crate) everybody: InForceBody,
    /// What holds beyond it. Of all that apply the strictest counts, value by value.
    pub(crate) restrictions: Vec<RestrictedBody>,
}

/// Values that are in force.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InForceBody {
    /// At most one false match in so many verifications.
    pub(crate) verify_one_in: f64,
    /// Whether the matcher is not calibrated for that: what passes in truth was never measured, and is at most one in 100,000
    /// for each impression that is enrolled.
    pub(crate) verify_beyond_calibration: bool,
    /// At most one false identification in so many searches.
    pub(crate) identify_one_in: f64,
    /// Only in these hours; of each list one has to admit the moment. None: at any time.
    #[schema(value_type = Vec<Vec<String>>)]
    pub(crate) hours: Vec<Vec<crate::policy::Hours>>,
    /// Different fingers that a verification needs.
    pub(crate) fingers: u8,
    /// Whether a PIN is needed too.
    pub(crate) pin: bool,
    /// Seconds after an accept in which the same station needs no finger of the same subject again.
    pub(crate) grace_seconds: u32,
    /// Impressions that may be enrolled at most for one finger to be identified by.
    pub(crate) largest_gallery: usize,
    /// The same for two fingers, of somebody with two fingers enrolled, of as many impressions as an enrolment needs; whoever
    /// has more of them is told apart among fewer.
    pub(crate) largest_gallery_of_two: usize,
    /// The false match rate that this rests on: `upper`, which holds with 95 % confidence, or `point`, the estimate.
    #[schema(value_type = String)]
    pub(crate) identify_bound: Bound,
    /// What is refused as a replay: `on` the same again and copies, `exact` the same again, `off` nothing.
    #[schema(value_type = String)]
    pub(crate) replay: ReplayRule,
    /// Failures for one subject before the first wait; 0: never.
    pub(crate) subject_failures: u32,
    /// Failures of one station before the first wait; 0: never.
    pub(crate) station_failures: u32,
    /// Failures at one reader of the box before the first wait; 0: never.
    pub(crate) sensor_failures: u32,
    /// Seconds of the first wait.
    pub(crate) first_wait_seconds: u32,
    /// Seconds of the longest wait.
    pub(crate) longest_wait_seconds: u32,
    /// Seconds in which a station or a reader forgets one failure.
    pub(crate) forget_seconds: u32,
}

impl From<&Policy> for InForceBody {
    fn from(policy: &Policy) -> Self {
        let Lockout {
            subject_failures,
            station_failures,
            sensor_failures,
            first_wait_seconds,
            longest_wait_seconds,
            forget_seconds,
        } = policy.lockout;
        // What was written as one in so many is shown so.
        let one_in = |rate: f64| (1e6 / rate).round() / 1e6;
        Self {
            verify_one_in: one_in(policy.verify.get()),
            verify_beyond_calibration: policy.verifies_beyond_calibration(),
            identify_one_in: one_in(policy.identify.get()),
            hours: policy.hours.clone(),
            fingers: policy.fingers,
            pin: policy.pin,
            grace_seconds: policy.grace_seconds,
            largest_gallery: policy.largest_gallery(),
            largest_gallery_of_two: policy.largest_gallery_of_two(&policy.fewest_enrolled()),
            identify_bound: policy.bound,
            replay: policy.replay,
            subject_failures,
            station_failures,
            sensor_failures,
            first_wait_seconds,
            longest_wait_seconds,
            forget_seconds,
        }
    }
}

/// A restriction, for whom, and what comes of it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestrictedBody {
    /// `group`, `station` or `operation`.
    pub(crate) kind: String,
    /// Which one.
    pub(crate) name: String,
    /// What is restricted.
    pub(crate) restriction: Restriction,
    /// What is in force with it, for who has no other.
    pub(crate) in_force: InForceBody,
    /// Whether it changes anything: one that is laxer than what holds for everybody does not.
    pub(crate) effective: bool,
}

impl RestrictedBody {
    fn of(policy: &Policy, whom: &Whom, restriction: Restriction) -> Self {
        let restricted = policy.clone().restricted(&restriction);
        Self {
            kind: whom.kind().to_owned(),
            name: whom.name().to_owned(),
            in_force: InForceBody::from(&restricted),
            effective: restricted != *policy,
            restriction,
        }
    }
}

/// Whether it is only to be checked.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    /// Keep nothing, and say what would come of it.
    #[serde(default)]
    dry_run: bool,
}

impl From<RestrictionError> for Problem {
    fn from(why: RestrictionError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            RestrictionError::Not(_) => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "not-a-restriction", "The restriction cannot be used")
            }
            RestrictionError::TooMany => {
                is(StatusCode::CONFLICT, "too-many-restrictions", "There are too many restrictions")
            }
            RestrictionError::Unknown => {
                is(StatusCode::NOT_FOUND, "unknown-restriction", "There is no such restriction")
            }
            RestrictionError::Store(why) => why.into(),
        }
    }
}

fn whom((kind, name): &(String, String)) -> Result<Whom, Problem> {
    Whom::of(kind, name).map_err(|why| Problem::bad_request(why.to_string()))
}

/// Reads the policy with all restrictions.
#[utoipa::path(get, path = "/v1/policy", tag = "policy", responses((status = 200, description = "The policy", body = PolicyBody)))]
pub(crate) async fn read_policy(Shared(state): Shared<State>) -> Result<Json<PolicyBody>, Problem> {
    let (policy, all) = state.services()?.restrictions();
    let restrictions = all.into_iter().map(|(whom, r)| RestrictedBody::of(&policy, &whom, r)).collect();
    Ok(Json(PolicyBody { everybody: InForceBody::from(&policy), restrictions }))
}

/// Reads one restriction.
#[utoipa::path(get, path = "/v1/policy/{kind}/{name}", tag = "policy",
    params(("kind" = String, Path, description = "`group`, `station` or `operation`"), ("name" = String, Path, description = "Which one")),
    responses((status = 200, description = "The restriction", body = RestrictedBody),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read_restriction(
    Shared(state): Shared<State>,
    At(path): At<(String, String)>,
) -> Result<Json<RestrictedBody>, Problem> {
    let whom = whom(&path)?;
    let (policy, mut all) = state.services()?.restrictions();
    let restriction = all.remove(&whom).ok_or(RestrictionError::Unknown)?;
    Ok(Json(RestrictedBody::of(&policy, &whom, restriction)))
}

/// Restricts a group, a station or an operation, in place of its restriction of before.
#[utoipa::path(put, path = "/v1/policy/{kind}/{name}", tag = "policy", request_body = Restriction,
    params(("kind" = String, Path, description = "`group`, `station` or `operation`"), ("name" = String, Path, description = "Which one"), Trial),
    responses((status = 200, description = "Kept, or with `dry_run` what would come of it", body = RestrictedBody),
        (status = 409, description = "There are too many", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be used", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn restrict(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(path): At<(String, String)>,
    trial: Result<Query<Trial>, QueryRejection>,
    body: Body<Restriction>,
) -> Result<Json<RestrictedBody>, Problem> {
    let Query(trial) = trial.map_err(|why| Problem::bad_request(why.body_text()))?;
    let whom = whom(&path)?;
    let (restriction, permit) = body.into_parts();
    drop(permit);
    restriction.check_for(&whom).map_err(RestrictionError::from)?;
    let services = state.services()?.clone();
    let answer = RestrictedBody::of(&services.restrictions().0, &whom, restriction.clone());
    if !trial.dry_run {
        on_core(&state, move || services.restrict(&caller, whom, restriction)).await??;
    }
    Ok(Json(answer))
}

/// Takes a restriction away.
#[utoipa::path(delete, path = "/v1/policy/{kind}/{name}", tag = "policy",
    params(("kind" = String, Path, description = "`group`, `station` or `operation`"), ("name" = String, Path, description = "Which one")),
    responses((status = 204, description = "Gone"), (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn unrestrict(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(path): At<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (whom, services) = (whom(&path)?, state.services()?.clone());
    on_core(&state, move || services.unrestrict(&caller, &whom)).await??;
    Ok(StatusCode::NO_CONTENT)
}
