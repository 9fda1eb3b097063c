//! What a U.are.U reader sends to a frame: a header of 64 bytes, then rows of 384, scrambled.
//!
//! The header tells up to 15 blocks of rows, each with flags: scrambled or plain, present on the wire
//! or left out, under the same key or the next one. Invariant: whatever the header says, no byte
//! outside the transfer is read, and a frame comes out whole or not at all.

use crate::frame::{Dpi, Frame};
use crate::rows;
use crate::sensor::SensorError;

/// Pixels in a row.
pub(super) const WIDTH: usize = 384;
/// Rows in a frame; one less comes over the wire.
pub(super) const HEIGHT: usize = 290;
const HEADER: usize = 64;
/// The length that a host must ask for; the reader sends up to one row less.
pub(super) const TRANSFER: usize = HEADER + HEIGHT * WIDTH;
const BLOCKS: std::ops::Range<usize> = 16..46;

/// The rows are not on the wire; those that follow are repeated in their place.
const ABSENT: u8 = 0x01;
const SCRAMBLED: u8 = 0x02;
/// The key is not stepped over these rows.
const KEY_RESTS: u8 = 0x04;
const NEXT_KEY: u8 = 0x80;

/// Rows of real skin are alike; scrambled ones are noise far above this.
const NOISE_LIMIT: i64 = 5000;

/// Gets the key of a number from the reader.
pub trait KeySource {
    /// The key for rows under this number.
    ///
    /// # Errors
    /// What the reader ran into.
    fn key(&mut self, number: u8) -> Result<u32, SensorError>;
}

/// Decodes one transfer. `turned`: this model sends the picture upside down and mirrored.
///
/// # Errors
/// [`SensorError::PartialFrame`] or [`SensorError::BadFrame`] for what is no frame, else what the keys
/// ran into.
pub fn decode(
    transfer: &[u8],
    turned: bool,
    dpi: Dpi,
    keys: &mut impl KeySource,
) -> Result<Frame, SensorError> {
    let partial = || SensorError::PartialFrame { received: transfer.len(), expected: TRANSFER - WIDTH };
    let (header, body) = transfer.split_at_checked(HEADER).ok_or_else(partial)?;
    let lines = usize::from(u16::from_le_bytes([at(header, 4), at(header, 5)]));
    if lines == 0 || lines >= HEIGHT {
        return Err(SensorError::BadFrame(format!("its header tells {lines} lines")));
    }
    let mut rows = body.get(..lines * WIDTH).ok_or_else(partial)?.to_vec();
    let blocks: Vec<(u8, usize)> = header
        .get(BLOCKS)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|block| (at(block, 0), usize::from(at(block, 1))))
        .take_while(|(_, count)| *count > 0)
        .collect();
    if is_scrambled(&rows) {
        unscramble(&mut rows, at(header, 6), &blocks, keys)?;
    }
    let mut pixels = assemble(&rows, &blocks)?;
    for pixel in &mut pixels {
        *pixel = 255 - *pixel;
    }
    if turned {
        pixels.reverse();
    }
    rows::refuse_dead(&pixels, WIDTH)?;
    let height = u32::try_from(pixels.len() / WIDTH).unwrap_or(u32::MAX);
    Frame::new(WIDTH as u32, height, dpi, pixels).map_err(|error| SensorError::BadFrame(error.to_string()))
}

fn at(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index).copied().unwrap_or_default()
}

/// Variance of the sums of the first two rows.
fn is_scrambled(rows: &[u8]) -> bool {
    let Some((first, rest)) = rows.split_at_checked(WIDTH) else { return false };
    let sums = || first.iter().zip(rest).map(|(a, b)| i64::from(*a) + i64::from(*b));
    let mean = sums().sum::<i64>() / WIDTH as i64;
    sums().map(|sum| (sum - mean) * (sum - mean)).sum::<i64>() / WIDTH as i64 >= NOISE_LIMIT
}

fn unscramble(
    rows: &mut [u8],
    first_key: u8,
    blocks: &[(u8, usize)],
    keys: &mut impl KeySource,
) -> Result<(), SensorError> {
    let mut number = first_key;
    let mut key = Key(keys.key(number)?);
    let mut rest = rows;
    for (flags, count) in blocks {
        if rest.is_empty() {
            break;
        }
        if flags & NEXT_KEY != 0 {
            number = number.wrapping_add(1);
            key = Key(keys.key(number)?);
        }
        let length = count * WIDTH;
        // A block that is not on the wire has nothing to unscramble, whatever its other flags say.
        let present = if flags & ABSENT == 0 { length.min(rest.len()) } else { 0 };
        let (block, following) = rest.split_at_mut(present);
        match flags & (SCRAMBLED | KEY_RESTS) {
            SCRAMBLED if present > 0 => key.unscramble(block),
            0 | SCRAMBLED => (0..length).for_each(|_| key.step()),
            _ => {}
        }
        rest = following;
    }
    Ok(())
}

/// A shift register: each byte is covered with eight of its bits.
struct Key(u32);

impl Key {
    const TAPS: u32 = 0x9248_144D;
    const COVER: [u32; 8] = [4, 8, 11, 14, 18, 21, 24, 29];

    fn step(&mut self) {
        let parity = (self.0 & Self::TAPS).count_ones() & 1;
        self.0 = (self.0 >> 1) | (parity << 31);
    }

    fn cover(&self) -> u8 {
        Self::COVER
            .iter()
            .enumerate()
            .fold(0, |byte, (bit, from)| byte | u8::from(self.0 >> from & 1 == 1) << bit)
    }

    /// Bytes are also moved by one; the last of a block is lost.
    fn unscramble(&mut self, block: &mut [u8]) {
        let Some(last) = block.len().checked_sub(1) else { return };
        block.rotate_left(1);
        for (index, byte) in block.iter_mut().enumerate() {
            *byte = if index < last { *byte ^ self.cover() } else { 0 };
            self.step();
        }
    }
}

/// Puts rows where they belong, repeating what follows for blocks that are not on the wire.
fn assemble(rows: &[u8], blocks: &[(u8, usize)]) -> Result<Vec<u8>, SensorError> {
    let mut pixels = Vec::with_capacity(HEIGHT * WIDTH);
    let mut rest = rows;
    for (flags, count) in blocks {
        if rest.is_empty() {
            break;
        }
        let length = count * WIDTH;
        if pixels.len() + length > HEIGHT * WIDTH {
            return Err(SensorError::BadFrame("its blocks hold more rows than a frame".to_owned()));
        }
        let block = rest.get(..length);
        pixels.extend_from_slice(block.ok_or_else(|| SensorError::PartialFrame {
            received: rows.len(),
            expected: rows.len() - rest.len() + length,
        })?);
        if flags & ABSENT == 0 {
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    if rest.is_empty() {
        Ok(pixels)
    } else {
        Err(SensorError::BadFrame(format!("its blocks leave {} rows out", rest.len() / WIDTH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys that a test prepared, by number.
    struct Keys(Vec<u32>);

    impl KeySource for Keys {
        fn key(&mut self, number: u8) -> Result<u32, SensorError> {
            self.0.get(usize::from(number)).copied().ok_or(SensorError::TimedOut("a key"))
        }
    }

    /// Scrambles as a reader does: the inverse, written apart from it.
    fn scramble(key: &mut Key, plain: &[u8]) -> Vec<u8> {
        let mut wire = vec![0xA5];
        for byte in &plain[..plain.len() - 1] {
            wire.push(byte ^ key.cover());
            key.step();
        }
        key.step();
        wire
    }

    fn transfer(lines: u16, key: u8, blocks: &[(u8, u8)], body: &[u8]) -> Vec<u8> {
        let mut header = vec![0; HEADER];
        header[4..6].copy_from_slice(&lines.to_le_bytes());
        header[6] = key;
        for (at, (flags, count)) in blocks.iter().enumerate() {
            (header[16 + 2 * at], header[17 + 2 * at]) = (*flags, *count);
        }
        [&header, body].concat()
    }

    /// Rows that differ and are not noise.
    fn skin(lines: usize) -> Vec<u8> {
        (0..lines * WIDTH).map(|at| (100 + at / WIDTH % 50 + at % 3) as u8).collect()
    }

    fn inverted(rows: &[u8]) -> Vec<u8> {
        rows.iter().map(|row| 255 - row).collect()
    }

    #[test]
    fn the_register_runs_as_documented() {
        let mut key = Key(0x5444_09D6);
        let mut covers = [0; 8];
        for cover in &mut covers {
            *cover = key.cover();
            key.step();
        }
        assert_eq!(covers, [0x17, 0xA0, 0x41, 0x03, 0xD9, 0xA0, 0x40, 0x25]);
        (8..1000).for_each(|_| key.step());
        assert_eq!(key.0, 0x4AD3_A9C3);
    }

    #[test]
    fn plain_rows_are_inverted_and_need_no_key() {
        let rows = skin(289);
        let wire = transfer(289, 0, &[(0, 200), (0, 89)], &rows);
        let frame = decode(&wire, false, Dpi::STANDARD, &mut Keys(vec![])).unwrap();
        assert_eq!((frame.width(), frame.height()), (384, 289));
        assert_eq!(frame.pixels(), inverted(&rows));
    }

    #[test]
    fn some_models_are_turned_by_half() {
        let rows = skin(289);
        let wire = transfer(289, 0, &[(0, 200), (0, 89)], &rows);
        let frame = decode(&wire, true, Dpi::STANDARD, &mut Keys(vec![])).unwrap();
        let mut expected = inverted(&rows);
        expected.reverse();
        assert_eq!(frame.pixels(), expected);
    }

    #[test]
    fn rows_left_out_are_repeated_from_what_follows() {
        let rows = skin(289);
        let wire = transfer(289, 0, &[(0, 100), (1, 1), (0, 189)], &rows);
        let frame = decode(&wire, false, Dpi::STANDARD, &mut Keys(vec![])).unwrap();
        let (above, below) = rows.split_at(100 * WIDTH);
        assert_eq!(frame.pixels(), inverted(&[above, &below[..WIDTH], below].concat()));
    }

    #[test]
    fn scrambled_rows_are_unscrambled_and_keys_change_where_told() {
        let rows = skin(289);
        let (mut one, mut two) = (Key(0x5444_09D6), Key(0xDB89_6F5F));
        let (first, second) = rows.split_at(100 * WIDTH);
        let (second, third) = second.split_at(WIDTH);
        let body = scramble(&mut one, first);
        // A plain block: the key runs on beside it.
        (0..WIDTH).for_each(|_| one.step());
        let body = [body, second.to_vec(), scramble(&mut two, third)].concat();
        let wire = transfer(289, 0, &[(2, 100), (0, 1), (0x82, 188)], &body);
        let frame = decode(&wire, false, Dpi::STANDARD, &mut Keys(vec![0x5444_09D6, 0xDB89_6F5F])).unwrap();
        let mut expected = inverted(&rows);
        (expected[100 * WIDTH - 1], expected[289 * WIDTH - 1]) = (255, 255);
        assert_eq!(frame.pixels(), expected, "the last byte of each block is lost");
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        let rows = skin(289);
        let decode = |wire: &[u8]| decode(wire, false, Dpi::STANDARD, &mut Keys(vec![]));
        assert!(matches!(decode(&transfer(290, 0, &[(0, 255)], &rows)), Err(SensorError::BadFrame(_))));
        assert!(matches!(decode(&transfer(0, 0, &[], &rows)), Err(SensorError::BadFrame(_))));
        assert!(matches!(decode(&transfer(289, 0, &[(0, 100)], &rows)), Err(SensorError::BadFrame(_))));
        assert!(matches!(
            decode(&transfer(289, 0, &[(1, 255), (1, 255)], &rows)),
            Err(SensorError::BadFrame(_))
        ));
        assert!(matches!(
            decode(&transfer(100, 0, &[(0, 200)], &rows)),
            Err(SensorError::PartialFrame { .. })
        ));
        assert!(matches!(
            decode(&transfer(289, 0, &[(0, 255)], &rows[1..])),
            Err(SensorError::PartialFrame { .. })
        ));
        assert!(matches!(decode(&[]), Err(SensorError::PartialFrame { received: 0, .. })));
    }

    proptest! {
        #[test]
        fn any_header_over_any_rows_never_panics(
            header in prop::collection::vec(any::<u8>(), HEADER),
            lines in 0..300u16,
            noise: bool,
            length in 0..=HEIGHT * WIDTH,
        ) {
            let mut wire = header;
            wire[4..6].copy_from_slice(&lines.to_le_bytes());
            wire.extend((0..length).map(|at| if noise { ((at * 7919) >> 3) as u8 } else { 120 }));
            let _ = decode(&wire, noise, Dpi::STANDARD, &mut Keys(vec![1; 256]));
        }
    }
}
