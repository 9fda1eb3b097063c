//! Readers at the box: listed, asked for a frame, tested.

use std::time::Duration;

use authenteon_hal::{
    discovery::ReaderId,
    encode,
    selftest::{self, Checked, Verdict},
    sensor::Signal,
};
use axum::{Extension, Json, extract::State as Shared, http::StatusCode, response::Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    At,
    adoption::AdoptedBody,
    off_core, on_core, parsed,
    presented::{Patience, shown},
    sample::SampleFormat,
};
use crate::{
    reader::{Adoption, Adoptions, Standing},
    request::Caller,
    sample::Sample,
    sensors::ReaderState,
    server::{
        State,
        json::Body,
        live::{self, Impression, Teller, Wanted},
        problem::Problem,
    },
    services::Services,
};

/// The readers of the box.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorsBody {
    /// By name. A reader that was there once stays in the list until the box restarts, an adopted one until it is
    /// released.
    pub(crate) sensors: Vec<SensorBody>,
}

/// A reader.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorBody {
    /// Its name, the same whenever it comes back.
    #[schema(value_type = String, example = "usb-05ba-000a-1-1.4")]
    pub(crate) sensor: ReaderId,
    /// What it is, for people.
    pub(crate) model: String,
    /// Whether it may be used. Only an adopted one is: `POST /v1/sensors/{id}/adopt`.
    pub(crate) state: SensorState,
    /// Where it is plugged in, while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<String>,
    /// What it was when it was adopted, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) adopted: Option<AdoptedBody>,
    /// Whether it is plugged in and answers.
    pub(crate) present: bool,
    /// Whether a request has it now.
    pub(crate) busy: bool,
    /// Frames that it took since the box started.
    pub(crate) frames: u64,
    /// Its serial number, where it tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// Width of its frames in pixels, where it is always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<u32>,
    /// Height of its frames in pixels, where it is always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) height: Option<u32>,
    /// Pixels per inch of its frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dpi: Option<u32>,
    /// What went wrong last, until it works again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
}

/// Whether a reader may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SensorState {
    /// No administrator has adopted it.
    Unknown,
    /// It may.
    Adopted,
    /// It is not what was adopted, or not where it was.
    Moved,
    /// The case was opened since it was adopted.
    Suspended,
}

impl From<Standing> for SensorState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Unknown => Self::Unknown,
            Standing::Adopted => Self::Adopted,
            Standing::Moved => Self::Moved,
            Standing::Suspended => Self::Suspended,
        }
    }
}

impl From<&Adoption> for AdoptedBody {
    fn from(Adoption { reader, at, suspended }: &Adoption) -> Self {
        Self {
            model: reader.model.clone(),
            serial: reader.serial.clone(),
            port: reader.port.clone(),
            at: at.to_string(),
            suspended: suspended.map(|at| at.to_string()),
        }
    }
}

/// Every reader that is or was there, and every one that was adopted.
pub(super) fn described(state: &State) -> Vec<SensorBody> {
    // Of a locked box nobody can say what was adopted.
    let adoptions = state.lock.services().map(Services::adoptions).unwrap_or_default();
    let seen = state.sensors.list();
    let away = adoptions.iter().filter(|adoption| seen.iter().all(|reader| reader.id != adoption.reader.id));
    let mut all: Vec<SensorBody> = away.map(SensorBody::away).collect();
    all.extend(seen.into_iter().map(|reader| SensorBody::new(reader, &adoptions)));
    all.sort_by(|one, other| one.sensor.cmp(&other.sensor));
    all
}

impl SensorBody {
    /// One that was not there since the start.
    fn away(adoption: &Adoption) -> Self {
        Self {
            sensor: adoption.reader.id.clone(),
            model: adoption.reader.model.clone(),
            state: if adoption.suspended.is_some() { SensorState::Suspended } else { SensorState::Adopted },
            port: None,
            adopted: Some(adoption.into()),
            present: false,
            busy: false,
            frames: 0,
            serial: None,
            width: None,
            height: None,
            dpi: None,
            last_error: None,
        }
    }

    fn new(found: ReaderState, adoptions: &Adoptions) -> Self {
        let adoption = adoptions.get(&found.id);
        let state = match (&found.reader, adoption) {
            (Some(reader), _) => adoptions.standing(reader).into(),
            (None, Some(Adoption { suspended: Some(_), .. })) => SensorState::Suspended,
            (None, Some(_)) => SensorState::Adopted,
            (None, None) => SensorState::Unknown,
        };
        let info = found.info;
        let geometry = info.as_ref().and_then(|info| info.geometry);
        let (serial, port) = found.reader.map(|reader| (reader.serial, reader.port)).unzip();
        Self {
            sensor: found.id,
            model: found.model,
            state,
            port,
            adopted: adoption.map(AdoptedBody::from),
            present: info.is_some(),
            busy: found.busy,
            frames: found.frames,
            width: geometry.map(|(width, _)| width),
            height: geometry.map(|(_, height)| height),
            dpi: info.as_ref().map(|info| u32::from(info.dpi.get())),
            serial: serial.flatten(),
            last_error: found.last_error,
        }
    }
}

/// A capture asked for.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureBody {
    /// How long to wait for the finger and its frame.
    #[serde(default)]
    #[schema(value_type = u64, default = 10000, minimum = 1, maximum = 120000)]
    pub(crate) timeout_ms: Patience,
}

/// A frame; `format`, `data` and `dpi` together are a sample for other requests.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CapturedBody {
    /// The reader.
    #[schema(value_type = String)]
    pub(crate) sensor: ReaderId,
    /// Always `png`.
    pub(crate) format: SampleFormat,
    /// The file in base64.
    pub(crate) data: String,
    /// Width in pixels.
    pub(crate) width: u32,
    /// Height in pixels.
    pub(crate) height: u32,
    /// Pixels per inch.
    pub(crate) dpi: u32,
    /// 0 (useless) to 100.
    pub(crate) quality: u8,
    /// What the person can do when no template can be made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// A self-test asked for.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestBody {
    /// With it a finger is asked for too, and waited for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 120000)]
    pub(crate) timeout_ms: Option<Patience>,
}

/// How a self-test ended.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestedBody {
    /// The reader.
    #[schema(value_type = String)]
    pub(crate) sensor: ReaderId,
    /// Whether no step failed.
    pub(crate) passed: bool,
    /// Every step, in order.
    pub(crate) steps: Vec<StepBody>,
}

/// A step of a self-test.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepBody {
    /// `answers`, `lights`, `bare`, `finger`, `frame` or `lift`.
    pub(crate) step: String,
    /// How it ended.
    pub(crate) result: StepResult,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// How many milliseconds it took.
    pub(crate) ms: u64,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StepResult {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// Not begun.
    Skipped,
}

impl From<Checked> for StepBody {
    fn from(checked: Checked) -> Self {
        let (result, detail) = match checked.verdict {
            Verdict::Passed => (StepResult::Passed, None),
            Verdict::Failed(why) => (StepResult::Failed, Some(why)),
            Verdict::Skipped(why) => (StepResult::Skipped, Some(why)),
        };
        let ms = u64::try_from(checked.took.as_millis()).unwrap_or(u64::MAX);
        Self { step: checked.step.name().to_owned(), result, detail, ms }
    }
}

/// Lists the readers at the box.
#[utoipa::path(get, path = "/v1/sensors", operation_id = "list_sensors", tag = "sensors", responses((status = 200, description = "The readers", body = SensorsBody)))]
pub(crate) async fn list(Shared(state): Shared<State>) -> Json<SensorsBody> {
    Json(SensorsBody { sensors: described(&state) })
}

/// Takes the next finger that is laid on a reader.
#[utoipa::path(post, path = "/v1/sensors/{id}/capture", tag = "sensors", request_body = CaptureBody,
    params(("id" = String, Path, description = "The reader")),
    responses((status = 200, description = "The frame. With `Accept: text/event-stream` on the way `place-finger`, `hold`, `lift` and `quality`, and this as `result` (or a problem as `problem`) at the end", body = CapturedBody),
        (status = 404, description = "There is no such reader", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "No finger was laid down in time", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The reader is in use, or no administrator has adopted it", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The reader is absent, was removed, or failed", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn capture(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(id): At<String>,
    wanted: Wanted,
    body: Body<CaptureBody>,
) -> Result<Response, Problem> {
    let sensor: ReaderId = parsed(&id)?;
    let limit = body.timeout_ms.into();
    // Nobody else's body waits for this finger.
    drop(body);
    live::answer(wanted, StatusCode::OK, |teller| taken((state, by), sensor, limit, teller)).await
}

/// The next finger.
async fn taken(
    (state, by): (State, Caller),
    sensor: ReaderId,
    limit: Duration,
    teller: Teller,
) -> Result<CapturedBody, Problem> {
    let impression = Impression { sensor: sensor.clone(), number: 1, of: 1 };
    let claim = state.sensors.claim(&sensor)?;
    let frame = claim.capture(limit, teller.progress(&impression)).await?;
    let services = state.services()?.clone();
    let captured = on_core(&state, move || -> Result<_, Problem> {
        services.finger_captured(&by, &sensor)?;
        let png = encode::png(&frame).map_err(|why| Problem::internal(&why))?;
        let (width, height, dpi) = (frame.width(), frame.height(), u32::from(frame.dpi().get()));
        let (quality, hint) = match Sample::Frame(frame).examine() {
            Ok(examined) => (examined.extraction.quality, None),
            Err(why) => (0, Some(why.to_string())),
        };
        let (format, data) = (SampleFormat::Png, STANDARD.encode(png));
        Ok(CapturedBody { sensor, format, data, width, height, dpi, quality, hint })
    });
    let captured = captured.await.and_then(|captured| captured);
    if let Ok(captured) = &captured {
        teller.quality(&impression, captured.quality, captured.hint.clone());
    }
    claim.show(match &captured {
        Ok(CapturedBody { hint: None, .. }) => Signal::Accepted,
        Ok(_) => Signal::Retry,
        Err(problem) => shown(problem),
    });
    captured
}

/// Tests a reader: that it answers, shows its lights, sees nothing where nothing is, and takes a frame.
#[utoipa::path(post, path = "/v1/sensors/{id}/test", tag = "sensors", request_body = TestBody,
    params(("id" = String, Path, description = "The reader")),
    responses((status = 200, description = "How the test ended; `passed` says whether well", body = TestedBody),
        (status = 404, description = "There is no such reader", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The reader is in use, or no administrator has adopted it", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The reader is absent or was removed", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(id): At<String>,
    body: Body<TestBody>,
) -> Result<Json<TestedBody>, Problem> {
    let sensor: ReaderId = parsed(&id)?;
    let finger = body.timeout_ms.map(Duration::from);
    drop(body);
    let checked = state.sensors.claim(&sensor)?.test(finger).await?;
    let passed = selftest::passed(&checked);
    let (services, tested) = (state.services()?.clone(), sensor.clone());
    off_core(move || services.sensor_tested(&by, &tested, passed)).await??;
    Ok(Json(TestedBody { sensor, passed, steps: checked.into_iter().map(StepBody::from).collect() }))
}
