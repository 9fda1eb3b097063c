//! The search's stages with AVX2. The third takes eight rows of the probe at a time against one cylinder after the other, so
//! that each lane keeps its own least and none is compared across lanes; bits are counted by halves of bytes (Mula, Kurz,
//! Lemire 2018).

use std::arch::x86_64::{
    __m256, __m256i, _CMP_LE_OQ, _CMP_NEQ_OQ, _mm256_abs_epi8, _mm256_add_epi8, _mm256_add_epi32,
    _mm256_add_ps, _mm256_and_ps, _mm256_and_si256, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps,
    _mm256_cmpeq_epi8, _mm256_cmpgt_epi32, _mm256_cvtepi32_ps, _mm256_div_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_maskload_epi32, _mm256_min_epu32, _mm256_movemask_epi8, _mm256_mul_ps,
    _mm256_or_si256, _mm256_permute4x64_epi64, _mm256_sad_epu8, _mm256_set1_epi8, _mm256_set1_epi32,
    _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_shuffle_ps, _mm256_srli_epi16, _mm256_storeu_ps,
    _mm256_storeu_si256, _mm256_sub_epi8, _mm256_sub_ps, _mm256_subs_epi8, _mm256_subs_epu8,
    _mm256_xor_si256,
};

use crate::{
    params::{
        ALIGNED_REACH, ALIGNED_TURN, CYLINDER_TURN, LIKE_REACH, LIKE_STRETCH, LIKE_TURN, SKETCH_CYLINDERS,
    },
    search::{
        alignment::{Laid, Near, alike_with, lay_with},
        likeness::{NONE_ALIKE, Nearest, Probe, ROWS, Rows, SHARE, support_with},
        sketch::{Sketch, WORDS},
        votes::{KEPT, Tally, Vote, agreed_with},
    },
};

/// Rows that are taken at a time.
pub(super) const EIGHT: usize = 8;
/// Of these, as many as four words are.
pub(super) const FOUR: usize = 4;
/// Bytes of a vector.
pub(super) const LANES_OF_BYTES: usize = 32;

/// See `search::likeness::eight_with`: eight rows against one other after the other.
#[target_feature(enable = "avx2")]
pub(super) fn support(probe: &Probe, sketch: &Sketch, nearest: &Nearest) -> f32 {
    let eight = |rows: &Rows<'_>, from: usize| {
        let lanes = |of: &[f32; ROWS]| eight_of(of, from);
        let (at_x, at_y, to_x, to_y) =
            (lanes(&rows.probe.x), lanes(&rows.probe.y), lanes(&rows.x), lanes(&rows.y));
        let (sine, cosine, turned, which) =
            (lanes(&rows.sine), lanes(&rows.cosine), lanes(&rows.turned), lanes(&rows.which));
        let without_sign = _mm256_castsi256_ps(_mm256_set1_epi32(i32::MAX));
        let size = |of: __m256| _mm256_and_ps(of, without_sign);
        let (reach, stretch, turn) =
            (_mm256_set1_ps(LIKE_REACH), _mm256_set1_ps(LIKE_STRETCH), _mm256_set1_ps(LIKE_TURN));
        let mut support = _mm256_setzero_ps();
        for other in 0..ROWS {
            let dx = _mm256_sub_ps(_mm256_set1_ps(rows.probe.x[other]), at_x);
            let dy = _mm256_sub_ps(_mm256_set1_ps(rows.probe.y[other]), at_y);
            let ex = _mm256_sub_ps(_mm256_set1_ps(rows.x[other]), to_x);
            let ey = _mm256_sub_ps(_mm256_set1_ps(rows.y[other]), to_y);
            let x = _mm256_add_ps(_mm256_mul_ps(cosine, dx), _mm256_mul_ps(sine, dy));
            let y = _mm256_sub_ps(_mm256_mul_ps(cosine, dy), _mm256_mul_ps(sine, dx));
            let off = _mm256_add_ps(size(_mm256_sub_ps(x, ex)), size(_mm256_sub_ps(y, ey)));
            let far = _mm256_add_ps(size(dx), size(dy));
            let near = _mm256_cmp_ps::<_CMP_LE_OQ>(off, _mm256_add_ps(reach, _mm256_mul_ps(stretch, far)));
            let turned = size(_mm256_sub_ps(_mm256_set1_ps(rows.turned[other]), turned));
            let agrees = _mm256_and_ps(near, _mm256_cmp_ps::<_CMP_LE_OQ>(turned, turn));
            let another = _mm256_cmp_ps::<_CMP_NEQ_OQ>(_mm256_set1_ps(rows.which[other]), which);
            let agrees = _mm256_and_ps(agrees, another);
            support = _mm256_add_ps(support, _mm256_and_ps(agrees, _mm256_set1_ps(rows.like[other])));
        }
        stored(support)
    };
    support_with(probe, sketch, nearest, eight)
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of eight numbers that are there")]
pub(super) fn eight_of(of: &[f32; ROWS], from: usize) -> __m256 {
    let eight: &[f32] = &of[from..from + EIGHT];
    // SAFETY: the slice is of 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a store of eight numbers to where there are eight")]
fn stored(of: __m256) -> [f32; EIGHT] {
    let mut out = [0.0; EIGHT];
    // SAFETY: the array is of 32 writable bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), of) }
    out
}

/// See [`agreed_with`]: the same code, compiled for all votes at a time.
#[target_feature(enable = "avx2")]
pub(super) fn agreed(votes: &[Vote; KEPT], count: usize) -> Tally {
    agreed_with(votes, count)
}

/// See [`alike_with`]: the same code, compiled for counting bits in one instruction.
#[target_feature(enable = "popcnt")]
pub(super) fn alike(probe: &Laid, sketch: &Sketch, near: &Near) -> u16 {
    alike_with(probe, sketch, near)
}

/// See [`lay_with`]: all cylinders of a sketch are looked at at a time.
#[target_feature(enable = "avx2")]
pub(super) fn lay(probe: &Laid, sketch: &Sketch, tally: Tally) -> Near {
    let (angles, xs, ys) = (bytes(&sketch.angle), bytes(&sketch.x), bytes(&sketch.y));
    let (turn, reach) = (_mm256_set1_epi8(ALIGNED_TURN as i8), _mm256_set1_epi8(ALIGNED_REACH as i8));
    let near = |angle: u8, x: i8, y: i8| {
        // What is farther than a byte says stays farther than the reach; half a turn is 128 without a sign.
        let off = _mm256_abs_epi8(_mm256_sub_epi8(angles, _mm256_set1_epi8(angle as i8)));
        let (x, y) = (_mm256_subs_epi8(xs, _mm256_set1_epi8(x)), _mm256_subs_epi8(ys, _mm256_set1_epi8(y)));
        let beyond = _mm256_or_si256(
            _mm256_subs_epu8(off, turn),
            _mm256_or_si256(
                _mm256_subs_epu8(_mm256_abs_epi8(x), reach),
                _mm256_subs_epu8(_mm256_abs_epi8(y), reach),
            ),
        );
        let near = _mm256_cmpeq_epi8(beyond, _mm256_setzero_si256());
        _mm256_movemask_epi8(near) as u32 & ((1 << SKETCH_CYLINDERS) - 1)
    };
    lay_with(probe, tally, near)
}

/// Which cylinders of a sketch are within reach of the arc of eight rows, a bit for each: all that one of the rows reaches, and
/// those in a gap between two. Of bits above the last cylinder it says nothing.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn within_arc(probe: &Probe, from: usize, angles: __m256i) -> u32 {
    let (first, arc) = probe.arcs[from / EIGHT];
    let arc = arc.saturating_add(2 * CYLINDER_TURN);
    let off = _mm256_sub_epi8(angles, _mm256_set1_epi8(first.wrapping_sub(CYLINDER_TURN) as i8));
    let beyond = _mm256_subs_epu8(off, _mm256_set1_epi8(arc as i8));
    _mm256_movemask_epi8(_mm256_cmpeq_epi8(beyond, _mm256_setzero_si256())) as u32
}

/// A byte of each cylinder, and zeros.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of as many bytes as are there")]
pub(super) fn bytes<T: Byte>(of: &[T; SKETCH_CYLINDERS]) -> __m256i {
    const { assert!(SKETCH_CYLINDERS == 24 && size_of::<T>() == 1, "six numbers of four bytes each") }
    let there = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, 0, 0);
    // SAFETY: the array is of the 24 readable bytes that the mask lets through; what it does not is not read, and the load needs no
    // alignment.
    unsafe { _mm256_maskload_epi32(of.as_ptr().cast(), there) }
}

/// What is a byte in a sketch.
pub(super) trait Byte {}
impl Byte for u8 {}
impl Byte for i8 {}

/// The nearest of each row, by whatever counts the bits that differ. Not a function of a function: what is compiled for more
/// instructions than its caller is not put into it.
macro_rules! rows {
    ($probe:ident, $sketch:ident, $differing:ident) => {{
        let (probe, sketch): (&Probe, &Sketch) = ($probe, $sketch);
        let (mut ones, mut angles) = ([0.0f32; SKETCH_CYLINDERS], [0i32; SKETCH_CYLINDERS]);
        // Half of all that there is below the angle: what is too far is above the limit then, on either side.
        let lowest = i32::MIN.wrapping_add(i32::from(CYLINDER_TURN) << 24);
        for at in 0..SKETCH_CYLINDERS {
            // In the highest byte differences of angles wrap as angles do. Taken away here, once for all rows.
            let angle = i32::from(sketch.angle[at]) << 24;
            (ones[at], angles[at]) = (f32::from(sketch.ones[at]), lowest.wrapping_sub(angle));
        }
        let limit = _mm256_set1_epi32(i32::MIN.wrapping_add(i32::from(CYLINDER_TURN) << 25));
        let share = _mm256_set1_epi32(SHARE as i32);
        let sketch_angles = bytes(&sketch.angle);
        let mut all = [NONE_ALIKE; ROWS];
        for from in (0..ROWS).step_by(EIGHT) {
            let set = eight_of(&probe.ones, from);
            let turned = numbers(&probe.angles, from);
            let mut least = _mm256_set1_epi32(NONE_ALIKE as i32);
            // What differs, of how much, which one it is and where it is too far: looked at a round later, since the division has
            // to wait for all that is counted, and the next count not for it.
            let (mut differ, mut of) = (_mm256_set1_ps(1.0), _mm256_set1_ps(1.0));
            let (mut number, mut far) = (_mm256_setzero_si256(), _mm256_set1_epi32(-1));
            let mut within = within_arc(probe, from, sketch_angles);
            while within != 0 {
                let at = within.trailing_zeros() as usize % LANES_OF_BYTES;
                within &= within - 1;
                if at >= SKETCH_CYLINDERS {
                    break;
                }
                let beyond = _mm256_cmpgt_epi32(_mm256_add_epi32(turned, _mm256_set1_epi32(angles[at])), limit);
                let key = _mm256_and_si256(_mm256_castps_si256(_mm256_div_ps(differ, of)), share);
                least = _mm256_min_epu32(least, _mm256_or_si256(_mm256_or_si256(key, number), far));
                differ = _mm256_cvtepi32_ps($differing(&probe.words, from, &sketch.words[at]));
                of = _mm256_add_ps(set, _mm256_set1_ps(ones[at]));
                (number, far) = (_mm256_set1_epi32(probe.numbers[at]), beyond);
            }
            let key = _mm256_and_si256(_mm256_castps_si256(_mm256_div_ps(differ, of)), share);
            least = _mm256_min_epu32(least, _mm256_or_si256(_mm256_or_si256(key, number), far));
            put(&mut all, from, _mm256_permute4x64_epi64::<0b11_01_10_00>(least));
        }
        Nearest::of(&all)
    }};
}
pub(super) use rows;

/// See `search::likeness::nearest_with`.
#[target_feature(enable = "avx2")]
pub(super) fn nearest(probe: &Probe, sketch: &Sketch) -> Nearest {
    rows!(probe, sketch, differing)
}

/// Bits of eight rows that differ from a cylinder.
#[inline]
#[target_feature(enable = "avx2")]
fn differing(rows: &[[u64; ROWS]; WORDS], from: usize, others: &[u64; WORDS]) -> __m256i {
    together(four(rows, from, others), four(rows, from + FOUR, others))
}

/// The same of four, as words.
#[inline]
#[target_feature(enable = "avx2")]
fn four(rows: &[[u64; ROWS]; WORDS], from: usize, others: &[u64; WORDS]) -> __m256i {
    let low = _mm256_set1_epi8(0x0f);
    let counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    // By name, not by an iterator: those are compiled without these instructions, and called.
    let differing =
        |word: usize| _mm256_xor_si256(words4(&rows[word], from), _mm256_set1_epi64x(others[word] as i64));
    let counted = |counts: __m256i, bits: __m256i| {
        let (few, many) = (_mm256_and_si256(bits, low), _mm256_and_si256(_mm256_srli_epi16::<4>(bits), low));
        _mm256_add_epi8(_mm256_shuffle_epi8(counts, few), _mm256_shuffle_epi8(counts, many))
    };
    // Three words are added up bit by bit, so that three are counted instead of four: what is in one or all, and twice what is in
    // two or all.
    let (a, b, c) = (differing(0), differing(1), differing(2));
    let either = _mm256_xor_si256(a, b);
    let odd = _mm256_xor_si256(either, c);
    let twice = _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(either, c));
    let sum = _mm256_add_epi8(counted(counts, odd), counted(counts, differing(3)));
    let sum = _mm256_add_epi8(sum, counted(_mm256_add_epi8(counts, counts), twice));
    _mm256_sad_epu8(sum, _mm256_setzero_si256())
}

/// The low halves of twice four words, in the order of `search::likeness::LANES`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn together(a: __m256i, b: __m256i) -> __m256i {
    _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)))
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of four words that are there")]
pub(super) fn words4(of: &[u64], from: usize) -> __m256i {
    let words: &[u64] = &of[from..from + FOUR];
    // SAFETY: the slice is of 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a load of eight numbers that are there")]
pub(super) fn numbers(of: &[i32; ROWS], from: usize) -> __m256i {
    let eight: &[i32] = &of[from..from + EIGHT];
    // SAFETY: the slice is of 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) }
}

/// What was found for eight rows.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a store of eight numbers to where there are eight")]
pub(super) fn put(out: &mut [u32; ROWS], from: usize, least: __m256i) {
    let eight = &mut out[from..from + EIGHT];
    // SAFETY: the slice is of 32 writable bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), least) }
}
