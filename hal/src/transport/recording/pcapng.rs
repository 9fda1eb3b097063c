//! pcapng of usbmon, little endian: what Linux writes. A file may hold other interfaces (a network,
//! a second bus) beside it: their packets are passed over.

use std::collections::BTreeMap;

use super::{Event, Phase, RecordingError, Transfer};

/// First word of a file.
pub(super) const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
/// As older programs write packets, and as all do now: alike but for the number of the interface.
const OLD_PACKET: u32 = 2;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
/// LINKTYPE_USB_LINUX_MMAPPED and its header, and LINKTYPE_USB_LINUX whose header is its beginning.
const USBMON: [(u16, usize); 2] = [(220, 64), (189, 48)];
/// Block type, length, and the length again at its end.
const BLOCK_FRAME: usize = 12;
/// Events by bus and address of the device.
pub(super) type Devices = BTreeMap<(u16, u8), Vec<Event>>;

/// The events of every device in the file.
pub(super) fn parse(file: &[u8]) -> Result<Devices, RecordingError> {
    let mut devices = Devices::new();
    // Of this section: the length of its packets' header, where it is usbmon.
    let mut interfaces: Vec<Option<usize>> = Vec::new();
    let mut other_link = None;
    let mut rest = file;
    while !rest.is_empty() {
        let (kind, length) = (u32_at(rest, 0)?, u32_at(rest, 4)? as usize);
        if length < BLOCK_FRAME || !length.is_multiple_of(4) {
            return Err(RecordingError::Damaged(format!("a block of {length} bytes")));
        }
        let (block, following) = rest.split_at_checked(length).ok_or_else(|| cut("in a block"))?;
        rest = following;
        let interface = match kind {
            SECTION if u32_at(block, 8)? != BYTE_ORDER => {
                return Err(RecordingError::Damaged("big endian, or no byte order".to_owned()));
            }
            SECTION => {
                interfaces.clear();
                continue;
            }
            INTERFACE => {
                let link = u16_at(block, 8)?;
                let header = USBMON.into_iter().find(|(number, _)| *number == link).map(|(_, header)| header);
                other_link = other_link.or(header.is_none().then_some(link));
                interfaces.push(header);
                continue;
            }
            OLD_PACKET => usize::from(u16_at(block, 8)?),
            PACKET => u32_at(block, 8)? as usize,
            _ => continue,
        };
        let Some(Some(header)) = interfaces.get(interface) else { continue };
        let captured = u32_at(block, 20)? as usize;
        let packet = block.get(28..).and_then(|b| b.get(..captured)).ok_or_else(|| cut("in a packet"))?;
        let (device, event) = event(packet, *header)?;
        if let Some(event) = event {
            devices.entry(device).or_default().push(event);
        }
    }
    match other_link {
        Some(link) if devices.is_empty() => {
            Err(RecordingError::Damaged(format!("link type {link}, not usbmon")))
        }
        _ => Ok(devices),
    }
}

fn event(packet: &[u8], header: usize) -> Result<((u16, u8), Option<Event>), RecordingError> {
    let (header, data) = packet.split_at_checked(header).ok_or_else(|| cut("in a usbmon header"))?;
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
        file_of(PACKET, &[link], packets)
    }

    /// The packets belong to the first of the interfaces.
    fn file_of(kind: u32, links: &[u16], packets: &[Vec<u8>]) -> Vec<u8> {
        let section = block(SECTION, &[&BYTE_ORDER.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8]].concat());
        let interfaces =
            links.iter().flat_map(|link| block(INTERFACE, &[&link.to_le_bytes()[..], &[0; 6]].concat()));
        let packets = packets.iter().flat_map(|packet| {
            let length = (packet.len() as u32).to_le_bytes();
            block(kind, &[&[0; 12][..], &length, &length, packet].concat())
        });
        section.into_iter().chain(interfaces).chain(packets).collect()
    }

    fn interrupt(device: u8, data: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 64];
        (packet[0], packet[8], packet[9], packet[10], packet[11], packet[14]) =
            (7, b'C', 1, 0x81, device, 45);
        packet[28..32].copy_from_slice(&(-19_i32).to_le_bytes());
        packet[32] = 64;
        packet.extend_from_slice(data);
        packet
    }

    #[test]
    fn the_devices_of_a_bus_are_kept_apart() {
        let file = file(220, &[interrupt(2, &[1]), interrupt(5, &[1, 2, 3]), interrupt(5, &[4])]);
        let devices = parse(&file).unwrap();
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
        assert_eq!((devices.len(), devices[&(0, 5)].len(), &devices[&(0, 5)][0]), (2, 2, &expected));
    }

    #[test]
    fn short_headers_and_old_packets_are_read_alike() {
        let long = parse(&file(220, &[interrupt(2, &[7, 8])])).unwrap();
        assert_eq!(parse(&file_of(OLD_PACKET, &[220], &[interrupt(2, &[7, 8])])), Ok(long.clone()));
        let mut short = interrupt(2, &[7, 8]);
        short.drain(48..64);
        assert_eq!(parse(&file(189, &[short])), Ok(long));
    }

    #[test]
    fn packets_of_another_interface_are_passed_over() {
        assert_eq!(parse(&file_of(PACKET, &[1, 220], &[vec![1, 2, 3]])), parse(&file(1, &[])));
        let network = file(1, &[vec![1, 2, 3]]);
        let both = [file(220, &[interrupt(2, &[7])]), network].concat();
        assert_eq!(parse(&both), parse(&file(220, &[interrupt(2, &[7])])));
    }

    #[test]
    fn another_link_type_is_refused() {
        assert!(
            matches!(parse(&file(1, &[])), Err(RecordingError::Damaged(text)) if text.contains("link type 1"))
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_damaged_or_shorter() {
        let whole = file(220, &[interrupt(2, &[1, 2, 3, 4]), interrupt(2, &[5])]);
        for length in 0..whole.len() {
            if let Ok(devices) = parse(&whole[..length]) {
                assert!(devices.values().flatten().count() < 2, "{length}");
            }
        }
    }
}
