//! An impression as a request presents it: sent along, or taken now at one of the box's readers.
//!
//! Invariant: a request that waits for a finger holds none of the places for bodies in memory, has every
//! reader that it named for itself until it is answered, and the person at the reader sees the answer.

use std::time::Duration;

use authenteon_hal::{Frame, discovery::ReaderId, sensor::Signal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    on_core,
    sample::{SampleBody, SampleFormat, standard_dpi},
};
use crate::{
    policy::Decision,
    sample::Sample,
    sensors::{Claim, Progress},
    server::{
        State,
        live::{Impression, Teller},
        problem::Problem,
        shares::Place,
    },
};

/// One impression of a finger: `format` and `data`, or `sensor` for the next finger that is laid on that
/// reader of the box.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged, try_from = "Fields")]
pub(crate) enum PresentedBody {
    /// Sent along.
    Sent(SampleBody),
    /// Taken now.
    Captured(SensorSample),
}

/// The next finger that is laid on a reader of the box.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorSample {
    /// The reader, as `/v1/sensors` names it.
    #[schema(value_type = String, example = "usb-05ba-000a-1-1.4")]
    pub(crate) sensor: ReaderId,
    /// How long to wait for the finger and its frame.
    #[serde(default)]
    #[schema(value_type = u64, default = 10000, minimum = 1, maximum = 120000)]
    pub(crate) timeout_ms: Patience,
}

/// How long somebody waits for a finger: some milliseconds to two minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub(crate) struct Patience(u64);

impl Default for Patience {
    fn default() -> Self {
        Self(10_000)
    }
}

impl TryFrom<u64> for Patience {
    type Error = &'static str;

    fn try_from(milliseconds: u64) -> Result<Self, &'static str> {
        let fits = (1..=120_000).contains(&milliseconds);
        if fits { Ok(Self(milliseconds)) } else { Err("timeout_ms is from 1 to 120000") }
    }
}

impl From<Patience> for u64 {
    fn from(patience: Patience) -> Self {
        patience.0
    }
}

impl From<Patience> for Duration {
    fn from(patience: Patience) -> Self {
        Self::from_millis(patience.0)
    }
}

/// Every field of both kinds, so that what is wrong can be said of the field and not of the whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    format: Option<SampleFormat>,
    data: Option<String>,
    dpi: Option<u32>,
    width: Option<u32>,
    height: Option<u32>,
    sensor: Option<ReaderId>,
    timeout_ms: Option<Patience>,
}

impl TryFrom<Fields> for PresentedBody {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let Fields { format, data, dpi, width, height, sensor, timeout_ms } = fields;
        if let Some(sensor) = sensor {
            if format.is_some() || data.is_some() || dpi.or(width).or(height).is_some() {
                return Err("a sample has either sensor or format and data");
            }
            return Ok(Self::Captured(SensorSample { sensor, timeout_ms: timeout_ms.unwrap_or_default() }));
        }
        if timeout_ms.is_some() {
            return Err("timeout_ms goes with sensor");
        }
        let format = format.ok_or("missing field `format` (or `sensor`)")?;
        let data = data.ok_or("missing field `data`")?;
        Ok(Self::Sent(SampleBody { format, data, dpi: dpi.unwrap_or_else(standard_dpi), width, height }))
    }
}

/// An impression that is here.
pub(super) enum Presented {
    Sent(SampleBody),
    Frame(Frame),
}

impl TryFrom<Presented> for Sample {
    type Error = Problem;

    fn try_from(presented: Presented) -> Result<Self, Problem> {
        match presented {
            Presented::Sent(body) => Self::try_from(body),
            Presented::Frame(frame) => Ok(Self::Frame(frame)),
        }
    }
}

/// The readers that a request has, and through them the person who waits.
#[derive(Default)]
pub(super) struct Readers(Vec<Claim>);

impl Readers {
    /// The next finger at a reader.
    async fn take(
        &mut self,
        state: &State,
        sample: &SensorSample,
        progress: Progress,
    ) -> Result<Frame, Problem> {
        let limit = sample.timeout_ms.into();
        if let Some(claim) = self.0.iter().find(|claim| *claim.id() == sample.sensor) {
            return Ok(claim.capture(limit, progress).await?);
        }
        let claim = state.sensors.claim(&sample.sensor)?;
        let taken = claim.capture(limit, progress).await;
        self.0.push(claim);
        Ok(taken?)
    }

    /// Shows what came of it and lets the readers go.
    pub(super) fn show(self, signal: Signal) {
        for claim in self.0 {
            claim.show(signal);
        }
    }

    /// Shows an answer that is a decision or none.
    pub(super) fn show_decision(self, decision: Result<&Decision, &Problem>) {
        self.show(match decision {
            Ok(Decision::Accept { .. }) => Signal::Accepted,
            Ok(Decision::Refuse { .. }) => Signal::Refused,
            Ok(Decision::Retry { .. }) => Signal::Retry,
            Err(problem) => shown(problem),
        });
    }
}

/// What a person can see of a problem.
pub(super) fn shown(problem: &Problem) -> Signal {
    // The print was at fault, and another one may do.
    if problem.status == 422 { Signal::Retry } else { Signal::Refused }
}

/// Gets what a request presents: what was sent as it is, with its place in memory, and what is to be
/// taken from the readers, one finger after the other, which the teller tells of.
///
/// # Errors
/// A problem of the sample that could not be taken.
pub(super) async fn present(
    state: &State,
    samples: Vec<PresentedBody>,
    permit: Place,
    teller: &Teller,
) -> Result<(Vec<Presented>, Readers, Option<Place>), Problem> {
    let mut readers = Readers::default();
    let captured = samples.iter().filter(|sample| matches!(sample, PresentedBody::Captured(_))).count();
    if captured == 0 {
        let sent = samples.into_iter().filter_map(|sample| match sample {
            PresentedBody::Sent(body) => Some(Presented::Sent(body)),
            PresentedBody::Captured(_) => None,
        });
        return Ok((sent.collect(), readers, Some(permit)));
    }
    if captured < samples.len() {
        // Images would lie in memory for as long as somebody takes to lay a finger down.
        return Err(Problem::bad_request("samples are either all sent or all taken at readers"));
    }
    drop(permit);
    let single = samples.len() == 1;
    let mut taken = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let PresentedBody::Captured(sample) = sample else { continue };
        let impression = Impression { sensor: sample.sensor.clone(), number: index + 1, of: samples.len() };
        let frame = readers.take(state, sample, teller.progress(&impression)).await;
        let frame = frame.map_err(|problem| if single { problem } else { problem.of_sample(index) })?;
        if teller.is_heard() {
            judge(state, &frame, &impression, teller).await?;
        }
        taken.push(Presented::Frame(frame));
    }
    Ok((taken, readers, None))
}

/// Tells what a frame is worth while there is still somebody to do better.
async fn judge(
    state: &State,
    frame: &Frame,
    impression: &Impression,
    teller: &Teller,
) -> Result<(), Problem> {
    let frame = frame.clone();
    let (quality, hint) = on_core(state, move || match Sample::Frame(frame).examine() {
        Ok(examined) => (examined.extraction.quality, None),
        Err(why) => (0, Some(why.to_string())),
    })
    .await?;
    teller.quality(impression, quality, hint);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<PresentedBody, String> {
        serde_json::from_str(text).map_err(|why| why.to_string())
    }

    #[test]
    fn a_sample_is_sent_or_taken_and_never_half_of_both() {
        assert!(matches!(parsed(r#"{"format":"png","data":""}"#), Ok(PresentedBody::Sent(_))));
        let Ok(PresentedBody::Captured(sample)) = parsed(r#"{"sensor":"usb-1"}"#) else { unreachable!() };
        assert_eq!((sample.sensor.as_str(), u64::from(sample.timeout_ms)), ("usb-1", 10_000));
        for (text, say) in [
            (r#"{"sensor":"usb-1","data":""}"#, "either"),
            (r#"{"sensor":"usb-1","dpi":500}"#, "either"),
            (r#"{"sensor":"usb 1"}"#, "reader's id"),
            (r#"{"sensor":"usb-1","timeout_ms":0}"#, "from 1 to 120000"),
            (r#"{"sensor":"usb-1","timeout_ms":120001}"#, "from 1 to 120000"),
            (r#"{"format":"png","data":"","timeout_ms":5}"#, "goes with sensor"),
            (r#"{"data":""}"#, "missing field `format`"),
            (r#"{"format":"png"}"#, "missing field `data`"),
            (r#"{"sensor":"usb-1","finger":1}"#, "unknown field `finger`"),
            (r#"{"sensor":"usb-1","sensor":"usb-1"}"#, "duplicate field"),
        ] {
            let why = parsed(text).err().unwrap();
            assert!(why.contains(say), "{text}: {why}");
        }
    }
}
