//! pcapng with the 64-byte usbmon header (link type 220), little endian: what Linux writes.

use std::collections::BTreeMap;

use super::{Event, Phase, RecordingError, Transfer};

/// First word of a file.
pub(super) const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
/// LINKTYPE_USB_LINUX_MMAPPED.
const USBMON: u16 = 220;
/// Block type, length, and the length again at its end.
const BLOCK_FRAME: usize = 12;
const USBMON_HEADER: usize = 64;

/// The events of the busiest device in the file: a recording of a bus has hubs and mice on it.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Event>, RecordingError> {
    let mut devices: BTreeMap<(u16, u8), Vec<Event>> = BTreeMap::new();
    let mut rest = file;
    while !rest.is_empty() {
        let (kind, length) = (u32_at(rest, 0)?, u32_at(rest, 4)? as usize);
        if length < BLOCK_FRAME || !length.is_multiple_of(4) {
            return Err(RecordingError::Damaged(format!("a block of {length} bytes")));
        }
        let (block, following) = rest.split_at_checked(length).ok_or_else(|| cut("in a block"))?;
        match kind {
            SECTION if u32_at(block, 8)? != BYTE_ORDER => {
                return Err(RecordingError::Damaged("big endian, or no byte order".to_owned()));
            }
            INTERFACE if u16_at(block, 8)? != USBMON => {
                return Err(RecordingError::Damaged(format!("link type {}, not usbmon", u16_at(block, 8)?)));
            }
            PACKET => {
                let captured = u32_at(block, 20)? as usize;
                let packet =
                    block.get(28..).and_then(|b| b.get(..captured)).ok_or_else(|| cut("in a packet"))?;
                let (device, event) = event(packet)?;
                if let Some(event) = event {
                    devices.entry(device).or_default().push(event);
                }
            }
            _ => {}
        }
        rest = following;
    }
    Ok(devices.into_values().max_by_key(Vec::len).unwrap_or_default())
}

fn event(packet: &[u8]) -> Result<((u16, u8), Option<Event>), RecordingError> {
    let (header, data) = packet.split_at_checked(USBMON_HEADER).ok_or_else(|| cut("in a usbmon header"))?;
    let device = (u16_at(header, 12)?, byte_at(header, 11)?);
    let phase = if byte_at(header, 8)? == b'S' { Phase::Submit } else { Phase::Complete };
    let transfer = match byte_at(header, 9)? {
        1 => Transfer::Interrupt,
        2 => Transfer::Control,
        3 => Transfer::Bulk,
        _ => return Ok((device, None)),
    };
    let has_setup = transfer == Transfer::Control && phase == Phase::Submit && byte_at(header, 14)? == 0;
    let setup = header.get(40..48).and_then(|bytes| bytes.try_into().ok()).filter(|_| has_setup);
    let event = Event {
        id: u64::from(u32_at(header, 0)?) | u64::from(u32_at(header, 4)?) << 32,
        phase,
        transfer,
        endpoint: byte_at(header, 10)?,
        setup,
        status: u32_at(header, 28)?.cast_signed(),
        length: u32_at(header, 32)? as usize,
        data: data.to_vec(),
    };
    Ok((device, Some(event)))
}

fn cut(at: &str) -> RecordingError {
    RecordingError::Damaged(format!("it ends {at}"))
}

fn byte_at(bytes: &[u8], at: usize) -> Result<u8, RecordingError> {
    bytes.get(at).copied().ok_or_else(|| cut("in a field"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, RecordingError> {
    Ok(u16::from_le_bytes([byte_at(bytes, at)?, byte_at(bytes, at + 1)?]))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, RecordingError> {
    Ok(u32::from(u16_at(bytes, at)?) | u32::from(u16_at(bytes, at + 2)?) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = (BLOCK_FRAME + body.len() + padding.len()) as u32;
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &padding, &length.to_le_bytes()].concat()
    }

    fn file(link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
        let section = block(SECTION, &[&BYTE_ORDER.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8]].concat());
        let interface = block(INTERFACE, &[&link.to_le_bytes()[..], &[0; 6]].concat());
        let packets = packets.iter().flat_map(|packet| {
            let length = (packet.len() as u32).to_le_bytes();
            block(PACKET, &[&[0; 12][..], &length, &length, packet].concat())
        });
        [section, interface].concat().into_iter().chain(packets).collect()
    }

    fn interrupt(device: u8, data: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; USBMON_HEADER];
        (packet[0], packet[8], packet[9], packet[10], packet[11], packet[14]) =
            (7, b'C', 1, 0x81, device, 45);
        packet[28..32].copy_from_slice(&(-19_i32).to_le_bytes());
        packet[32] = 64;
        packet.extend_from_slice(data);
        packet
    }

    #[test]
    fn the_busiest_device_of_the_bus_is_taken() {
        let file = file(USBMON, &[interrupt(2, &[1]), interrupt(5, &[1, 2, 3]), interrupt(5, &[4])]);
        let events = parse(&file).unwrap();
        let expected = Event {
            id: 7,
            phase: Phase::Complete,
            transfer: Transfer::Interrupt,
            endpoint: 0x81,
            setup: None,
            status: -19,
            length: 64,
            data: vec![1, 2, 3],
        };
        assert_eq!((events.len(), &events[0]), (2, &expected));
    }

    #[test]
    fn another_link_type_is_refused() {
        assert!(
            matches!(parse(&file(1, &[])), Err(RecordingError::Damaged(text)) if text.contains("link type 1"))
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_damaged_or_shorter() {
        let whole = file(USBMON, &[interrupt(2, &[1, 2, 3, 4]), interrupt(2, &[5])]);
        for length in 0..whole.len() {
            if let Ok(events) = parse(&whole[..length]) {
                assert!(events.len() < 2, "{length}");
            }
        }
    }
}
