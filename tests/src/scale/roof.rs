//! How many words a second this machine can count the bits of, one thread, data in the first cache, and how many the kernel
//! that compares cylinders does: it cannot outrun the first.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use authenteon_matcher::simd::roof::{Sample, ways};

use super::report::Roof;

/// Words that fit the first cache of every machine, twice over.
const WORDS: usize = 2048;
/// Long enough for the clock, and short enough to be repeated.
const ROUND: Duration = Duration::from_millis(10);
/// The best round counts: the others were disturbed.
const ROUNDS: usize = 11;

/// Measures both, in turn, so that the machine is the same for both.
pub(super) fn roof() -> Roof {
    let words: Vec<u64> = (1..=WORDS as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let sample = Sample::default();
    let (mut roof, mut way, mut kernel) = (0.0f64, "", 0.0f64);
    for _ in 0..ROUNDS {
        for (name, count) in ways() {
            let rate = per_second(WORDS, || {
                black_box(count(black_box(&words)));
            });
            if rate > roof {
                (roof, way) = (rate, name);
            }
        }
        kernel = kernel.max(per_second(sample.words(), || {
            black_box(black_box(&sample).compare());
        }));
    }
    Roof { words_per_s: roof, way, kernel_words_per_s: kernel, percent: 100.0 * kernel / roof.max(1.0) }
}

/// Words a second of something that goes over so many of them.
fn per_second(words: usize, mut once: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut passes = 0u32;
    while started.elapsed() < ROUND {
        // Asking the clock takes as long as some words.
        for _ in 0..64 {
            once();
        }
        passes += 64;
    }
    f64::from(passes) * words as f64 / started.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kernel_outruns_the_roof() {
        let Roof { words_per_s, kernel_words_per_s, percent, .. } = roof();
        assert!(words_per_s > 1e6 && words_per_s.is_finite(), "{words_per_s}");
        // Both are the best of several rounds on a machine that may be busy.
        assert!(kernel_words_per_s > 0.0 && percent < 130.0, "{kernel_words_per_s} {percent}");
    }
}
