//! The search's second stage with AVX-512: bits of four words counted in one instruction. Not seen to run on the machines that it
//! was written on; where the instructions are, the property test of `nearest.rs` compares it.

use std::arch::x86_64::{
    __m256i, _CMP_LT_OQ, _mm256_abs_epi32, _mm256_add_epi64, _mm256_add_ps, _mm256_andnot_ps,
    _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpgt_epi32,
    _mm256_cvtepi32_ps, _mm256_movemask_ps, _mm256_mul_ps, _mm256_or_si256, _mm256_popcnt_epi64,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setzero_si256, _mm256_sub_epi32,
    _mm256_xor_si256,
};

use super::avx2_nearest::{first_of, floats, load, numbers, pairs, rows, together};
use crate::{
    params::CYLINDER_TURN,
    search::{
        likeness::{Nearest, ROWS},
        sketch::{Cut, Group, WORDS},
    },
};

/// See `search::likeness::nearest_with`.
#[target_feature(enable = "avx2,popcnt,avx512f,avx512vl,avx512vpopcntdq")]
pub(super) fn nearest(probe: &[Cut], groups: &[Group], out: &mut [Nearest; ROWS]) {
    rows!(probe, groups, out, differing);
}

/// Bits of eight cylinders that differ from one of the probe.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vpopcntdq")]
fn differing(words: &[__m256i; WORDS], [a, b]: [&Group; 2]) -> __m256i {
    together(four(words, a), four(words, b))
}

/// The same of four, as words.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vpopcntdq")]
fn four(words: &[__m256i; WORDS], group: &Group) -> __m256i {
    let mut sum = _mm256_setzero_si256();
    for (word, others) in words.iter().zip(&group.words) {
        sum = _mm256_add_epi64(sum, _mm256_popcnt_epi64(_mm256_xor_si256(*word, load(others))));
    }
    sum
}
