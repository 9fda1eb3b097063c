//! Whether the box lives, and whether it is ready.

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::{Clock, SystemClock, Timestamp},
    network_time::report::{Report, Standing},
    server::{
        State,
        access::{DEGRADED, LOCKED, OPERATIONAL, UNPROVISIONED},
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
    /// `unprovisioned` until the box is claimed; `locked` while it waits for the passphrase; else `operational`.
    #[schema(example = "operational")]
    pub(crate) state: String,
    /// `TEST: ...` if the image is for tests; not there otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
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

/// Whether the box answers, and whether it was claimed.
#[utoipa::path(get, path = "/v1/health/live", tag = "health", responses((status = 200, description = "It does", body = Live)))]
pub(crate) async fn live(Shared(state): Shared<State>) -> Json<Live> {
    let now = match state.lock.services() {
        _ if state.unprovisioned() => UNPROVISIONED,
        None => LOCKED,
        Some(services) if services.progress().is_some() => DEGRADED,
        Some(_) => OPERATIONAL,
    };
    let image = state.test_image.then(|| TEST_IMAGE.to_owned());
    Json(Live { status: "live".to_owned(), state: now.to_owned(), image })
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
        clock: state.clock_report.as_deref().map(|path| {
            // Nothing is written before somebody has looked for a server.
            let report = Report::read(path);
            let report = report.unwrap_or_else(|_| Report::unsynchronised("no time server was asked yet"));
            ClockBody::new(report, SystemClock.now())
        }),
    }))
}
