//! The search's second stage with AVX2: four cylinders at a time, bits counted by halves of bytes (Mula, Kurz, Lemire 2018).

use std::arch::x86_64::{
    __m128, __m128i, __m256i, _mm_abs_epi32, _mm_add_epi32, _mm_blendv_ps, _mm_castps_si128,
    _mm_castsi128_ps, _mm_cmpgt_epi32, _mm_cmplt_ps, _mm_cvtepi32_ps, _mm_cvtepu8_epi32, _mm_cvtsi32_si128,
    _mm_div_ps, _mm_max_epi32, _mm_movemask_ps, _mm_set_epi32, _mm_set1_epi32, _mm_set1_ps, _mm_slli_epi32,
    _mm_srai_epi32, _mm_storeu_ps, _mm_storeu_si128, _mm_sub_epi32, _mm256_add_epi8, _mm256_and_si256,
    _mm256_castsi256_si128, _mm256_loadu_si256, _mm256_permutevar8x32_epi32, _mm256_sad_epu8,
    _mm256_set_epi32, _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_xor_si256,
};

use crate::{
    params::CYLINDER_TURN,
    search::{
        likeness::{Nearest, Probe, ROWS, support_with},
        sketch::{Cut, Group, LANES, WORDS},
    },
};

/// The nearest of each row, by whatever counts the bits that differ. Not a function of a function: what is compiled for more
/// instructions than its caller is not put into it.
macro_rules! rows {
    ($probe:ident, $groups:ident, $out:ident, $differing:ident) => {
        let turn = _mm_set1_epi32(i32::from(CYLINDER_TURN));
        let one = _mm_set1_epi32(1);
        let never = _mm_set1_ps(2.0);
        for (cut, out) in $probe.iter().zip($out) {
            // Not by `map`: it is compiled without these instructions, and its closure with them.
            let [a, b, c, d] = cut.words;
            let words = [
                _mm256_set1_epi64x(a as i64),
                _mm256_set1_epi64x(b as i64),
                _mm256_set1_epi64x(c as i64),
                _mm256_set1_epi64x(d as i64),
            ];
            let (ones, angle) = (_mm_set1_epi32(i32::from(cut.ones)), _mm_set1_epi32(i32::from(cut.angle)));
            let mut best = _mm_set1_ps(1.0);
            let mut found = _mm_set1_epi32(0);
            let mut at = _mm_set_epi32(3, 2, 1, 0);
            for group in $groups {
                let off = _mm_sub_epi32(angle, four(group.facts.angle));
                let off = _mm_abs_epi32(_mm_srai_epi32::<24>(_mm_slli_epi32::<24>(off)));
                let far = _mm_castsi128_ps(_mm_cmpgt_epi32(off, turn));
                // Cylinders are in the order of their angles: often it is all four.
                if _mm_movemask_ps(far) == 0b1111 {
                    at = _mm_add_epi32(at, _mm_set1_epi32(LANES as i32));
                    continue;
                }
                let differ = _mm_cvtepi32_ps($differing(&words, group));
                let set = _mm_max_epi32(_mm_add_epi32(ones, four(group.facts.ones)), one);
                let share = _mm_div_ps(differ, _mm_cvtepi32_ps(set));
                let share = _mm_blendv_ps(share, never, far);
                let better = _mm_cmplt_ps(share, best);
                best = _mm_blendv_ps(best, share, better);
                found =
                    _mm_castps_si128(_mm_blendv_ps(_mm_castsi128_ps(found), _mm_castsi128_ps(at), better));
                at = _mm_add_epi32(at, _mm_set1_epi32(LANES as i32));
            }
            *out = first_of(best, found);
        }
    };
}
pub(super) use rows;

/// See [`support_with`]: the same code, compiled for eight lanes.
#[target_feature(enable = "avx2")]
pub(super) fn support(probe: &Probe, groups: &[Group], nearest: &[Nearest; ROWS]) -> f32 {
    support_with(probe, groups, nearest)
}

/// See `search::likeness::nearest_with`.
#[target_feature(enable = "avx2")]
pub(super) fn nearest(probe: &[Cut], groups: &[Group], out: &mut [Nearest; ROWS]) {
    rows!(probe, groups, out, differing);
}

/// Bits of four cylinders that differ from one of the probe.
#[inline]
#[target_feature(enable = "avx2")]
fn differing(words: &[__m256i; WORDS], group: &Group) -> __m128i {
    let low = _mm256_set1_epi8(0x0f);
    let counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let mut sum = _mm256_setzero_si256();
    for (word, others) in words.iter().zip(&group.words) {
        let bits = _mm256_xor_si256(*word, load(others));
        let (few, many) = (_mm256_and_si256(bits, low), _mm256_and_si256(_mm256_srli_epi16::<4>(bits), low));
        sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(counts, few));
        sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(counts, many));
    }
    narrow(_mm256_sad_epu8(sum, _mm256_setzero_si256()))
}

/// The low halves of four words.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn narrow(words: __m256i) -> __m128i {
    let halves = _mm256_set_epi32(0, 0, 0, 0, 6, 4, 2, 0);
    _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(words, halves))
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of four words that are there")]
pub(super) fn load(words: &[u64; LANES]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

/// Four bytes as numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn four(bytes: [u8; LANES]) -> __m128i {
    _mm_cvtepu8_epi32(_mm_cvtsi32_si128(i32::from_le_bytes(bytes)))
}

/// The least of four, the first of equals.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "stores of four numbers to where there are four")]
pub(super) fn first_of(best: __m128, found: __m128i) -> Nearest {
    let (mut shares, mut places) = ([0.0f32; LANES], [0u32; LANES]);
    // SAFETY: both references are to 16 writable bytes, and the stores need no alignment.
    unsafe {
        _mm_storeu_ps(shares.as_mut_ptr(), best);
        _mm_storeu_si128(places.as_mut_ptr().cast(), found);
    }
    let mut least = Nearest { differ: 1.0, at: 0 };
    for (differ, at) in shares.into_iter().zip(places) {
        if differ < least.differ || (differ == least.differ && differ < 1.0 && at < least.at) {
            least = Nearest { differ, at };
        }
    }
    least
}
