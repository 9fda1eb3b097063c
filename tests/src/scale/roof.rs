//! How many words a second this machine can count the bits of, one thread, data in the first cache: what a kernel that
//! compares cylinders by counting bits cannot outrun.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Words that fit the first cache of every machine, twice over.
const WORDS: usize = 2048;
/// Long enough for the clock, and short enough to be repeated.
const ROUND: Duration = Duration::from_millis(20);
/// The best round counts: the others were disturbed.
const ROUNDS: usize = 7;

/// Words a second that a way of counting counts the bits of.
pub(super) fn words_per_s(count: impl Fn(&[u64]) -> u64) -> f64 {
    let words: Vec<u64> = (1..=WORDS as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let mut best = 0.0f64;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut passes = 0u32;
        while started.elapsed() < ROUND {
            // Asking the clock takes as long as some words.
            for _ in 0..64 {
                black_box(count(black_box(&words)));
            }
            passes += 64;
        }
        best = best.max(f64::from(passes) * WORDS as f64 / started.elapsed().as_secs_f64());
    }
    best
}

/// In the instructions that every machine has.
#[must_use]
pub(super) fn plain(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_faster_than_a_million_a_second_on_any_machine() {
        assert_eq!(plain(&[0, 1, u64::MAX]), 65);
        let rate = words_per_s(plain);
        assert!(rate > 1e6 && rate.is_finite(), "{rate}");
    }
}
