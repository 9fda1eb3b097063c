//! Kernels for processors with AVX2. Integer arithmetic: the same sums in any order.

use crate::{
    image::plane::Plane,
    ridge::{
        enhance::{PATCH, enhance_with},
        kernels::{Kernel, TAPS},
        orientation::Orientation,
        period::Period,
    },
};
use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_hadd_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_setzero_si256,
};

/// See `ridge::enhance`.
#[target_feature(enable = "avx2")]
pub(super) fn enhance(image: &Plane<f32>, mask: &Plane<bool>, o: &Orientation, p: &Period) -> Plane<f32> {
    enhance_with(image, mask, o, p, |padded, kernel, left, top| four_sums(padded, kernel, left, top))
}

/// Sixteen numbers from the start of a slice.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of sixteen numbers that are there")]
fn load(from: &[i16; 16]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// See [`crate::ridge::enhance::four_sums`].
#[inline]
#[target_feature(enable = "avx2")]
fn four_sums(padded: &Plane<i16>, kernel: &Kernel, left: usize, top: usize) -> [i32; PATCH] {
    let mut sums = [_mm256_setzero_si256(); PATCH];
    let narrow = 2 * kernel.reach < 16;
    for (i, taps) in kernel.rows.iter().enumerate() {
        let row = &padded.row(top + i)[left..left + TAPS + PATCH];
        let halves = taps.as_chunks::<16>().0;
        let low = load(&halves[0]);
        for (shift, sum) in sums.iter_mut().enumerate() {
            let under = load(&row[shift..shift + TAPS].as_chunks::<16>().0[0]);
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(low, under));
        }
        if narrow {
            continue;
        }
        let high = load(&halves[1]);
        for (shift, sum) in sums.iter_mut().enumerate() {
            let under = load(&row[shift..shift + TAPS].as_chunks::<16>().0[1]);
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(high, under));
        }
    }
    // Two rounds of pairwise sums leave the four results in each half.
    let (first, second) = (_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    let both = _mm256_hadd_epi32(first, second);
    let total = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
    let mut out = [0i32; PATCH];
    store(&mut out, total);
    out
}

/// Writes four numbers.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a store of four numbers to where there are four")]
fn store(to: &mut [i32; 4], from: std::arch::x86_64::__m128i) {
    // SAFETY: the reference is to 16 writable bytes, and the store needs no alignment.
    unsafe { std::arch::x86_64::_mm_storeu_si128(to.as_mut_ptr().cast(), from) }
}
