//! What a receiver makes of bytes that were sent at another speed than its own: 8 data bits, no
//! parity, one stop bit, lowest bit first.
//!
//! Invariant: at equal speeds bytes come out as they went in; at others, what comes out is what
//! sampling the line in the middle of the bits that the receiver expects would give.

/// Bits on the line for each byte.
const FRAME: u64 = 10;

/// The bytes that a receiver at `theirs` baud reads from bytes sent at `ours` baud without a pause.
#[must_use]
pub fn received(sent: &[u8], ours: u32, theirs: u32) -> Vec<u8> {
    if ours == theirs {
        return sent.to_vec();
    }
    let (ours, theirs) = (u64::from(ours.max(1)), u64::from(theirs.max(1)));
    // Time is counted in parts of which a bit of ours takes 2 * theirs, and one of theirs 2 * ours.
    let (our_bit, their_bit) = (2 * theirs, 2 * ours);
    let end = sent.len() as u64 * FRAME * our_bit;
    let mut read = Vec::new();
    let mut now = 0;
    while now < end {
        // An idle line is high: it waits for the edge of a start bit.
        if level(sent, now / our_bit) {
            now = (now / our_bit + 1) * our_bit;
            continue;
        }
        let middle = |bit: u64| now + bit * their_bit + their_bit / 2;
        let byte =
            (1..=8).fold(0, |byte, bit| byte | u8::from(level(sent, middle(bit) / our_bit)) << (bit - 1));
        read.push(byte);
        now = middle(9);
        // Without a stop bit it must see the line high before it believes in a start again.
        while now < end && !level(sent, now / our_bit) {
            now = (now / our_bit + 1) * our_bit;
        }
    }
    read
}

/// The line at one of our bits.
fn level(sent: &[u8], bit: u64) -> bool {
    let byte = usize::try_from(bit / FRAME).ok().and_then(|at| sent.get(at));
    match (byte, bit % FRAME) {
        (None, _) | (_, 9) => true,
        (_, 0) => false,
        (Some(byte), data) => byte >> (data - 1) & 1 == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_speeds_change_nothing_and_nearly_equal_ones_neither() {
        let sent: Vec<u8> = (0..=255).collect();
        assert_eq!(received(&sent, 57_600, 57_600), sent);
        // Two crystals differ by less than the five percent that a byte's ten bits forgive.
        assert_eq!(received(&sent, 57_600, 58_000), sent);
        assert_eq!(received(&sent, 57_600, 57_200), sent);
    }

    #[test]
    fn a_slower_receiver_reads_few_wrong_bytes_and_a_faster_one_many() {
        let sent: Vec<u8> = (0..=255).collect();
        let slower = received(&sent, 57_600, 9_600);
        let faster = received(&sent, 9_600, 57_600);
        assert!(slower.len() < sent.len() / 4, "{}", slower.len());
        assert!(faster.len() > sent.len(), "{}", faster.len());
    }

    #[test]
    fn half_speed_stretches_each_bit_to_two() {
        // 0x55 alternates: start 0, then 1 0 1 0 1 0 1 0, stop 1; seen twice as long, it is two bytes,
        // and the first lacks its stop bit.
        assert_eq!(received(&[0x55], 9_600, 19_200), [0b0110_0110, 0b1110_0110]);
    }

    #[test]
    fn no_speed_and_no_bytes_are_no_trap() {
        assert!(received(&[], 9_600, 19_200).is_empty());
        assert!(received(&[1, 2, 3], 0, 9_600).len() < 100_000);
    }
}
