//! Recorded USB traffic, and a transport that plays it.
//!
//! Two kinds of file are read: pcapng as usbmon and Wireshark write it, and the ioctl recordings of
//! umockdev. Both become the same list of [`Event`]s, which [`Script`] plays. Invariant: the parsers
//! take any bytes without a panic, and allocate no more than the file has.

mod description;
mod ioctl;
mod pcapng;
mod script;

pub use description::{Described, devices};
pub use script::{Script, Upcoming};

/// Why a recording cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// The file is neither of the two kinds.
    #[error("not a recording: expected pcapng of usbmon, or a umockdev ioctl recording")]
    UnknownFormat,
    /// The file contradicts itself.
    #[error("damaged recording: {0}")]
    Damaged(String),
    /// There is no traffic of a USB device in it.
    #[error("the recording holds no USB transfers")]
    Empty,
    /// The description names no USB device.
    #[error("the device description has no USB device, as in a line E: PRODUCT=vendor/product/revision")]
    NoProduct,
}

/// What kind of transfer it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// On endpoint 0.
    Control,
    /// On an interrupt endpoint.
    Interrupt,
    /// On a bulk endpoint.
    Bulk,
}

/// Whether a transfer was started or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The host started it.
    Submit,
    /// It ended, well or not.
    Complete,
}

/// One line of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Joins a submission with its completion.
    pub id: u64,
    /// Start or end.
    pub phase: Phase,
    /// Kind of transfer.
    pub transfer: Transfer,
    /// Endpoint with its direction in bit 7.
    pub endpoint: u8,
    /// The setup packet of a control transfer.
    pub setup: Option<[u8; 8]>,
    /// Zero, or what went wrong, as Linux numbers it.
    pub status: i32,
    /// Length of the host's buffer.
    pub length: usize,
    /// What went over the wire.
    pub data: Vec<u8>,
}

impl Event {
    /// From device to host.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.endpoint & 0x80 != 0
    }
}

/// Reads a recording of either kind; of a bus with several devices, the busiest.
///
/// # Errors
/// [`RecordingError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Event>, RecordingError> {
    parse_of(bytes, None)
}

/// Reads a recording of either kind. A recording of a bus has hubs and mice on it too: taken is the
/// device at the place that its description tells, or one that told the described ids itself, or the
/// busiest.
///
/// # Errors
/// [`RecordingError`].
pub fn parse_of(bytes: &[u8], device: Option<&Described>) -> Result<Vec<Event>, RecordingError> {
    let events = if bytes.starts_with(&pcapng::SECTION.to_le_bytes()) {
        let mut devices = pcapng::parse(bytes)?;
        let at_place = device.and_then(|device| devices.remove(&device.place?));
        let introduced =
            || device.and_then(|device| busiest(devices.values().filter(|events| told(events, device.ids))));
        at_place.or_else(introduced).or_else(|| busiest(devices.values())).unwrap_or_default()
    } else {
        let text = std::str::from_utf8(bytes).map_err(|_| RecordingError::UnknownFormat)?;
        ioctl::parse(text)?
    };
    if events.is_empty() { Err(RecordingError::Empty) } else { Ok(events) }
}

fn busiest<'a>(devices: impl Iterator<Item = &'a Vec<Event>>) -> Option<Vec<Event>> {
    devices.max_by_key(|events| events.len()).cloned()
}

/// Whether a device descriptor with these ids is among what the device sent.
fn told(events: &[Event], (vendor, product): (u16, u16)) -> bool {
    const DEVICE_DESCRIPTOR: [u8; 2] = [18, 1];
    let ids = [vendor.to_le_bytes(), product.to_le_bytes()].concat();
    let sent =
        events.iter().filter(|event| event.transfer == Transfer::Control && event.phase == Phase::Complete);
    sent.map(|event| &event.data)
        .any(|data| data.starts_with(&DEVICE_DESCRIPTOR) && data.get(8..12) == Some(&ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_recording_is_refused() {
        assert_eq!(parse(b"\x89PNG\xff"), Err(RecordingError::UnknownFormat));
        assert_eq!(parse(b"hello"), Err(RecordingError::UnknownFormat));
        assert_eq!(parse(b""), Err(RecordingError::UnknownFormat));
        assert_eq!(parse(b"@DEV /dev/bus/usb/001/003\n"), Err(RecordingError::Empty));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            start in prop::sample::select(vec![&b""[..], b"\x0a\x0d\x0d\x0a", b"@DEV x\nUSBDEVFS_REAPURB "]),
            body in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let _ = parse(&[start, &body].concat());
        }
    }
}
