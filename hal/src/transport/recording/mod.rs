//! Recorded USB traffic, and a transport that plays it.
//!
//! Two kinds of file are read: pcapng as usbmon and Wireshark write it, and the ioctl recordings of
//! umockdev. Both become the same list of [`Event`]s, which [`Script`] plays. Invariant: the parsers
//! take any bytes without a panic, and allocate no more than the file has.

mod ioctl;
mod pcapng;
mod script;

pub use script::Script;

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
    /// The description of the device says nothing of its ids.
    #[error("the device description has no line E: PRODUCT=vendor/product/revision")]
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

/// Reads a recording of either kind.
///
/// # Errors
/// [`RecordingError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Event>, RecordingError> {
    let events = if bytes.starts_with(&pcapng::SECTION.to_le_bytes()) {
        pcapng::parse(bytes)?
    } else {
        let text = std::str::from_utf8(bytes).map_err(|_| RecordingError::UnknownFormat)?;
        ioctl::parse(text)?
    };
    if events.is_empty() { Err(RecordingError::Empty) } else { Ok(events) }
}

/// Vendor and product in umockdev's description of a device.
///
/// # Errors
/// [`RecordingError::NoProduct`].
pub fn ids(description: &str) -> Result<(u16, u16), RecordingError> {
    let products = description.lines().filter_map(|line| line.strip_prefix("E: PRODUCT="));
    let parsed = products.filter_map(|product| {
        let mut parts = product.split('/').map(|part| u16::from_str_radix(part, 16).ok());
        Some((parts.next()??, parts.next()??))
    });
    // The device itself stands first; its hubs follow.
    parsed.into_iter().next().ok_or(RecordingError::NoProduct)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ids_are_those_of_the_first_device() {
        let text = "P: /devices/x\nE: PRODUCT=5ba/a/103\n\nP: /devices\nE: PRODUCT=1d6b/2/606\n";
        assert_eq!(ids(text), Ok((0x05BA, 0x000A)));
        assert_eq!(ids("P: /devices/x\n"), Err(RecordingError::NoProduct));
        assert_eq!(ids("E: PRODUCT=zzz/1/1\n"), Err(RecordingError::NoProduct));
    }

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
