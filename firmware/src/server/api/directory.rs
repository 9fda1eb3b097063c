//! Directories that are followed: how they are, read at once, compared, tried, and the passwords of their accounts.
//!
//! Invariant: a password goes in and never out; whom a plan is about is told to administrators.

mod body;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State as Shared},
    http::StatusCode,
    routing::{get, post, put},
};
use zeroize::Zeroizing;

use self::body::{DirectoriesBody, DirectoryBody, DirectoryPasswordBody, OutcomeBody, RightsBody, SyncBody};
use super::{At, off_core};
use crate::{
    directory::{
        DirectoryError, SourceName,
        follow::{Ask, SyncError},
        plan::Confirmation,
    },
    request::Caller,
    server::{
        State,
        json::{Body, SMALL},
        problem::Problem,
    },
    services::{Confirmed, FollowError, NoSuchPassword, Outcome},
};

/// Its routes.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/directory", get(list))
        .route("/v1/directory/{name}/test", post(test))
        .route("/v1/directory/{name}/sync", post(sync))
        .route("/v1/directory/{name}/diff", get(diff))
        .route("/v1/directory/{name}/password", put(password))
        .layer(DefaultBodyLimit::max(SMALL))
}

impl From<SyncError> for Problem {
    fn from(why: SyncError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            SyncError::Unknown => {
                is(StatusCode::NOT_FOUND, "unknown-directory", "There is no such directory")
            }
            SyncError::NotNow => is(StatusCode::SERVICE_UNAVAILABLE, "busy", "Not now"),
            SyncError::Follow(FollowError::OnTrial) => {
                is(StatusCode::CONFLICT, "on-trial", "Not while an update is on trial")
            }
            SyncError::Follow(FollowError::NotWaiting) => {
                is(StatusCode::CONFLICT, "not-waiting", "Something else waits to be confirmed, or nothing")
            }
            SyncError::Follow(FollowError::Restored) => {
                is(StatusCode::CONFLICT, "restored", "A backup was restored meanwhile")
            }
            SyncError::Follow(FollowError::Store(why)) => why.into(),
            SyncError::Directory(why) => {
                is(StatusCode::BAD_GATEWAY, slug(&why), "The directory cannot be read")
            }
        }
    }
}

fn slug(why: &DirectoryError) -> &'static str {
    match why {
        DirectoryError::Unreachable(_) => "directory-unreachable",
        DirectoryError::Certificate(_) => "directory-certificate",
        DirectoryError::Expired(_) => "directory-certificate-expired",
        DirectoryError::Credentials => "directory-credentials",
        DirectoryError::Account(_) => "directory-account",
        DirectoryError::Right(_) => "directory-right",
        DirectoryError::Missing(_) => "directory-missing",
        DirectoryError::Referral(_) => "directory-referral",
        DirectoryError::Partial(_) => "directory-partial",
        DirectoryError::Stalled(_) => "directory-stalled",
        DirectoryError::Protocol(_) => "directory-protocol",
        DirectoryError::Configuration(_) => "directory-configuration",
    }
}

fn named(text: String) -> Result<SourceName, Problem> {
    SourceName::try_from(text).map_err(|_| SyncError::Unknown.into())
}

/// Lists the directories that are followed: how each is, whom it has, what waits, and what cannot be taken.
#[utoipa::path(get, path = "/v1/directory", operation_id = "list_directories", tag = "directory",
    responses((status = 200, description = "All of them", body = DirectoriesBody)))]
pub(crate) async fn list(Shared(state): Shared<State>) -> Result<Json<DirectoriesBody>, Problem> {
    let services = state.services()?.clone();
    let found = off_core(move || services.directories()).await?;
    let watch = |name: &SourceName| state.following.watches().find(|watch| watch.name == *name);
    let directories = found.into_iter().map(|status| {
        let watch = watch(&status.name);
        DirectoryBody::new(status, watch)
    });
    Ok(Json(DirectoriesBody { directories: directories.collect() }))
}

/// Tries whether the directory can be read, how, and which rights the account lacks. Nothing is changed.
#[utoipa::path(post, path = "/v1/directory/{name}/test", operation_id = "test_directory", tag = "directory", params(("name" = String, Path, description = "The directory")),
    responses((status = 200, description = "It can be read", body = RightsBody),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "It cannot be read: why, and what to do", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test(
    Shared(state): Shared<State>,
    At(name): At<String>,
) -> Result<Json<RightsBody>, Problem> {
    state.services()?;
    Ok(Json(state.following.test(&named(name)?).await?.into()))
}

/// Reads the directory now and does what it says; answers when that is done. With `dry_run` it is only said; with `confirm`
/// it is done though so many are disabled, gone or erased that it waits.
#[utoipa::path(post, path = "/v1/directory/{name}/sync", operation_id = "sync_directory", tag = "directory", request_body = SyncBody, params(("name" = String, Path, description = "The directory")),
    responses((status = 200, description = "What it says, and whether that is done", body = OutcomeBody),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "What is confirmed is not what waits, or an update is on trial", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "It cannot be read: why, and what to do", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sync(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
    body: Body<SyncBody>,
) -> Result<Json<OutcomeBody>, Problem> {
    let (SyncBody { dry_run, confirm }, place) = body.into_parts();
    // It may take a while, and the body is small.
    drop(place);
    if dry_run && confirm.is_some() {
        return Err(Problem::bad_request("dry_run and confirm do not go together"));
    }
    state.services()?;
    let confirmed = confirm.map(|plan| Confirmed { by, plan: Confirmation(plan) });
    Ok(Json(state.following.sync(&named(name)?, Ask { dry_run, confirmed }).await?.into()))
}

/// Reads everybody in the directory, and says what is other than here. Nothing is changed.
#[utoipa::path(get, path = "/v1/directory/{name}/diff", operation_id = "diff_directory", tag = "directory", params(("name" = String, Path, description = "The directory")),
    responses((status = 200, description = "What is other", body = OutcomeBody),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "It cannot be read: why, and what to do", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn diff(
    Shared(state): Shared<State>,
    At(name): At<String>,
) -> Result<Json<OutcomeBody>, Problem> {
    state.services()?;
    let plan = state.following.diff(&named(name)?).await?;
    Ok(Json(Outcome { plan, done: false }.into()))
}

/// Keeps the password of the account that the directory is read with, and reads it with that at once. It is never told.
#[utoipa::path(put, path = "/v1/directory/{name}/password", operation_id = "set_directory_password", tag = "directory", request_body = DirectoryPasswordBody, params(("name" = String, Path, description = "The directory")),
    responses((status = 204, description = "It is kept"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The configuration names a file with it", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be one", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn password(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
    body: Body<DirectoryPasswordBody>,
) -> Result<StatusCode, Problem> {
    let (DirectoryPasswordBody { password }, place) = body.into_parts();
    drop(place);
    let (password, name) = (Zeroizing::new(password), named(name)?);
    let watch = state.following.watches().find(|watch| watch.name == name).ok_or(SyncError::Unknown)?;
    if watch.password_file {
        let detail = "the configuration names the file of this password (password-file): write it there";
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "password-in-file",
            "The password is in a file",
            detail,
        ));
    }
    let (services, of) = (state.services()?.clone(), name.clone());
    let kept = off_core(move || services.set_directory_password(&by, &of, &password)).await?;
    kept.map_err(|why| match why {
        NoSuchPassword::Not => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "not-a-password",
            "The password cannot be used",
            why.to_string(),
        ),
        NoSuchPassword::Store(why) => why.into(),
    })?;
    state.following.renew(Some(&name));
    Ok(StatusCode::NO_CONTENT)
}
