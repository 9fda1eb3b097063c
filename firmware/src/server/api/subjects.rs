//! Subjects: made, listed, read and deleted by officers.

use std::collections::BTreeSet;

use axum::{
    Extension, Json,
    extract::{Query, State as Shared, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{At, fingers::FingerBody, on_core, parsed};
use crate::{
    directory::Account,
    request::Caller,
    server::{State, json::Body, problem::Problem},
    services::SubjectChange,
    subject::{Followed, GroupName, NewSubject, Subject, SubjectId, SubjectName},
};

/// A subject to be made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSubjectBody {
    /// For people: 1 to 128 characters.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    pub(crate) name: SubjectName,
    /// Groups whose restrictions hold.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub(crate) groups: BTreeSet<GroupName>,
}

/// What is to be changed; what is absent stays.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectChangeBody {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    pub(crate) name: Option<SubjectName>,
    /// Other groups, in place of all of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub(crate) groups: Option<BTreeSet<GroupName>>,
}

/// A subject.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectBody {
    /// Random identifier.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) subject_id: SubjectId,
    /// For people.
    #[schema(value_type = String)]
    pub(crate) name: SubjectName,
    /// When it was made (RFC 3339).
    #[schema(format = DateTime)]
    pub(crate) created: String,
    /// Groups whose restrictions hold.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(crate) groups: BTreeSet<GroupName>,
    /// Enrolled fingers.
    pub(crate) fingers: Vec<FingerBody>,
    /// Whether there is a PIN.
    #[serde(default)]
    pub(crate) pin: bool,
    /// Until when a recovery code that was given is good (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub(crate) recovery_code_expires: Option<String>,
    /// The directory that the person is followed in; absent for who was made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<FollowedBody>,
}

/// That a person is followed in a directory, which says name and groups.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowedBody {
    /// Which.
    pub(crate) name: String,
    /// `active`; else the person is refused: `disabled`, `expired`, or `gone` from the directory.
    #[schema(example = "active")]
    pub(crate) state: String,
    /// Since when (RFC 3339).
    #[schema(format = DateTime)]
    pub(crate) since: String,
    /// Who there: it never changes.
    #[schema(format = "uuid")]
    pub(crate) object: String,
    /// The name to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<String>,
    /// The user principal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upn: Option<String>,
    /// The security identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    /// Whether the account is privileged: it is given no certificate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) privileged: bool,
    /// Which of `login` and `upn` somebody else holds, so that they count for nothing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) withheld: Vec<String>,
}

impl From<Followed> for FollowedBody {
    fn from(Followed { link, account }: Followed) -> Self {
        let Account { login, upn, sid, privileged, withheld } = account;
        Self {
            name: link.source.into(),
            state: link.state.name().to_owned(),
            since: link.since.to_string(),
            object: link.object.to_string(),
            login,
            upn,
            sid: sid.map(|sid| sid.as_ref().to_owned()),
            privileged,
            withheld: withheld.into_iter().map(|which| which.name().to_owned()).collect(),
        }
    }
}

impl From<Subject> for SubjectBody {
    fn from(subject: Subject) -> Self {
        Self {
            subject_id: subject.id,
            name: subject.name,
            created: subject.created.to_string(),
            groups: subject.groups,
            fingers: subject.fingers.into_iter().map(FingerBody::from).collect(),
            pin: subject.pin,
            recovery_code_expires: subject.recovery_code.map(|expires| expires.to_string()),
            directory: subject.followed.map(FollowedBody::from),
        }
    }
}

/// A page of subjects.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectsBody {
    /// In the order of their identifiers.
    pub(crate) subjects: Vec<SubjectBody>,
    /// Say this as `after` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) next: Option<SubjectId>,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The last identifier of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    after: Option<SubjectId>,
    /// How many, at most 1000.
    limit: Option<usize>,
}

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// Makes a subject.
#[utoipa::path(post, path = "/v1/subjects", tag = "subjects", request_body = NewSubjectBody,
    responses((status = 201, description = "Made", body = SubjectBody), (status = 400, description = "Not a subject", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    body: Body<NewSubjectBody>,
) -> Result<Response, Problem> {
    let (body, permit) = body.into_parts();
    let services = state.services()?.clone();
    let new = NewSubject { name: body.name, groups: body.groups };
    let subject = on_core(&state, move || services.create_subject(&caller, new)).await??;
    drop(permit);
    let location = HeaderValue::from_str(&format!("/v1/subjects/{}", subject.id))
        .map_err(|why| Problem::internal(&why))?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(SubjectBody::from(subject))).into_response())
}

/// Lists subjects, a page at a time.
#[utoipa::path(get, path = "/v1/subjects", operation_id = "list_subjects", tag = "subjects", params(Page),
    responses((status = 200, description = "A page", body = SubjectsBody)))]
pub(crate) async fn list(
    Shared(state): Shared<State>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<SubjectsBody>, Problem> {
    let Query(page) = page.map_err(|why| Problem::bad_request(why.body_text()))?;
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is from 1 to {LARGEST_PAGE}")));
    }
    let services = state.services()?.clone();
    let mut subjects = on_core(&state, move || services.subjects(page.after, limit + 1)).await??;
    let more = subjects.len() > limit;
    subjects.truncate(limit);
    let next = subjects.last().filter(|_| more).map(|s| s.id);
    Ok(Json(SubjectsBody { subjects: subjects.into_iter().map(SubjectBody::from).collect(), next }))
}

/// Reads a subject.
#[utoipa::path(get, path = "/v1/subjects/{id}", operation_id = "read_subject", tag = "subjects", params(("id" = String, Path, description = "The subject")),
    responses((status = 200, description = "The subject", body = SubjectBody), (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Shared(state): Shared<State>,
    At(id): At<String>,
) -> Result<Json<SubjectBody>, Problem> {
    let (id, services) = (parsed(&id)?, state.services()?.clone());
    let subject = on_core(&state, move || services.subject(id)).await??;
    Ok(Json(subject.into()))
}

/// Changes a subject's name or groups.
#[utoipa::path(patch, path = "/v1/subjects/{id}", operation_id = "change_subject", tag = "subjects", request_body = SubjectChangeBody, params(("id" = String, Path, description = "The subject")),
    responses((status = 200, description = "As it is now", body = SubjectBody), (status = 409, description = "A directory says name and groups", body = Problem, content_type = "application/problem+json"), (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
    body: Body<SubjectChangeBody>,
) -> Result<Json<SubjectBody>, Problem> {
    let (id, services) = (parsed(&id)?, state.services()?.clone());
    let (SubjectChangeBody { name, groups }, permit) = body.into_parts();
    drop(permit);
    let change = SubjectChange { name, groups };
    let subject = on_core(&state, move || services.change_subject(&caller, id, change)).await??;
    Ok(Json(subject.into()))
}

/// Deletes a subject and everything kept of the fingers.
#[utoipa::path(delete, path = "/v1/subjects/{id}", operation_id = "remove_subject", tag = "subjects", params(("id" = String, Path, description = "The subject")),
    responses((status = 204, description = "Deleted"), (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    let (id, services) = (parsed(&id)?, state.services()?.clone());
    on_core(&state, move || services.delete_subject(&caller, id)).await??;
    Ok(StatusCode::NO_CONTENT)
}
