//! Recorded USB traffic of a supported reader through that reader's own driver, to a frame.
//!
//! Invariant: the frame is made by the code that a plugged-in reader runs; only the transport, the
//! clock and the seeds of the scrambling come from the recording.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, VirtualClock};
use crate::frame::{Dpi, Frame};
use crate::models::UsbModel;
use crate::nb1010::Nb1010;
use crate::sensor::{FingerprintSensor, SensorError, SensorInfo};
use crate::transport::recording::{self, RecordingError, Script};
use crate::uru4000::{self, Uru4000};
use crate::wait::Wait;

/// On a clock that costs no time: longer than any recording.
const LIMIT: Duration = Duration::from_secs(600);

/// Why a recording gave no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrafficError {
    /// The files are no recording.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The reader has no driver here.
    #[error("no driver for USB reader {vendor:04x}:{product:04x}")]
    UnknownReader {
        /// USB vendor.
        vendor: u16,
        /// USB product.
        product: u16,
    },
    /// The driver and the recorded reader did not come to a frame.
    #[error(transparent)]
    Sensor(#[from] SensorError),
}

/// Plays a recording: `description` is umockdev's of the device, and of others beside it, `capture` its pcapng or ioctl
/// recording. `dpi` overrides the resolution of readers that do not tell theirs.
///
/// # Errors
/// [`TrafficError`].
pub fn play(
    description: &str,
    capture: &[u8],
    dpi: Option<Dpi>,
) -> Result<(SensorInfo, Frame), TrafficError> {
    let described = recording::devices(description);
    let known = described.iter().find(|device| UsbModel::find(device.ids.0, device.ids.1).is_some());
    let device = known.or(described.first()).ok_or(RecordingError::NoProduct)?;
    let events = recording::parse_of(capture, Some(device))?;
    let (vendor, product) = device.ids;
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new());
    let script = Script::new(&events, clock.clone());
    let wait = Wait::up_to(LIMIT);
    let mut sensor: Box<dyn FingerprintSensor> = match UsbModel::find(vendor, product) {
        Some(UsbModel::Nb1010) => Box::new(Nb1010::new(script, clock)),
        Some(UsbModel::Uru4000(model)) => {
            let upcoming = script.upcoming();
            let seeds = Box::new(move || upcoming.find(uru4000::recorded_seed).unwrap_or_default());
            let config = uru4000::Config { model, dpi: dpi.unwrap_or(Dpi::STANDARD), seeds };
            Box::new(Uru4000::open(script, config, clock, &wait)?)
        }
        None => return Err(TrafficError::UnknownReader { vendor, product }),
    };
    sensor.wait_for_finger(&wait)?;
    let frame = sensor.capture(&wait)?;
    Ok((sensor.describe(), frame))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_recorded_reader_that_has_a_driver_gives_its_picture() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sensors");
        for (reader, capture) in [("uru4000-4500", "capture.pcapng"), ("nb1010", "capture.ioctl")] {
            let folder = folder.join(reader);
            let Ok(description) = fs::read_to_string(folder.join("device")) else {
                println!("skipped: {} is not there", folder.display());
                return;
            };
            let (info, frame) = play(&description, &fs::read(folder.join(capture)).unwrap(), None).unwrap();
            let picture = decode(&fs::read(folder.join("capture.png")).unwrap(), info.dpi).unwrap();
            assert!(frame == picture, "{reader}");
            assert_eq!(info.geometry, Some((frame.width(), frame.height())));
        }
    }

    #[test]
    fn a_reader_without_a_driver_is_named() {
        let ioctl = b"@DEV x\nUSBDEVFS_REAPURB 0 3 2 0 0 1 1 0 80\n";
        let error = play("E: PRODUCT=147e/2016/2\n", ioctl, None).err();
        assert_eq!(error, Some(TrafficError::UnknownReader { vendor: 0x147E, product: 0x2016 }));
    }

    #[test]
    fn a_recording_of_another_conversation_ends_in_an_error() {
        let ioctl = b"@DEV x\nUSBDEVFS_REAPURB 0 3 2 0 0 1 1 0 80\n";
        for product in ["298d/1010/1", "5ba/a/103", "45e/ca/100"] {
            let error = play(&format!("E: PRODUCT={product}\n"), ioctl, None).err();
            assert!(matches!(error, Some(TrafficError::Sensor(SensorError::Line(_)))), "{error:?}");
        }
    }
}
