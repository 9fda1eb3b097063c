//! Locality-sensitive hashing of cut cylinders: keys of minima over random orders of the bits (Broder 1997, min-wise independent
//! permutations), which two cylinders share as often as their bits do. Bit sampling (Cappelli, Ferrara, Maltoni 2011), measured
//! beside it, needs twice the tables for the same misses.
//!
//! Invariant: the orders are fixed, so keys are the same everywhere and at all times.

use std::sync::OnceLock;

use super::sketch::{BITS, Cut};
use crate::params::{HASH_MINIMA, HASH_TABLES};

/// Minima of a cylinder: those of a table's key lie side by side.
const MINIMA: usize = HASH_TABLES * HASH_MINIMA;

/// The place of each bit in each order.
fn orders() -> &'static [[u8; MINIMA]; BITS] {
    static ORDERS: OnceLock<Box<[[u8; MINIMA]; BITS]>> = OnceLock::new();
    ORDERS.get_or_init(|| {
        let mut random = Random(0x4175_7468_656e_7465);
        let mut orders = Box::new([[0; MINIMA]; BITS]);
        for column in 0..MINIMA {
            let mut places: [u8; BITS] = std::array::from_fn(|bit| bit as u8);
            for last in (1..BITS).rev() {
                places.swap(last, (random.next() % (last as u64 + 1)) as usize);
            }
            for (row, place) in orders.iter_mut().zip(places) {
                row[column] = place;
            }
        }
        orders
    })
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The keys of a cylinder, one a table, spread over all of `u32`. None of one without bits.
pub(crate) fn keys(cut: &Cut) -> Option<[u32; HASH_TABLES]> {
    let orders = orders();
    let mut least = [u8::MAX; MINIMA];
    for (word, &bits) in cut.words.iter().enumerate() {
        let mut bits = bits;
        while bits != 0 {
            let row = &orders[(word * 64 + bits.trailing_zeros() as usize).min(BITS - 1)];
            for (least, place) in least.iter_mut().zip(row) {
                *least = (*least).min(*place);
            }
            bits &= bits - 1;
        }
    }
    if cut.ones == 0 {
        return None;
    }
    Some(std::array::from_fn(|table| {
        let minima = &least[table * HASH_MINIMA..][..HASH_MINIMA];
        let key = minima.iter().fold(0u32, |key, least| key << 8 | u32::from(*least));
        // The finisher of MurmurHash3 (public domain): near keys are far apart.
        let key = (key ^ key >> 16).wrapping_mul(0x85eb_ca6b);
        let key = (key ^ key >> 13).wrapping_mul(0xc2b2_ae35);
        key ^ key >> 16
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(bits: impl Iterator<Item = usize>) -> Cut {
        let mut cut = Cut::default();
        for bit in bits {
            cut.words[bit / 64] |= 1 << (bit % 64);
            cut.ones += 1;
        }
        cut
    }

    #[test]
    fn the_more_bits_two_cylinders_share_the_more_keys_they_do() {
        let shared = |step: usize| {
            let (mut same, mut all) = (0, 0);
            for at in 0..200 {
                let one = with((at..at + 40).map(|bit| bit % BITS));
                let two = with((at + step..at + step + 40).map(|bit| bit % BITS));
                let (one, two) = (keys(&one).unwrap(), keys(&two).unwrap());
                same += one.iter().zip(two).filter(|(a, b)| **a == *b).count();
                all += one.len();
            }
            same as f64 / all as f64
        };
        assert!(shared(0) == 1.0 && shared(4) > 0.4 && shared(4) > 2.0 * shared(12), "{}", shared(4));
        assert!(shared(60) < 0.001);
        assert!(keys(&Cut::default()).is_none());
    }
}
