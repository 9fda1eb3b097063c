//! The search's second stage with AVX2: eight cylinders at a time, bits counted by halves of bytes (Mula, Kurz, Lemire 2018). One
//! word an instruction, as `popcnt` counts, takes half as long again.

use std::arch::x86_64::{
    __m256, __m256i, _CMP_LT_OQ, _mm256_abs_epi32, _mm256_add_epi8, _mm256_add_ps, _mm256_and_si256,
    _mm256_andnot_ps, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps,
    _mm256_cmpgt_epi32, _mm256_cvtepi32_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_movemask_ps,
    _mm256_mul_ps, _mm256_or_si256, _mm256_sad_epu8, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_set1_ps, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_shuffle_ps,
    _mm256_srli_epi16, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi32, _mm256_xor_si256,
};

use crate::{
    params::CYLINDER_TURN,
    search::{
        likeness::{Nearest, Probe, ROWS, support_with},
        sketch::{Cut, Group, LANES, WORDS},
    },
};

/// Lanes of a pair of groups.
pub(super) const EIGHT: usize = 2 * LANES;
/// Pairs of groups of a sketch.
pub(super) const PAIRS: usize = ROWS / EIGHT;
/// Where the cylinders of a pair of groups are when their counts are put together.
const ORDER: [usize; EIGHT] = [0, 1, 4, 5, 2, 3, 6, 7];
/// What fills up the last pair.
const EMPTY: Group = Group {
    words: [[0; LANES]; WORDS],
    facts: crate::search::sketch::Facts { ones: [0; LANES], angle: [0; LANES], x: [0; LANES], y: [0; LANES] },
};

/// Two groups, and what is known of their cylinders in the order of the lanes.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) groups: [&'a Group; 2],
    pub(super) ones: [f32; EIGHT],
    /// Angles in the highest byte: differences wrap as angles do.
    pub(super) angles: [i32; EIGHT],
    pub(super) places: [i32; EIGHT],
}

/// The groups of a sketch in pairs.
pub(super) fn pairs(groups: &[Group]) -> ([Pair<'_>; PAIRS], usize) {
    const NONE: Pair<'static> =
        Pair { groups: [&EMPTY, &EMPTY], ones: [0.0; EIGHT], angles: [0; EIGHT], places: [0; EIGHT] };
    let mut pairs = [NONE; PAIRS];
    let count = groups.len().div_ceil(2).min(PAIRS);
    for (number, (pair, two)) in pairs.iter_mut().zip(groups.chunks(2)).enumerate() {
        for (groups, group) in pair.groups.iter_mut().zip(two) {
            *groups = group;
        }
        for (lane, at) in ORDER.into_iter().enumerate() {
            let facts = &pair.groups[at / LANES].facts;
            pair.ones[lane] = f32::from(facts.ones[at % LANES]);
            pair.angles[lane] = i32::from(facts.angle[at % LANES]) << 24;
            pair.places[lane] = (number * EIGHT + at) as i32;
        }
    }
    (pairs, count)
}

/// The nearest of each row, by whatever counts the bits that differ. Not a function of a function: what is compiled for more
/// instructions than its caller is not put into it.
macro_rules! rows {
    ($probe:ident, $groups:ident, $out:ident, $differing:ident) => {
        let (pairs, count) = pairs($groups);
        let turn = _mm256_set1_epi32(i32::from(CYLINDER_TURN) << 24);
        for (cut, out) in $probe.iter().zip($out) {
            // Not by `map`: it is compiled without these instructions, and its closure with them.
            let [a, b, c, d] = cut.words;
            let words = [
                _mm256_set1_epi64x(a as i64),
                _mm256_set1_epi64x(b as i64),
                _mm256_set1_epi64x(c as i64),
                _mm256_set1_epi64x(d as i64),
            ];
            let ones = _mm256_set1_ps(f32::from(cut.ones));
            let angle = _mm256_set1_epi32(i32::from(cut.angle) << 24);
            let (mut least, mut of) = (_mm256_set1_ps(1.0), _mm256_set1_ps(1.0));
            let mut found = _mm256_set1_epi32(0);
            for pair in &pairs[..count] {
                let off = _mm256_abs_epi32(_mm256_sub_epi32(angle, numbers(&pair.angles)));
                // Half a turn has no positive number.
                let far = _mm256_castsi256_ps(_mm256_or_si256(
                    _mm256_cmpgt_epi32(off, turn),
                    _mm256_cmpgt_epi32(_mm256_setzero_si256(), off),
                ));
                // Cylinders are in the order of their angles: often it is all eight.
                if _mm256_movemask_ps(far) == 0xff {
                    continue;
                }
                // Whole numbers below 2^24, so that the products are exact.
                let differ = _mm256_cvtepi32_ps($differing(&words, pair.groups));
                let set = _mm256_add_ps(ones, floats(&pair.ones));
                let less = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_mul_ps(differ, of), _mm256_mul_ps(least, set));
                let less = _mm256_andnot_ps(far, less);
                least = _mm256_blendv_ps(least, differ, less);
                of = _mm256_blendv_ps(of, set, less);
                let places = _mm256_castsi256_ps(numbers(&pair.places));
                found = _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(found), places, less));
            }
            *out = first_of(least, of, found);
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

/// Bits of eight cylinders that differ from one of the probe.
#[inline]
#[target_feature(enable = "avx2")]
fn differing(words: &[__m256i; WORDS], [a, b]: [&Group; 2]) -> __m256i {
    together(four(words, a), four(words, b))
}

/// The same of four, as words.
#[inline]
#[target_feature(enable = "avx2")]
fn four(words: &[__m256i; WORDS], group: &Group) -> __m256i {
    let low = _mm256_set1_epi8(0x0f);
    let counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let mut sum = _mm256_setzero_si256();
    for (word, others) in words.iter().zip(&group.words) {
        let bits = _mm256_xor_si256(*word, load(others));
        let (few, many) = (_mm256_and_si256(bits, low), _mm256_and_si256(_mm256_srli_epi16::<4>(bits), low));
        let both = _mm256_add_epi8(_mm256_shuffle_epi8(counts, few), _mm256_shuffle_epi8(counts, many));
        sum = _mm256_add_epi8(sum, both);
    }
    _mm256_sad_epu8(sum, _mm256_setzero_si256())
}

/// The low halves of twice four words, in the order of the lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn together(a: __m256i, b: __m256i) -> __m256i {
    _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)))
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of four words that are there")]
pub(super) fn load(words: &[u64; LANES]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of eight numbers that are there")]
pub(super) fn numbers(of: &[i32; EIGHT]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(of.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of eight numbers that are there")]
pub(super) fn floats(of: &[f32; EIGHT]) -> __m256 {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_ps(of.as_ptr()) }
}

/// The least of eight fractions, the first of equals.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "stores of eight numbers to where there are eight")]
pub(super) fn first_of(least: __m256, of: __m256, found: __m256i) -> Nearest {
    let (mut parts, mut wholes, mut places) = ([0.0f32; EIGHT], [0.0f32; EIGHT], [0u32; EIGHT]);
    // SAFETY: the references are to 32 writable bytes each, and the stores need no alignment.
    unsafe {
        _mm256_storeu_ps(parts.as_mut_ptr(), least);
        _mm256_storeu_ps(wholes.as_mut_ptr(), of);
        _mm256_storeu_si256(places.as_mut_ptr().cast(), found);
    }
    Nearest::first_of(parts, wholes, places)
}
