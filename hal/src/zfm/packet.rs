//! Packets of the 0xEF01 family: `EF 01 | address 4 | kind 1 | length 2 | payload | sum 2`.
//!
//! Invariant: the decoder takes any bytes in any pieces, allocates nothing, never panics, and finds
//! the next whole packet behind garbage, behind a false header and behind a damaged packet.

/// Longest payload that a module can be set to.
pub const MAX_PAYLOAD: usize = 256;
const HEADER: [u8; 2] = [0xEF, 0x01];
/// Header, address, kind and length.
const PREFIX: usize = 9;
const SUM: usize = 2;
/// Longest packet on the wire.
pub const MAX_PACKET: usize = PREFIX + MAX_PAYLOAD + SUM;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Host to module: do something.
    Command,
    /// Data, more follows.
    Data,
    /// Module to host: how it went.
    Ack,
    /// Data, the last of it.
    LastData,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Command => 0x01,
            Self::Data => 0x02,
            Self::Ack => 0x07,
            Self::LastData => 0x08,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Command, Self::Data, Self::Ack, Self::LastData].into_iter().find(|kind| kind.code() == code)
    }
}

/// Bytes of one packet, on the stack.
pub type Payload = heapless::Vec<u8, MAX_PAYLOAD>;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The module it comes from or goes to.
    pub address: u32,
    /// What it is for.
    pub kind: Kind,
    /// What it carries.
    pub payload: Payload,
}

/// A packet whose sum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wrong checksum")]
pub struct Damaged;

impl Packet {
    /// Makes a packet; what exceeds [`MAX_PAYLOAD`] is refused.
    #[must_use]
    pub fn new(address: u32, kind: Kind, payload: &[u8]) -> Option<Self> {
        Payload::from_slice(payload).ok().map(|payload| Self { address, kind, payload })
    }

    /// The packet as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> heapless::Vec<u8, MAX_PACKET> {
        let mut wire = heapless::Vec::new();
        let length = u16::try_from(self.payload.len() + SUM).unwrap_or(u16::MAX);
        // Capacity is that of the largest packet, so nothing here can fail.
        let _ = wire.extend_from_slice(&HEADER);
        let _ = wire.extend_from_slice(&self.address.to_be_bytes());
        let _ = wire.push(self.kind.code());
        let _ = wire.extend_from_slice(&length.to_be_bytes());
        let _ = wire.extend_from_slice(&self.payload);
        let sum = sum_of(wire.get(HEADER.len() + 4..).unwrap_or_default());
        let _ = wire.extend_from_slice(&sum.to_be_bytes());
        wire
    }
}

/// Kind, length and payload, added up modulo 65536.
fn sum_of(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum: u16, byte| sum.wrapping_add(u16::from(*byte)))
}

/// Finds packets in a stream of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: heapless::Vec<u8, { 2 * MAX_PACKET }>,
    skipped: usize,
}

impl Decoder {
    /// An empty decoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the wire and returns how many; the rest fits after [`Decoder::next_packet`]
    /// has returned `None`.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let room = self.buffer.capacity() - self.buffer.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        let _ = self.buffer.extend_from_slice(taken);
        taken.len()
    }

    /// The next whole packet; `None` until more bytes come.
    pub fn next_packet(&mut self) -> Option<Result<Packet, Damaged>> {
        loop {
            self.align();
            let [_, _, a, b, c, d, kind, high, low, rest @ ..] = self.buffer.as_slice() else {
                return None;
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (Some(kind), Some(carried)) = (Kind::from_code(*kind), length.checked_sub(SUM)) else {
                self.skip(1);
                continue;
            };
            if carried > MAX_PAYLOAD {
                self.skip(1);
                continue;
            }
            if rest.len() < length {
                return None;
            }
            let (payload, sum) = rest.get(..length)?.split_at_checked(carried)?;
            let address = u32::from_be_bytes([*a, *b, *c, *d]);
            let packet = Packet::new(address, kind, payload)?;
            let expected = sum_of(self.buffer.get(HEADER.len() + 4..PREFIX + carried)?);
            if sum != expected.to_be_bytes() {
                // Its length may be what is wrong: look for the next header right behind this one.
                self.skip(HEADER.len());
                return Some(Err(Damaged));
            }
            self.drop_front(PREFIX + length);
            return Some(Ok(packet));
        }
    }

    /// Forgets what has not become a packet.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.skipped = 0;
    }

    /// Bytes that belonged to no packet since [`Decoder::clear`]: a sign of a wrong speed.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Drops bytes until the buffer starts with a header, or with what may become one.
    fn align(&mut self) {
        let found = (0..self.buffer.len()).find(|at| {
            let tail = self.buffer.get(*at..).unwrap_or_default();
            tail.starts_with(&HEADER) || tail == [HEADER[0]]
        });
        self.skip(found.unwrap_or(self.buffer.len()));
    }

    fn skip(&mut self, count: usize) {
        self.skipped = self.skipped.saturating_add(count);
        self.drop_front(count);
    }

    fn drop_front(&mut self, count: usize) {
        let count = count.min(self.buffer.len());
        self.buffer.rotate_left(count);
        self.buffer.truncate(self.buffer.len() - count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// VfyPwd with password 0, as the manuals print it.
    const VERIFY: [u8; 16] = [0xEF, 1, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 7, 0x13, 0, 0, 0, 0, 0, 0x1B];

    fn packet(payload: &[u8]) -> Packet {
        Packet::new(0xFFFF_FFFF, Kind::Data, payload).unwrap()
    }

    /// Feeds bytes and collects what comes out, as a driver does.
    fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Result<Packet, Damaged>> {
        let mut found = Vec::new();
        loop {
            let taken = decoder.push(bytes);
            bytes = &bytes[taken..];
            while let Some(packet) = decoder.next_packet() {
                found.push(packet);
            }
            if bytes.is_empty() {
                return found;
            }
        }
    }

    #[test]
    fn the_handshake_has_the_bytes_of_the_manual() {
        let verify = Packet::new(0xFFFF_FFFF, Kind::Command, &[0x13, 0, 0, 0, 0]).unwrap();
        assert_eq!(verify.encode().as_slice(), VERIFY);
        assert_eq!(decode(&mut Decoder::new(), &VERIFY), [Ok(verify)]);
    }

    #[test]
    fn a_packet_in_single_bytes_comes_out_whole() {
        let mut decoder = Decoder::new();
        for byte in &VERIFY[..15] {
            decoder.push(&[*byte]);
            assert_eq!(decoder.next_packet(), None);
        }
        decoder.push(&VERIFY[15..]);
        assert!(matches!(decoder.next_packet(), Some(Ok(_))));
    }

    #[test]
    fn garbage_before_the_header_is_skipped_and_counted() {
        let mut decoder = Decoder::new();
        let bytes = [&[0x55, 0xEF, 0xEF, 0x00][..], &VERIFY].concat();
        assert!(matches!(decode(&mut decoder, &bytes)[..], [Ok(_)]));
        assert_eq!(decoder.skipped(), 4);
    }

    #[test]
    fn a_false_header_does_not_swallow_the_packet_behind_it() {
        for false_header in
            [&[0xEF, 0x01][..], &[0xEF, 1, 0, 0, 0, 0, 9, 0, 3], &[0xEF, 1, 0, 0, 0, 0, 7, 0xFF, 0xFF]]
        {
            let bytes = [false_header, &VERIFY].concat();
            assert!(decode(&mut Decoder::new(), &bytes).iter().any(Result::is_ok), "{false_header:x?}");
        }
    }

    #[test]
    fn a_wrong_sum_is_reported_and_the_next_packet_found() {
        let mut damaged = VERIFY;
        damaged[15] ^= 1;
        let found = decode(&mut Decoder::new(), &[damaged, VERIFY].concat());
        assert!(matches!(found[..], [Err(Damaged), Ok(_)]), "{found:?}");
    }

    #[test]
    fn a_length_that_cannot_hold_a_sum_is_no_packet() {
        let bytes = [0xEF, 1, 0xFF, 0xFF, 0xFF, 0xFF, 7, 0, 1, 0, 8];
        assert_eq!(decode(&mut Decoder::new(), &bytes), []);
    }

    #[test]
    fn a_truncated_packet_gives_nothing_until_the_next_one_comes() {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, &VERIFY[..12]), []);
        assert!(decode(&mut decoder, &VERIFY).iter().any(Result::is_err));
        assert!(decode(&mut decoder, &VERIFY).iter().any(Result::is_ok));
    }

    #[test]
    fn the_largest_payload_fits_and_a_larger_one_is_refused() {
        let largest = packet(&[7; MAX_PAYLOAD]);
        assert_eq!(largest.encode().len(), MAX_PACKET);
        assert_eq!(decode(&mut Decoder::new(), &largest.encode()), [Ok(largest)]);
        assert_eq!(Packet::new(0, Kind::Data, &[0; MAX_PAYLOAD + 1]), None);
    }

    proptest! {
        #[test]
        fn every_packet_survives_the_wire(
            address: u32,
            payload in prop::collection::vec(any::<u8>(), 0..=MAX_PAYLOAD),
            code in prop::sample::select(vec![1u8, 2, 7, 8]),
        ) {
            let sent = Packet::new(address, Kind::from_code(code).unwrap(), &payload).unwrap();
            prop_assert_eq!(decode(&mut Decoder::new(), &sent.encode()), [Ok(sent)]);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_stall(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::new();
            decode(&mut decoder, &bytes);
            // Whatever came before, enough whole packets are found in the end.
            let after = packet(&[1, 2, 3]).encode().repeat(40);
            prop_assert!(decode(&mut decoder, &after).iter().any(Result::is_ok));
        }

        #[test]
        fn pieces_make_no_difference(
            mut bytes in prop::collection::vec(prop::sample::select(vec![0xEFu8, 0x01, 0x07, 0x00, 0x02, 0x33]), 0..300),
            piece in 1..40usize,
        ) {
            bytes.extend_from_slice(&VERIFY);
            let whole = decode(&mut Decoder::new(), &bytes);
            let mut decoder = Decoder::new();
            let pieces: Vec<_> = bytes.chunks(piece).flat_map(|chunk| decode(&mut decoder, chunk)).collect();
            prop_assert_eq!(whole, pieces);
        }
    }
}
