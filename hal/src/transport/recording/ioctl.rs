//! umockdev's ioctl recordings of USB devices: one line for each URB that was reaped,
//! `USBDEVFS_REAPURB[NDELAY] result type endpoint status flags length actual errors hex`.

use super::{Event, Phase, RecordingError, Transfer};

/// Fields in front of the data.
const FIELDS: usize = 9;

/// Each URB becomes a submission and a completion right behind it: that is all the file tells.
pub(super) fn parse(text: &str) -> Result<Vec<Event>, RecordingError> {
    if !text.starts_with("@DEV") {
        return Err(RecordingError::UnknownFormat);
    }
    let mut events = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if !line.trim_start().starts_with("USBDEVFS_REAPURB") {
            continue;
        }
        let damaged = || RecordingError::Damaged(format!("line {}", number + 1));
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (fields, data) = fields.split_at_checked(FIELDS).ok_or_else(damaged)?;
        let number_at =
            |at: usize| fields.get(at).and_then(|field| field.parse::<i64>().ok()).ok_or_else(damaged);
        let transfer = match number_at(2)? {
            1 => Transfer::Interrupt,
            2 => Transfer::Control,
            3 => Transfer::Bulk,
            _ => continue,
        };
        let data = hex(data.first().copied().unwrap_or_default()).ok_or_else(damaged)?;
        let submit = Event {
            id: number as u64,
            phase: Phase::Submit,
            transfer,
            endpoint: u8::try_from(number_at(3)?).map_err(|_| damaged())?,
            setup: None,
            status: 0,
            length: usize::try_from(number_at(6)?).map_err(|_| damaged())?,
            data: data.clone(),
        };
        let submit =
            if transfer == Transfer::Control { control(submit).ok_or_else(damaged)? } else { submit };
        let status = i32::try_from(number_at(4)?).map_err(|_| damaged())?;
        let complete = Event { phase: Phase::Complete, status, ..submit.clone() };
        events.extend([submit, complete]);
    }
    Ok(events)
}

/// The buffer of a control transfer has its setup packet in front, which also says the direction; the
/// file holds the buffer as it was at the end, both ways.
fn control(event: Event) -> Option<Event> {
    let (setup, data) = event.data.split_first_chunk::<8>()?;
    let length = usize::from(u16::from_le_bytes([setup[6], setup[7]]));
    Some(Event { endpoint: setup[0] & 0x80, setup: Some(*setup), length, data: data.to_vec(), ..event })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let pairs = digits?;
    pairs
        .len()
        .is_multiple_of(2)
        .then(|| pairs.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_becomes_a_submission_and_a_completion() {
        let text = "@DEV /dev/bus/usb/001/003\nUSBDEVFS_GET_CAPABILITIES 0 FD\n\
                    USBDEVFS_REAPURBNDELAY 0 3 2 0 0 2 2 0 80fF\n USBDEVFS_REAPURB 0 3 131 0 0 16 1 0 0A\n";
        let events = parse(text).unwrap();
        assert_eq!(events.len(), 4);
        assert_eq!(
            (events[0].phase, events[0].endpoint, &events[0].data[..]),
            (Phase::Submit, 2, &[0x80, 0xFF][..])
        );
        assert_eq!((events[3].phase, events[3].endpoint, events[3].length), (Phase::Complete, 0x83, 16));
        assert_eq!(events[3].data, [0x0A]);
    }

    #[test]
    fn control_transfers_have_their_setup_packet_in_front_of_their_data() {
        let text = "@DEV x\nUSBDEVFS_REAPURB 0 2 0 0 0 9 1 0 C00407000000010081\n\
                    USBDEVFS_REAPURB 0 2 0 0 0 9 1 0 400407000000010001\n";
        let events = parse(text).unwrap();
        let seen: Vec<_> =
            events.iter().map(|e| (e.endpoint, e.setup.unwrap()[0], e.length, &e.data[..])).collect();
        assert_eq!(seen[..2], [(0x80, 0xC0, 1, &[0x81][..]); 2]);
        assert_eq!(seen[2..], [(0x00, 0x40, 1, &[0x01][..]); 2]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        for line in [
            "USBDEVFS_REAPURB 0 3 2",
            "USBDEVFS_REAPURB 0 3 2 0 0 2 2 0 8",
            "USBDEVFS_REAPURB 0 3 2 0 0 2 2 0 8X",
            "USBDEVFS_REAPURB 0 x 2 0 0 2 2 0 88",
            "USBDEVFS_REAPURB 0 3 999 0 0 2 2 0 88",
            "USBDEVFS_REAPURB 0 3 2 0 0 -2 2 0 88",
            "USBDEVFS_REAPURB 0 2 0 0 0 9 1 0 C0040700",
        ] {
            let error = parse(&format!("@DEV x\n{line}\n"));
            assert_eq!(error, Err(RecordingError::Damaged("line 2".to_owned())), "{line}");
        }
    }
}
