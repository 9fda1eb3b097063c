//! Updates over the API: a bundle is taken in as it comes, and the agent does the rest.
//!
//! Invariant: one bundle at a time, never in memory, and never more of it than the disk has room for.
//! Nothing is decided here: the agent verifies what it is given, and says what the box may do.

use axum::{
    Extension, Json,
    body::Body,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::off_core;
use crate::{
    request::Caller,
    server::{
        State,
        problem::Problem,
        updates::{Phase, Updates},
    },
    update::{
        bundle::LARGEST,
        install::Step,
        link::LinkError,
        protocol::{Kind, Refusal, Request, Status},
    },
};

/// How the box and its update are.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBody {
    /// `idle`, `receiving`, `installing`, `failed`, `ready` (waits for its trial), `trial`, or
    /// `rolled-back` (was tried and did not pass).
    #[schema(example = "ready")]
    pub(crate) state: String,
    /// The slot that runs: `a` or `b`.
    #[schema(example = "a")]
    pub(crate) slot: String,
    /// The version that runs.
    #[schema(example = "0.1.0")]
    pub(crate) version: String,
    /// What bundles must be compatible with.
    pub(crate) board: String,
    /// Bundles of earlier versions are refused.
    pub(crate) floor: String,
    /// The version in the other slot, if it waits there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<String>,
    /// `verifying`, `writing-root`, `writing-boot` or `reading-back`, during an installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    /// How far that step is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) percent: Option<u8>,
    /// Why the last bundle was not installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl UpdateBody {
    fn new(status: &Status, phase: &Phase) -> Self {
        let settled = match (&status.pending, status.trial) {
            (_, true) => "trial",
            (Some(pending), _) if pending.tried => "rolled-back",
            (Some(_), _) => "ready",
            (None, _) => "idle",
        };
        let mut body = Self {
            state: settled.to_owned(),
            slot: format!("{:?}", status.slot).to_lowercase(),
            version: status.version.to_string(),
            board: status.board.clone(),
            floor: status.floor.to_string(),
            pending: status.pending.as_ref().map(|p| p.version.to_string()),
            step: None,
            percent: None,
            error: None,
        };
        match phase {
            Phase::Idle => {}
            Phase::Receiving => body.state = "receiving".to_owned(),
            Phase::Installing(progress) => {
                body.state = "installing".to_owned();
                body.step = progress.map(|p| step(p.step).to_owned());
                body.percent = progress.map(|p| p.percent);
            }
            Phase::Failed(why) => {
                // What waited before is still there when the new bundle was refused unseen.
                if body.pending.is_none() {
                    body.state = "failed".to_owned();
                }
                body.error = Some(why.clone());
            }
        }
        body
    }
}

fn step(step: Step) -> &'static str {
    match step {
        Step::Verifying => "verifying",
        Step::WritingRoot => "writing-root",
        Step::WritingBoot => "writing-boot",
        Step::ReadingBack => "reading-back",
    }
}

fn updates(state: &State) -> Result<&Updates, Problem> {
    state.updates.as_deref().ok_or_else(|| {
        let detail = "its configuration has no [update]; update it the way it was installed";
        Problem::new(StatusCode::NOT_FOUND, "no-updates", "This box is not updated this way", detail)
    })
}

fn refused(why: &Refusal) -> Problem {
    let detail = why.detail.clone();
    match why.kind {
        Kind::Busy | Kind::State => Problem::new(StatusCode::CONFLICT, "update-state", "Not now", detail),
        Kind::Io | Kind::Request => Problem::internal(&detail),
        _ => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "update-refused", "The bundle is refused", detail)
        }
    }
}

fn link_problem(why: &LinkError) -> Problem {
    match why {
        LinkError::Refused(why) => refused(why),
        other => Problem::internal(other),
    }
}

async fn ask(updates: &Updates, request: Request) -> Result<Status, Problem> {
    let link = updates.link().clone();
    let asked = off_core(move || link.ask(&request, &mut |_| {})).await?;
    asked.map_err(|why| link_problem(&why))
}

/// The version that waits.
async fn waiting(updates: &Updates) -> Result<Option<String>, Problem> {
    let status = ask(updates, Request::Status {}).await?;
    Ok(status.pending.map(|pending| pending.version.to_string()))
}

/// How the box and its update are.
#[utoipa::path(get, path = "/v1/system/update", tag = "system", responses(
    (status = 200, description = "State and progress", body = UpdateBody),
    (status = 404, description = "This box is not updated this way", body = Problem)))]
pub(crate) async fn status(Shared(state): Shared<State>) -> Result<Json<UpdateBody>, Problem> {
    let updates = updates(&state)?;
    // Before the agent is asked: an installation that ends in between would be neither going on nor there.
    let phase = updates.phase();
    let status = ask(updates, Request::Status {}).await?;
    Ok(Json(UpdateBody::new(&status, &phase)))
}

/// Take a bundle and install it into the slot that does not run. Answers when the bundle is there;
/// the installation goes on, and GET says how far it is.
#[utoipa::path(post, path = "/v1/system/update", tag = "system",
    request_body(content = Vec<u8>, content_type = "application/vnd.rauc.bundle"),
    responses(
        (status = 202, description = "It is being installed", body = UpdateBody),
        (status = 404, description = "This box is not updated this way", body = Problem),
        (status = 409, description = "Another one is being installed, or a version is on trial", body = Problem),
        (status = 413, description = "Larger than a bundle may be", body = Problem),
        (status = 507, description = "No room for it", body = Problem)))]
pub(crate) async fn upload(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<UpdateBody>), Problem> {
    let updates = updates(&state)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LARGEST) {
        return Err(Problem::too_large(usize::try_from(LARGEST).unwrap_or(usize::MAX)));
    }
    let status = ask(updates, Request::Status {}).await?;
    if status.trial {
        let detail = "the version that runs is on trial: wait until it is committed or rolled back";
        return Err(Problem::new(StatusCode::CONFLICT, "update-state", "Not now", detail));
    }
    let receiving = updates.receive()?;
    let bytes = receiving.take(body, announced, state.limits.request()).await?;
    let services = state.services()?.clone();
    off_core(move || services.update_received(&by, bytes)).await??;
    receiving.install();
    Ok((StatusCode::ACCEPTED, Json(UpdateBody::new(&status, &updates.phase()))))
}

/// Restart into the update, on trial: it is kept only after it has tested itself.
#[utoipa::path(post, path = "/v1/system/update/trial", tag = "system", responses(
    (status = 202, description = "The box restarts", body = UpdateBody),
    (status = 404, description = "This box is not updated this way", body = Problem),
    (status = 409, description = "No update waits", body = Problem)))]
pub(crate) async fn trial(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<(StatusCode, Json<UpdateBody>), Problem> {
    let updates = updates(&state)?;
    let (services, version) = (state.services()?.clone(), waiting(updates).await?);
    // The restart waits for nobody afterwards.
    off_core(move || services.update_trial_ordered(&by, version)).await??;
    let status = ask(updates, Request::Reboot { trial: true }).await?;
    Ok((StatusCode::ACCEPTED, Json(UpdateBody::new(&status, &updates.phase()))))
}

/// Give up the update that waits.
#[utoipa::path(delete, path = "/v1/system/update", tag = "system", responses(
    (status = 204, description = "Nothing waits any more"),
    (status = 404, description = "This box is not updated this way", body = Problem),
    (status = 409, description = "Not during an installation or a trial", body = Problem)))]
pub(crate) async fn discard(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<StatusCode, Problem> {
    let updates = updates(&state)?;
    let (services, version) = (state.services()?.clone(), waiting(updates).await?);
    off_core(move || services.update_discard_ordered(&by, version)).await??;
    ask(updates, Request::Discard {}).await?;
    updates.forget();
    Ok(StatusCode::NO_CONTENT)
}
