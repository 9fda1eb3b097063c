//! The upkeep of the store: how large it is, and tasks that an administrator begins and whose end he asks for.
//!
//! Invariant: a task is answered for at once, and goes on whoever asks or goes away; of damage an administrator is
//! told the place and what to do.

use std::collections::BTreeMap;

use axum::{
    Extension, Json, Router,
    extract::State as Shared,
    http::StatusCode,
    routing::{get, post},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{off_core, on_core};
use crate::{
    clock::Timestamp,
    request::Caller,
    server::{State, problem::Problem},
    services::{Counts, Job, KeyError, Stats, StoreError, Task, TaskState, UpkeepError},
};

/// How large the store is, and what its upkeep does.
#[derive(Serialize, ToSchema)]
pub(crate) struct StoreBody {
    /// The last change's number.
    sequence: u64,
    /// People of whom something is kept.
    people: u64,
    /// Impressions of fingers: templates.
    templates: usize,
    /// Values by table.
    values: BTreeMap<String, u64>,
    /// Bytes on the disk.
    bytes: BytesBody,
    /// The same for each person; not there while there is nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_person: Option<BytesBody>,
    /// All bytes on the disk for each template; not there while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_template: Option<u64>,
    /// Bytes that are free on the disk.
    free_bytes: u64,
    /// Whether the index is there.
    indexed: bool,
    /// The task that runs, or the last one since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskBody>,
}

/// Bytes, and whose.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(crate) struct BytesBody {
    /// All that is filled of its files; the last file of the journal is made with its whole length, some megabytes.
    total: u64,
    /// Of it: the journal's snapshot.
    snapshot: u64,
    /// Of it: the journal since the snapshot.
    journal: u64,
    /// Of it: keys.
    keys: u64,
    /// Of it: the index, which is made anew from the journal.
    index: u64,
    /// What is live, with its keys, encrypted: it is part of snapshot and journal.
    values: u64,
}

impl BytesBody {
    fn of(stats: &Stats) -> Self {
        let Stats {
            snapshot_bytes: snapshot,
            journal_bytes: journal,
            key_bytes: keys,
            index_bytes: index,
            ..
        } = *stats;
        Self {
            total: snapshot + journal + keys + index,
            snapshot,
            journal,
            keys,
            index,
            values: stats.value_bytes,
        }
    }

    fn for_each_of(self, people: u64) -> Option<Self> {
        Some(Self {
            total: self.total.checked_div(people)?,
            snapshot: self.snapshot.checked_div(people)?,
            journal: self.journal.checked_div(people)?,
            keys: self.keys.checked_div(people)?,
            index: self.index.checked_div(people)?,
            values: self.values.checked_div(people)?,
        })
    }
}

impl StoreBody {
    fn new(stats: &Stats, counts: Counts, task: Option<Task>) -> Self {
        let bytes = BytesBody::of(stats);
        Self {
            sequence: stats.sequence,
            people: stats.people,
            templates: counts.impressions,
            values: stats.values.iter().map(|(table, count)| (table.name().to_owned(), *count)).collect(),
            bytes,
            bytes_per_person: bytes.for_each_of(stats.people),
            bytes_per_template: bytes.total.checked_div(counts.impressions as u64),
            free_bytes: stats.free_bytes,
            indexed: stats.indexed,
            task: task.map(TaskBody::from),
        }
    }
}

/// A task of the store's upkeep.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskBody {
    /// Counted from one at every start of the box.
    number: u64,
    /// `verify`, `compact` or `rotate-keys`.
    #[schema(value_type = String, example = "verify")]
    task: Job,
    /// `running`, `done` or `failed`.
    #[schema(example = "running")]
    state: String,
    /// Who began it.
    by: String,
    /// When (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    begun: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended: Option<Timestamp>,
    /// How much is done: values, or people who have another key.
    done: u64,
    /// About how much there is.
    all: u64,
    /// Whether the index is being made, which ends a compaction: nobody is listed, enrolled or removed until then.
    indexing: bool,
    /// What a verification found.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<VerifiedBody>,
    /// Why it failed, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// What a verification found.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerifiedBody {
    /// Values that were read, and are whole.
    values: u64,
    /// Values of which the index had another copy; it is made anew then, and nothing is lost.
    differences: u64,
}

impl From<Task> for TaskBody {
    fn from(task: Task) -> Self {
        let mut body = Self {
            number: task.number,
            task: task.job,
            state: "running".to_owned(),
            by: task.by,
            begun: task.begun,
            ended: task.ended,
            done: task.progress.0,
            all: task.progress.1.max(task.progress.0),
            indexing: task.state == TaskState::Running { index: true },
            verified: None,
            problem: None,
        };
        match task.state {
            TaskState::Running { .. } => {}
            TaskState::Done(found) => {
                body.state = "done".to_owned();
                body.verified = found
                    .map(|found| VerifiedBody { values: found.values, differences: found.index_differences });
            }
            TaskState::Failed(why) => {
                body.state = "failed".to_owned();
                body.problem = Some(why.into());
            }
        }
        body
    }
}

/// The last task.
#[derive(Serialize, ToSchema)]
pub(crate) struct LastTaskBody {
    /// The task that runs, or the last one; not there when none was begun since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskBody>,
}

impl From<UpkeepError> for Problem {
    fn from(why: UpkeepError) -> Self {
        let detail = why.to_string();
        match why {
            UpkeepError::Running(_) => {
                Self::new(StatusCode::CONFLICT, "upkeep-running", "Something runs on the store", detail)
            }
            UpkeepError::None => {
                Self::new(StatusCode::CONFLICT, "no-upkeep", "The store has no upkeep yet", detail)
            }
            // Whoever looks after the store is told where; others are told that the box failed.
            UpkeepError::Store(ref store) | UpkeepError::Key(KeyError::Store(ref store))
                if matches!(
                    store,
                    StoreError::Damaged { .. } | StoreError::Foreign { .. } | StoreError::Behind { .. }
                ) =>
            {
                let title = "The store is not whole";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store-damaged", title, detail)
            }
            UpkeepError::Store(why) => why.into(),
            UpkeepError::Key(why) => why.into(),
        }
    }
}

/// Its routes.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/system/store", get(read))
        .route("/v1/system/store/task", get(task))
        .route("/v1/system/store/verify", post(verify))
        .route("/v1/system/store/compact", post(compact))
        .route("/v1/system/store/rotate-keys", post(rotate_keys))
}

/// How large the store is, what it takes for each person, and the task that runs or ran last. It reads all of the
/// store: of a task alone `/v1/system/store/task` tells for less.
#[utoipa::path(get, path = "/v1/system/store", tag = "system", operation_id = "store", responses(
    (status = 200, description = "So large", body = StoreBody),
    (status = 409, description = "It has the format of the version before, without upkeep", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "It is damaged: where, and what to do", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(Shared(state): Shared<State>) -> Result<Json<StoreBody>, Problem> {
    let services = state.services()?.clone();
    let stats = on_core(&state, {
        let services = services.clone();
        move || services.store_stats()
    });
    let stats = stats.await??;
    Ok(Json(StoreBody::new(&stats, services.counts(), services.upkeep_task())))
}

/// The task that runs or ran last: how far it is, and what it came to.
#[utoipa::path(get, path = "/v1/system/store/task", tag = "system", operation_id = "store_task", responses(
    (status = 200, description = "The task", body = LastTaskBody)))]
pub(crate) async fn task(Shared(state): Shared<State>) -> Result<Json<LastTaskBody>, Problem> {
    Ok(Json(LastTaskBody { task: state.services()?.upkeep_task().map(TaskBody::from) }))
}

async fn begin(state: State, by: Caller, job: Job) -> Result<(StatusCode, Json<TaskBody>), Problem> {
    let services = state.services()?.clone();
    let task = off_core(move || services.begin_upkeep(&by, job)).await??;
    Ok((StatusCode::ACCEPTED, Json(task.into())))
}

/// Reads and opens every value, and compares the index with the journal. Everybody is served meanwhile.
#[utoipa::path(post, path = "/v1/system/store/verify", tag = "system", operation_id = "store_verify", responses(
    (status = 202, description = "It has begun; the task says how far it is", body = TaskBody),
    (status = 409, description = "Another task runs, or the store has no upkeep yet", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<(StatusCode, Json<TaskBody>), Problem> {
    begin(state, by, Job::Verify).await
}

/// Makes the journal as short as it can be, and the index anew: while the index is being made the box is `degraded`.
#[utoipa::path(post, path = "/v1/system/store/compact", tag = "system", operation_id = "store_compact", responses(
    (status = 202, description = "It has begun; the task says how far it is", body = TaskBody),
    (status = 409, description = "Another task runs, or the store has no upkeep yet", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The index is being made", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "No room for it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn compact(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<(StatusCode, Json<TaskBody>), Problem> {
    begin(state, by, Job::Compact).await
}

/// Gives everything that is stored other keys. Everybody is served meanwhile; a stop of the box is gone on from.
#[utoipa::path(post, path = "/v1/system/store/rotate-keys", tag = "system", operation_id = "store_rotate_keys", responses(
    (status = 202, description = "It has begun; the task says how far it is", body = TaskBody),
    (status = 409, description = "Another task runs, or the store has no upkeep yet", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The index is being made", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "No room for it", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rotate_keys(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<(StatusCode, Json<TaskBody>), Problem> {
    begin(state, by, Job::RotateKeys).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_tasks_are_refused_with_a_problem_that_says_why_and_what_to_do() {
        let damaged = StoreError::Damaged { place: "journal/segment-1, byte 7".to_owned() };
        for (why, status, kind, says) in [
            (UpkeepError::Running(Job::Compact), 409, "upkeep-running", "compact is running"),
            (UpkeepError::None, 409, "no-upkeep", "when the update is kept"),
            (StoreError::Degraded { done: 1, all: 2 }.into(), 503, "degraded", "ask again"),
            (StoreError::Full.into(), 507, "store-full", "remove subjects"),
            (damaged.clone().into(), 500, "store-damaged", "segment-1, byte 7"),
            (KeyError::from(damaged).into(), 500, "store-damaged", "authenteond store repair"),
            (StoreError::Io("secret/path".to_owned()).into(), 500, "internal", "its log says why"),
        ] {
            let problem = Problem::from(why);
            let kind = format!("urn:authenteon:problem:{kind}");
            assert_eq!((problem.status, problem.kind), (status, kind));
            assert!(problem.detail.contains(says), "{}", problem.detail);
        }
    }

    #[test]
    fn store_sizes_are_published_for_each_person_and_template_and_nobody_is_divided_by() {
        let stats = |people| Stats {
            sequence: 9,
            people,
            values: Vec::new(),
            value_bytes: 90,
            snapshot_bytes: 100,
            journal_bytes: 50,
            key_bytes: 30,
            index_bytes: 20,
            free_bytes: 1000,
            indexed: true,
        };
        let counts = |impressions| Counts { fingers: 1, impressions };
        let body = serde_json::to_value(StoreBody::new(&stats(2), counts(4), None)).unwrap();
        assert_eq!((&body["bytes"]["total"], &body["bytes_per_template"]), (&200.into(), &50.into()));
        let each = &body["bytes_per_person"];
        let parts =
            ["total", "snapshot", "journal", "keys", "index"].map(|part| each[part].as_u64().unwrap());
        assert_eq!(parts, [100, 50, 25, 15, 10]);
        let body = serde_json::to_value(StoreBody::new(&stats(0), counts(0), None)).unwrap();
        assert!(body["bytes_per_person"].is_null() && body["bytes_per_template"].is_null());
    }
}
