//! The search's third stage with AVX-512: bits of four words counted in one instruction. Not seen to run on the machines that it
//! was written on; where the instructions are, the property test of `search.rs` compares it.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_add_epi64, _mm256_add_ps, _mm256_and_si256, _mm256_castps_si256,
    _mm256_cmpgt_epi32, _mm256_cvtepi32_ps, _mm256_div_ps, _mm256_min_epu32, _mm256_or_si256,
    _mm256_permute4x64_epi64, _mm256_popcnt_epi64, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps,
    _mm256_setzero_si256, _mm256_xor_si256,
};

use super::avx2_search::{
    EIGHT, FOUR, LANES_OF_BYTES, bytes, eight_of, numbers, put, rows, together, within_arc, words4,
};
use crate::{
    params::{CYLINDER_TURN, SKETCH_CYLINDERS},
    search::{
        likeness::{NONE_ALIKE, Nearest, Probe, ROWS, SHARE},
        sketch::{Sketch, WORDS},
    },
};

/// See `search::likeness::nearest_with`.
#[target_feature(enable = "avx2,popcnt,avx512f,avx512vl,avx512vpopcntdq")]
pub(super) fn nearest(probe: &Probe, sketch: &Sketch) -> Nearest {
    rows!(probe, sketch, differing)
}

/// Bits of eight rows that differ from a cylinder.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vpopcntdq")]
fn differing(rows: &[[u64; ROWS]; WORDS], from: usize, others: &[u64; WORDS]) -> __m256i {
    together(four(rows, from, others), four(rows, from + FOUR, others))
}

/// The same of four, as words.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vpopcntdq")]
fn four(rows: &[[u64; ROWS]; WORDS], from: usize, others: &[u64; WORDS]) -> __m256i {
    let one = |word: usize| {
        let bits = _mm256_xor_si256(words4(&rows[word], from), _mm256_set1_epi64x(others[word] as i64));
        _mm256_popcnt_epi64(bits)
    };
    _mm256_add_epi64(_mm256_add_epi64(one(0), one(1)), _mm256_add_epi64(one(2), one(3)))
}
