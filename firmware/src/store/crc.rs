//! CRC-32 (ISO-HDLC) that also says which bit is wrong.
//!
//! A single changed bit leaves a remainder of its own at any length that we write (the polynomial's order is
//! 2^32 - 1), so it can be found and put right. More than one wrong bit may look like another single one: who
//! repairs checks the result by something stronger.

/// The checksum of some bytes.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The polynomial, lowest bit first.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// What eight zero bits after a remainder make of it.
const fn shifted(remainder: u32) -> u32 {
    let mut value = remainder;
    let mut bit = 0;
    while bit < 8 {
        value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
        bit += 1;
    }
    value
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = shifted(index as u32);
        index += 1;
    }
    table
};

/// One zero byte later.
fn step(remainder: u32) -> u32 {
    let [low, ..] = remainder.to_le_bytes();
    // A byte indexes a table of 256.
    TABLE[usize::from(low)] ^ (remainder >> 8)
}

/// How bytes and their checksum fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// As they were written.
    Whole,
    /// One bit was wrong and is right again: of the bytes, or of the checksum.
    Repaired,
    /// More is wrong.
    Broken,
}

/// Compares bytes with their checksum, and puts a single wrong bit of either right.
pub(super) fn mend(bytes: &mut [u8], stored: &mut u32) -> Fit {
    let difference = checksum(bytes) ^ *stored;
    if difference == 0 {
        return Fit::Whole;
    }
    if difference.count_ones() == 1 {
        *stored ^= difference;
        return Fit::Repaired;
    }
    // What each wrong bit of the last byte would leave, then of the one before it.
    let mut remainders: [u32; 8] = std::array::from_fn(|bit| TABLE[1 << bit]);
    for byte in bytes.iter_mut().rev() {
        for (bit, remainder) in remainders.iter_mut().enumerate() {
            if *remainder == difference {
                *byte ^= 1 << bit;
                return Fit::Repaired;
            }
            *remainder = step(*remainder);
        }
    }
    Fit::Broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_of_bytes_and_checksum_is_put_right() {
        let bytes: Vec<u8> = (0..200_u32).map(|n| (n * 37 % 251) as u8).collect();
        let good = checksum(&bytes);
        for bit in 0..bytes.len() * 8 + 32 {
            let (mut changed, mut stored) = (bytes.clone(), good);
            match changed.get_mut(bit / 8) {
                Some(byte) => *byte ^= 1 << (bit % 8),
                None => stored ^= 1 << (bit % 32),
            }
            assert_eq!(mend(&mut changed, &mut stored), Fit::Repaired, "bit {bit}");
            assert!(changed == bytes && stored == good, "bit {bit}");
        }
        assert_eq!(mend(&mut { bytes }, &mut { good }), Fit::Whole);
    }

    #[test]
    fn two_wrong_bits_of_a_short_text_are_not_taken_for_one() {
        let bytes = b"what was written".to_vec();
        for (one, two) in [(0, 1), (3, 90), (17, 64), (126, 127)] {
            let (mut changed, mut stored) = (bytes.clone(), checksum(&bytes));
            for bit in [one, two] {
                changed[bit / 8] ^= 1 << (bit % 8);
            }
            assert_eq!(mend(&mut changed, &mut stored), Fit::Broken, "{one} {two}");
        }
    }
}
