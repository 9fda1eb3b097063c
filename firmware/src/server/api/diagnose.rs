//! What is wrong with the box, for its administrator: every part looked at, and what to do about what is not right.
//!
//! Invariant: nobody's name and nothing of a finger is in it; a support bundle holds it as it is.

use axum::{Json, extract::State as Shared};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    health::{ClockBody, clock_of},
    off_core,
    sensors::{SensorBody, described},
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    config::Limits,
    credential::ends::{CertificateEnd, certificate_ends},
    forward::Progress,
    server::{
        Settings, State,
        access::{DEGRADED, FAILED, LOCKED, UNPROVISIONED},
        problem::Problem,
    },
    services::{DirectoryStatus, Extent, Services},
};

/// Certificates are renewed before so few days are left.
const DAYS: u64 = 30;
/// With less free nobody is enrolled, and with less than the second nothing is decided.
const LITTLE: u64 = 24 << 20;
const NOTHING: u64 = 4 << 20;

/// How the box is.
#[derive(Serialize, ToSchema)]
pub(crate) struct DiagnosisBody {
    /// As `/v1/health/state` has it.
    pub(crate) state: String,
    /// The worst of the checks.
    result: Verdict,
    /// The daemon's version.
    version: String,
    /// When it was started.
    #[schema(value_type = String)]
    started: Timestamp,
    /// What its clock shows.
    #[schema(value_type = String)]
    now: Timestamp,
    /// What was looked at.
    checks: Vec<PartBody>,
    /// The loops that the box rests on.
    loops: Vec<LoopBody>,
    /// The box's own certificates.
    certificates: Vec<CertificateBody>,
    /// The store; not there while it is not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<ExtentBody>,
    /// Who is enrolled, in numbers; not there while the store is not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    gallery: Option<GalleryBody>,
    /// How the clock is; not there where the host looks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<ClockBody>,
    /// The readers at the box.
    sensors: Vec<SensorBody>,
    /// The bounds on what clients may use.
    limits: LimitsBody,
}

/// What a look at something came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// It works, and somebody should look at it.
    Doubtful,
    /// It does not work.
    Bad,
}

/// Something that was looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PartBody {
    /// What.
    #[schema(example = "certificates")]
    check: String,
    /// How it is.
    result: Verdict,
    /// How it is, in words, and what to do.
    detail: String,
}

/// A loop.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoopBody {
    /// Which.
    #[schema(example = "acceptor")]
    name: String,
    /// Milliseconds since it came round.
    age_ms: u64,
    /// Whether that is longer ago than it may be.
    silent: bool,
}

/// A certificate of the box.
#[derive(Serialize, ToSchema)]
pub(crate) struct CertificateBody {
    /// Whose.
    #[schema(example = "server")]
    name: String,
    /// When it ends; not there when it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    ends: Option<Timestamp>,
    /// Whole days until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<u64>,
}

/// How large the store is, in bytes but for its people.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExtentBody {
    /// People of whom something is kept.
    people: u64,
    /// The journal's snapshot.
    snapshot: u64,
    /// The journal since the snapshot.
    journal: u64,
    /// Keys.
    keys: u64,
    /// The index.
    index: u64,
}

impl From<Extent> for ExtentBody {
    fn from(Extent { people, snapshot, journal, keys, index }: Extent) -> Self {
        Self { people, snapshot, journal, keys, index }
    }
}

/// How much is enrolled.
#[derive(Serialize, ToSchema)]
pub(crate) struct GalleryBody {
    /// Fingers.
    fingers: usize,
    /// Impressions of them.
    impressions: usize,
}

/// The bounds in force, as the configuration names them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LimitsBody {
    connections: usize,
    connections_per_address: usize,
    body_bytes: usize,
    handshake_seconds: u64,
    request_seconds: u64,
    idle_seconds: u64,
    drain_seconds: u64,
}

impl From<Limits> for LimitsBody {
    fn from(limits: Limits) -> Self {
        Self {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            body_bytes: limits.body_bytes,
            handshake_seconds: limits.handshake_seconds,
            request_seconds: limits.request_seconds,
            idle_seconds: limits.idle_seconds,
            drain_seconds: limits.drain_seconds,
        }
    }
}

/// Looks at every part of the box. Answers in every state but before the claim.
#[utoipa::path(get, path = "/v1/health/diagnose", tag = "health", responses((status = 200, description = "How the box is", body = DiagnosisBody)))]
pub(crate) async fn diagnose(Shared(state): Shared<State>) -> Result<Json<DiagnosisBody>, Problem> {
    off_core(move || diagnosis(&state)).await.map(Json)
}

/// Looks at every part of the box; reads files.
pub(crate) fn diagnosis(state: &State) -> DiagnosisBody {
    let now = SystemClock.now();
    let services = state.lock.services();
    let loops = state.operation.heartbeats.beats();
    let ends = certificate_ends(&state.operation.pki);
    let sensors: Vec<SensorBody> = described(state);
    let clock = clock_of(state);
    let store = services.and_then(|services| services.store_extent().ok());
    let checks = vec![
        check_state(state),
        check_loops(&state.operation.heartbeats.silent()),
        check_disk(services.and_then(Services::free_bytes)),
        check_certificates(&ends, now),
        check_clock(clock.as_ref()),
        check_sensors(&sensors),
        check_forwarding(&state.forwarding.progress()),
        check_directories(services.map(Services::directories).unwrap_or_default()),
        check_configuration(&state.operation.settings()),
    ];
    DiagnosisBody {
        state: state.standing().to_owned(),
        result: checks.iter().map(|check| check.result).max().unwrap_or(Verdict::Good),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: state.operation.started,
        now,
        checks,
        loops: loops
            .iter()
            .map(|beat| LoopBody {
                name: beat.name.to_owned(),
                age_ms: u64::try_from(beat.age.as_millis()).unwrap_or(u64::MAX),
                silent: beat.silent,
            })
            .collect(),
        certificates: ends
            .iter()
            .map(|CertificateEnd { name, end }| CertificateBody {
                name: (*name).to_owned(),
                ends: *end,
                days_left: end.map(|end| days(end, now)),
            })
            .collect(),
        gallery: services.map(|services| {
            let counts = services.counts();
            GalleryBody { fingers: counts.fingers, impressions: counts.impressions }
        }),
        store: store.map(ExtentBody::from),
        clock,
        sensors,
        limits: state.limits.now().into(),
    }
}

fn days(end: Timestamp, now: Timestamp) -> u64 {
    end.since(now).as_secs() / 86_400
}

fn check(check: &str, result: Verdict, detail: impl Into<String>) -> PartBody {
    PartBody { check: check.to_owned(), result, detail: detail.into() }
}

fn check_state(state: &State) -> PartBody {
    let name = "state";
    match (state.standing(), state.lock.failed()) {
        (_, Some(why)) => {
            check(name, Verdict::Bad, format!("{FAILED}: {why}; start the daemon again after that"))
        }
        (UNPROVISIONED, _) => {
            check(name, Verdict::Doubtful, "nobody has claimed the box: authenteonctl claim")
        }
        (LOCKED, _) => check(name, Verdict::Bad, "it waits for its passphrase: authenteonctl unlock"),
        (DEGRADED, _) => check(
            name,
            Verdict::Doubtful,
            "the store is being checked or rebuilt: nobody is enrolled or removed until that is done",
        ),
        (other, _) => check(name, Verdict::Good, other),
    }
}

fn check_loops(silent: &[&str]) -> PartBody {
    if silent.is_empty() {
        return check("loops", Verdict::Good, "all of them turn");
    }
    let detail = format!("{} hangs: the watchdog is not fed any more; restart the box", silent.join(" and "));
    check("loops", Verdict::Bad, detail)
}

fn check_disk(free: Option<u64>) -> PartBody {
    let (result, detail) = match free {
        None => (Verdict::Good, "not known while the store is not open".to_owned()),
        Some(free @ ..NOTHING) => (
            Verdict::Bad,
            format!(
                "{free} bytes are free: nothing is decided; remove people who are gone, or take a larger disk"
            ),
        ),
        Some(free @ NOTHING..LITTLE) => (
            Verdict::Doubtful,
            format!(
                "{free} bytes are free: nobody is enrolled; remove people who are gone, or take a larger disk"
            ),
        ),
        Some(free) => (Verdict::Good, format!("{free} bytes are free")),
    };
    check("disk", result, detail)
}

fn check_certificates(ends: &[CertificateEnd], now: Timestamp) -> PartBody {
    let of = |CertificateEnd { name, end }: &CertificateEnd| match end {
        None => (Verdict::Bad, format!("the certificate of the {name} cannot be read")),
        Some(end) if *end <= now => (Verdict::Bad, format!("the certificate of the {name} has ended")),
        Some(end) if days(*end, now) < DAYS => {
            (Verdict::Doubtful, format!("the certificate of the {name} ends in {} days", days(*end, now)))
        }
        Some(end) => {
            (Verdict::Good, format!("the certificate of the {name} is good for {} days", days(*end, now)))
        }
    };
    let (results, details): (Vec<_>, Vec<_>) = ends.iter().map(of).unzip();
    check("certificates", results.into_iter().max().unwrap_or(Verdict::Good), details.join("; "))
}

fn check_clock(clock: Option<&ClockBody>) -> PartBody {
    match clock {
        None => check("clock", Verdict::Good, "the host looks after it"),
        Some(clock) if clock.state == "synchronised" => check("clock", Verdict::Good, "synchronised"),
        Some(clock) => {
            let why = clock.why.as_deref().unwrap_or("no time server answers");
            check("clock", Verdict::Doubtful, format!("unsynchronised: {why}"))
        }
    }
}

fn check_forwarding(receivers: &[Progress]) -> PartBody {
    let name = "forwarding";
    let failing = receivers.iter().filter(|to| to.error.is_some()).count();
    let lag = receivers.iter().map(Progress::lag).max().unwrap_or(0);
    match (receivers.len(), failing) {
        (0, _) => check(name, Verdict::Good, "the audit is forwarded to nobody"),
        (all, 0) => check(name, Verdict::Good, format!("{all} receivers, {lag} records behind at most")),
        (all, failing) => check(
            name,
            Verdict::Doubtful,
            format!(
                "{failing} of {all} receivers cannot be reached, {lag} records behind: authenteonctl audit forwarding"
            ),
        ),
    }
}

fn check_directories(all: Vec<DirectoryStatus>) -> PartBody {
    let name = "directories";
    if all.is_empty() {
        return check(name, Verdict::Good, "none is followed");
    }
    let of = |directory: DirectoryStatus| {
        let DirectoryStatus { name, stale, error, held, configured, read, .. } = directory;
        if !configured {
            let detail = format!("{name} is not in the configuration, and people of it are left");
            return (Verdict::Doubtful, detail);
        }
        let stale = if stale { ", which is too long ago for certificates" } else { "" };
        let read = read.map_or_else(|| "never".to_owned(), |at| at.to_string());
        match (error, held) {
            (Some((why, _)), _) => (
                Verdict::Doubtful,
                format!("{name} was read {read}{stale}: {why}; authenteonctl directory test {name}"),
            ),
            (None, Some(_)) => {
                let detail = format!(
                    "{name} was read {read}{stale} and waits: authenteonctl directory confirm {name}"
                );
                (Verdict::Doubtful, detail)
            }
            (None, None) if stale.is_empty() => (Verdict::Good, format!("{name} was read {read}")),
            (None, None) => (Verdict::Doubtful, format!("{name} was read {read}{stale}")),
        }
    };
    let (results, details): (Vec<_>, Vec<_>) = all.into_iter().map(of).unzip();
    check(name, results.into_iter().max().unwrap_or(Verdict::Good), details.join("; "))
}

fn check_configuration(settings: &Settings) -> PartBody {
    let name = "configuration";
    if let Some(why) = &settings.refused {
        return check(
            name,
            Verdict::Doubtful,
            format!("what was before is used, since what is there now cannot be: {why}"),
        );
    }
    if settings.waiting.is_empty() {
        return check(name, Verdict::Good, "all of it is used");
    }
    let keys = settings.waiting.join(", ");
    check(name, Verdict::Doubtful, format!("changed, and used after the next start of the daemon: {keys}"))
}

fn check_sensors(sensors: &[SensorBody]) -> PartBody {
    let wrong: Vec<String> = sensors
        .iter()
        .filter_map(|reader| Some(format!("{}: {}", reader.sensor, reader.last_error.as_deref()?)))
        .collect();
    if wrong.is_empty() {
        let present = sensors.iter().filter(|reader| reader.present).count();
        return check("sensors", Verdict::Good, format!("{present} present"));
    }
    check("sensors", Verdict::Doubtful, format!("{}; authenteonctl sensor test READER", wrong.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn a_certificate_is_told_of_before_it_ends_and_when_it_cannot_be_read() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let in_days = |days: u64| Some(Timestamp::from_millis(now.millis() + days * DAY));
        let of = |end| check_certificates(&[CertificateEnd { name: "server", end }], now);
        assert_eq!(of(in_days(31)).result, Verdict::Good);
        assert_eq!(of(in_days(29)).result, Verdict::Doubtful);
        assert!(of(in_days(29)).detail.contains("29 days"));
        assert_eq!(of(Some(now)).result, Verdict::Bad);
        assert_eq!(of(None).result, Verdict::Bad);
    }

    #[test]
    fn a_disk_that_fills_is_doubtful_and_a_full_one_is_bad() {
        assert_eq!(check_disk(Some(LITTLE)).result, Verdict::Good);
        assert_eq!(check_disk(Some(LITTLE - 1)).result, Verdict::Doubtful);
        assert_eq!(check_disk(Some(NOTHING - 1)).result, Verdict::Bad);
    }

    #[test]
    fn a_loop_that_hangs_is_named() {
        let found = check_loops(&["acceptor", "writer"]);
        assert_eq!(found.result, Verdict::Bad);
        assert!(found.detail.contains("acceptor and writer"), "{found:?}");
    }
}
