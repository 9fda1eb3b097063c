//! Whether the box lives, and whether it is ready.

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::{Clock, SystemClock, Timestamp},
    heartbeat::Heartbeats,
    network_time::report::{Report, Standing},
    server::{
        State,
        access::{DEGRADED, FAILED, LOCKED, OPERATIONAL, UNPROVISIONED},
        problem::Problem,
    },
    services::AtRest,
};

/// What an image says whose updates anybody can sign.
const TEST_IMAGE: &str = "TEST: the key of its updates is no secret";

/// The box answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Live {
    /// Always `live`.
    #[schema(example = "live")]
    pub(crate) status: String,
    /// As `/v1/health/state` has it.
    #[schema(example = "operational")]
    pub(crate) state: String,
    /// `TEST: ...` if the image is for tests; not there otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
}

/// The state of the box.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct StateBody {
    /// `unprovisioned` until the box is claimed; `locked` while it waits for the passphrase; `operational`; `degraded`
    /// while its store is checked or rebuilt; `failed` when what it stores is damaged, or of another program.
    #[schema(example = "operational")]
    pub(crate) state: String,
    /// What to do in this state; not there where there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

/// The box does its work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Ready {
    /// `operational`; or `degraded` while the store is checked or rebuilt: everybody enrolled is verified and identified,
    /// and nobody is listed, enrolled or removed.
    #[schema(example = "operational")]
    pub(crate) state: String,
    /// How far the check is; only while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<ProgressBody>,
    /// Fingers enrolled.
    pub(crate) fingers: usize,
    /// Impressions of them: the N of identification.
    pub(crate) impressions: usize,
    /// Liveness of fingers is `not assessed`.
    #[schema(example = "not assessed")]
    pub(crate) liveness: String,
    /// Whether what is stored is encrypted: `passphrase` (asked for at every start), `key-file` (whoever takes the
    /// box with its disk has the key too), `tpm` (the disk is worth nothing without this machine), or
    /// `not-encrypted` (until an update is kept).
    #[schema(value_type = String, example = "key-file")]
    pub(crate) at_rest: AtRest,
    /// Whether what was stored before its migration still lies beside: until somebody is deleted, a
    /// passphrase is chosen, or thirty days have gone.
    pub(crate) snapshot: bool,
    /// Bytes that are free for the store. With less than 24 MiB nobody is enrolled, with less than 4 MiB there
    /// are no decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) free_bytes: Option<u64>,
    /// How the clock is; not there where the host looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<ClockBody>,
    /// Directories that were not read for so long that no certificate rests on them; not there when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stale_directories: Vec<String>,
}

/// How far a check of the store is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProgressBody {
    /// Values that are checked.
    pub(crate) done: u64,
    /// About how many there are.
    pub(crate) all: u64,
}

/// How the clock is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ClockBody {
    /// `synchronised`, or `unsynchronised`: it shows what the box remembers, or has run by itself for a day.
    #[schema(example = "synchronised")]
    pub(crate) state: String,
    /// What it shows.
    #[schema(value_type = String, example = "2026-11-23T08:30:00Z")]
    pub(crate) now: Timestamp,
    /// The time server that was followed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) at: Option<Timestamp>,
    /// How far the clock was behind it then, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offset_ms: Option<i64>,
    /// Why no server is followed now, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

impl ClockBody {
    fn new(report: Report, now: Timestamp) -> Self {
        let state = match report.standing {
            Standing::Synchronised => "synchronised",
            Standing::Unsynchronised => "unsynchronised",
        };
        let Report { at, server, offset_ms, why, .. } = report;
        Self { state: state.to_owned(), now, server, at, offset_ms, why }
    }
}

/// Whether the box answers and every loop that it rests on turns, in whichever state it is.
#[utoipa::path(get, path = "/v1/health/live", tag = "health", responses(
    (status = 200, description = "It does", body = Live),
    (status = 503, description = "A loop hangs, and is named", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn live(Shared(state): Shared<State>) -> Result<Json<Live>, Problem> {
    all_turn(&state.operation.heartbeats)?;
    let image = state.test_image.then(|| TEST_IMAGE.to_owned());
    Ok(Json(Live { status: "live".to_owned(), state: state.standing().to_owned(), image }))
}

fn all_turn(heartbeats: &Heartbeats) -> Result<(), Problem> {
    let silent = heartbeats.silent();
    if silent.is_empty() { Ok(()) } else { Err(Problem::hangs(&silent)) }
}

/// In which state the box is, and what to do.
#[utoipa::path(get, path = "/v1/health/state", tag = "health", operation_id = "state", responses((status = 200, description = "In this one", body = StateBody)))]
pub(crate) async fn state(Shared(state): Shared<State>) -> Json<StateBody> {
    let now = state.standing();
    let advice = match now {
        UNPROVISIONED => Some("claim it: the code is on its console, or in its provision.toml"),
        LOCKED => Some("an administrator gives its passphrase: authenteonctl unlock"),
        DEGRADED => Some("wait: nobody is enrolled or removed until its store was checked or rebuilt"),
        FAILED => {
            Some("its console and its log say what is damaged and what to do; so does authenteonctl diagnose")
        }
        _ => None,
    };
    Json(StateBody { state: now.to_owned(), advice: advice.map(str::to_owned) })
}

/// Whether the box does its work, and how much is enrolled.
#[utoipa::path(get, path = "/v1/health/ready", tag = "health", responses((status = 200, description = "It does", body = Ready)))]
pub(crate) async fn ready(Shared(state): Shared<State>) -> Result<Json<Ready>, Problem> {
    let services = state.services()?;
    let counts = services.counts();
    let progress = services.progress();
    Ok(Json(Ready {
        state: if progress.is_some() { DEGRADED } else { OPERATIONAL }.to_owned(),
        progress: progress.map(|(done, all)| ProgressBody { done, all }),
        fingers: counts.fingers,
        impressions: counts.impressions,
        liveness: "not assessed".to_owned(),
        at_rest: services.at_rest(),
        snapshot: services.snapshot(),
        free_bytes: services.free_bytes(),
        clock: clock_of(&state),
        stale_directories: services.stale_directories().into_iter().map(String::from).collect(),
    }))
}

impl ClockBody {
    /// Whether it is known to be right.
    pub(crate) fn is_synchronised(&self) -> bool {
        self.state == "synchronised"
    }
}

/// How the clock is, where somebody tells.
pub(super) fn clock_of(state: &State) -> Option<ClockBody> {
    let path = state.clock_report.as_deref()?;
    // Nothing is written before somebody has looked for a server.
    let report = Report::read(path);
    let report = report.unwrap_or_else(|_| Report::unsynchronised("no time server was asked yet"));
    Some(ClockBody::new(report, SystemClock.now()))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use authenteon_hal::clock::{Clock as Monotonic, VirtualClock};

    use super::*;

    #[test]
    fn a_box_one_of_whose_loops_hangs_is_not_live_and_says_which() {
        let clock = Arc::new(VirtualClock::new());
        let heartbeats = Heartbeats::new(Arc::clone(&clock) as Arc<dyn Monotonic>, Duration::from_secs(30));
        let writer = heartbeats.pulse("writer");
        assert_eq!(all_turn(&heartbeats), Ok(()));
        clock.sleep(Duration::from_secs(31));
        let problem = all_turn(&heartbeats).unwrap_err();
        assert_eq!((problem.status, problem.kind.ends_with(":hangs")), (503, true));
        assert!(problem.detail.contains("writer"), "{problem:?}");
        writer.beat();
        assert_eq!(all_turn(&heartbeats), Ok(()));
    }
}
