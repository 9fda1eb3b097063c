//! How fast bits could be counted and how fast the kernel in use counts them: both without a clock, for a bench that has
//! one. A search does not call this.
//!
//! Invariant: the same counts from every kernel.

#[cfg(target_arch = "x86_64")]
use super::kernel::Kernel;
use super::search::nearest;
use crate::{
    params::SKETCH_CYLINDERS,
    search::{
        likeness::Probe,
        sketch::{Cut, Sketch, WORDS},
    },
};

/// A way to count the bits that are set.
pub type Way = fn(&[u64]) -> u64;

/// The ways that this processor has, with their names.
#[must_use]
pub fn ways() -> Vec<(&'static str, Way)> {
    let ways: Vec<(&'static str, Way)> = vec![("plain", plain)];
    #[cfg(target_arch = "x86_64")]
    let ways = {
        let mut ways = ways;
        if Kernel::Avx2.is_here() {
            ways.extend([("popcnt", by_popcnt as Way), ("avx2", by_avx2)]);
        }
        if Kernel::Avx512.is_here() {
            ways.push(("avx512", by_avx512));
        }
        ways
    };
    ways
}

/// Some sums at a time, so that none waits for the one before.
#[inline(always)]
fn ones_with<const SUMS: usize>(words: &[u64]) -> u64 {
    let (blocks, rest) = words.as_chunks::<SUMS>();
    let mut sums = [0u64; SUMS];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum += u64::from(word.count_ones());
        }
    }
    sums.iter().sum::<u64>() + rest.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
}

/// What the compiler makes of it: vectors where an AArch64 counts in them.
fn plain(words: &[u64]) -> u64 {
    ones_with::<8>(words)
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")]
fn by_popcnt(words: &[u64]) -> u64 {
    /// One word an instruction.
    #[target_feature(enable = "popcnt")]
    fn ones(words: &[u64]) -> u64 {
        ones_with::<4>(words)
    }
    // SAFETY: `ways` gives it out only where `Kernel::is_here` found AVX2 and popcnt.
    unsafe { ones(words) }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")]
fn by_avx2(words: &[u64]) -> u64 {
    // SAFETY: the same.
    unsafe { ones_avx2(words) }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")]
fn by_avx512(words: &[u64]) -> u64 {
    /// Whole vectors an instruction.
    #[target_feature(enable = "avx2,popcnt,avx512f,avx512vl,avx512vpopcntdq")]
    fn ones(words: &[u64]) -> u64 {
        ones_with::<32>(words)
    }
    // SAFETY: `ways` gives it out only where `Kernel::is_here` found AVX-512.
    unsafe { ones(words) }
}

/// Bits counted by halves of bytes, and the bytes summed up once in eight vectors (Mula, Kurz, Lemire 2018).
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn ones_avx2(words: &[u64]) -> u64 {
    use std::arch::x86_64::{
        _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_extract_epi64, _mm256_sad_epu8,
        _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    };
    let low = _mm256_set1_epi8(0x0f);
    let counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let (vectors, rest) = words.as_chunks::<{ super::avx2_search::FOUR }>();
    let mut sum = _mm256_setzero_si256();
    for eight in vectors.chunks(8) {
        let mut bytes = _mm256_setzero_si256();
        for vector in eight {
            let bits = super::avx2_search::words4(vector, 0);
            let (few, many) =
                (_mm256_and_si256(bits, low), _mm256_and_si256(_mm256_srli_epi16::<4>(bits), low));
            bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(counts, few));
            bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(counts, many));
        }
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    }
    let lanes = [
        _mm256_extract_epi64::<0>(sum),
        _mm256_extract_epi64::<1>(sum),
        _mm256_extract_epi64::<2>(sum),
        _mm256_extract_epi64::<3>(sum),
    ];
    lanes.iter().map(|lane| *lane as u64).sum::<u64>() + ones_with::<4>(rest)
}

/// A probe and an impression as full as they come, for [`Sample::compare`].
pub struct Sample {
    probe: Probe,
    sketch: Sketch,
}

impl Default for Sample {
    fn default() -> Self {
        // A fixed sequence; an eighth of the bits are set, as those of real cylinders are.
        let mut state = 1_u64;
        let mut word = || {
            let mut draw = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state ^ (state >> 29)
            };
            draw() & draw() & draw()
        };
        let mut sketch = || {
            let cut = |turn: usize| {
                let words: [u64; WORDS] = std::array::from_fn(|_| word());
                let ones = words.iter().map(|word| word.count_ones()).sum::<u32>().min(255) as u8;
                Cut { words, ones, angle: turn as u8, ..Cut::default() }
            };
            Sketch::of((0..SKETCH_CYLINDERS).map(cut))
        };
        Self { probe: Probe::new(sketch()), sketch: sketch() }
    }
}

impl Sample {
    /// Words of one print that are compared with words of the other.
    #[must_use]
    pub fn words(&self) -> usize {
        self.probe.sketch.cuts().count() * self.sketch.cuts().count() * WORDS
    }

    /// Compares them once, as the search's third stage does; what comes out is of no use but to be used.
    #[must_use]
    pub fn compare(&self) -> f32 {
        let like = nearest(&self.probe, &self.sketch).like;
        // Not the sum of all, which would take a twentieth of the time.
        like[0] + like[SKETCH_CYLINDERS - 1]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_counted_right(words in prop::collection::vec(any::<u64>(), 0..200)) {
            let plain: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
            for (name, way) in ways() {
                prop_assert_eq!(way(&words), plain, "{}", name);
            }
        }
    }

    #[test]
    fn a_sample_is_a_full_comparison() {
        let sample = Sample::default();
        assert_eq!(sample.words(), SKETCH_CYLINDERS * SKETCH_CYLINDERS * WORDS);
        let like = sample.compare();
        assert!(like > 0.0 && like < 2.0, "{like}");
    }
}
