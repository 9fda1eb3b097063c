//! The search's second stage with AVX-512: bits of four words counted in one instruction.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_abs_epi32, _mm_add_epi32, _mm_blendv_ps, _mm_castps_si128, _mm_castsi128_ps,
    _mm_cmpgt_epi32, _mm_cmplt_ps, _mm_cvtepi32_ps, _mm_div_ps, _mm_max_epi32, _mm_movemask_ps,
    _mm_set_epi32, _mm_set1_epi32, _mm_set1_ps, _mm_slli_epi32, _mm_srai_epi32, _mm_sub_epi32,
    _mm256_add_epi64, _mm256_popcnt_epi64, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_xor_si256,
};

use super::avx2_nearest::{first_of, four, load, narrow, rows};
use crate::{
    params::CYLINDER_TURN,
    search::{
        likeness::{Nearest, ROWS},
        sketch::{Cut, Group, LANES, WORDS},
    },
};

/// See `search::likeness::nearest_with`.
#[target_feature(enable = "avx2,popcnt,avx512f,avx512vl,avx512vpopcntdq")]
pub(super) fn nearest(probe: &[Cut], groups: &[Group], out: &mut [Nearest; ROWS]) {
    rows!(probe, groups, out, differing);
}

/// Bits of four cylinders that differ from one of the probe.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vpopcntdq")]
fn differing(words: &[__m256i; WORDS], group: &Group) -> __m128i {
    let mut sum = _mm256_setzero_si256();
    for (word, others) in words.iter().zip(&group.words) {
        sum = _mm256_add_epi64(sum, _mm256_popcnt_epi64(_mm256_xor_si256(*word, load(others))));
    }
    narrow(sum)
}
