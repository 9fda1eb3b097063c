//! From a recorded print to a request: the replay sensor captures it, the client asks with it.

use std::time::Duration;

use authenteon_hal::{FingerprintSensor, Frame, Wait, replay::ReplaySensor};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::DemoError;

/// How long the demo waits for a recorded finger.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far a moved finger lies from its recorded place, in rows.
const MOVED: u32 = 8;

/// Puts a recorded finger on the replay sensor and captures it.
fn present(frame: &Frame) -> Result<Frame, DemoError> {
    let mut sensor = ReplaySensor::new([frame.clone()]);
    let wait = Wait::up_to(PATIENCE);
    sensor.wait_for_finger(&wait)?;
    let frame = sensor.capture(&wait)?;
    sensor.wait_for_lift(&wait)?;
    Ok(frame)
}

/// The same finger a little further up.
pub(super) fn moved(frame: &Frame) -> Result<Frame, DemoError> {
    let away = MOVED.min(frame.height().saturating_sub(Frame::MIN_SIDE));
    let rest = frame.pixels().get((away * frame.width()) as usize..).unwrap_or_default();
    Ok(Frame::new(frame.width(), frame.height() - away, frame.dpi(), rest.to_vec())?)
}

/// A presented finger as the API takes it.
pub(super) fn sample(frame: &Frame) -> Result<Value, DemoError> {
    let frame = present(frame)?;
    Ok(json!({
        "format": "raw-grey",
        "width": frame.width(),
        "height": frame.height(),
        "dpi": frame.dpi().get(),
        "data": STANDARD.encode(frame.pixels()),
    }))
}

/// What verification and identification share.
pub(super) fn asked(frame: &Frame) -> Result<Value, DemoError> {
    Ok(json!({
        "request_id": uuid::Uuid::new_v4().to_string(),
        "nonce": uuid::Uuid::new_v4().simple().to_string(),
        "sample": sample(frame)?,
    }))
}

#[cfg(test)]
mod tests {
    use authenteon_hal::Dpi;

    use super::*;

    #[test]
    fn a_moved_finger_is_another_picture_of_the_same_pixels() {
        let frame =
            Frame::new(64, 80, Dpi::STANDARD, (0..64 * 80).map(|i| (i / 64) as u8).collect()).unwrap();
        let other = moved(&frame).unwrap();
        assert_eq!((other.width(), other.height()), (64, 72));
        assert_eq!(other.pixels()[0], 8);
        let small = Frame::new(64, 64, Dpi::STANDARD, vec![0; 64 * 64]).unwrap();
        assert_eq!(moved(&small).unwrap().height(), 64);
    }
}
