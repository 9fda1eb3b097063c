//! Kernels for processors with AVX2. Sums are of integers, which are the same in any order, or in the order of the scalar twin.

use crate::{
    compare::cylinder::{Cylinder, Hull, LAYERS, Pose, Sums, build_with},
    image::plane::Plane,
    params::CYLINDER_THRESHOLD,
    ridge::{
        enhance::{PATCH, enhance_with},
        kernels::{Kernel, TAPS},
        orientation::Orientation,
        period::Period,
    },
};
use std::arch::x86_64::{
    __m256i, _CMP_GE_OQ, _mm_add_epi32, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cmp_ps,
    _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_movemask_epi8, _mm256_movemask_ps, _mm256_set1_ps, _mm256_setzero_si256, _mm256_slli_epi16,
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

/// See [`build_with`]: the same code, compiled for eight layers at a time.
#[target_feature(enable = "avx2")]
pub(super) fn cylinders(poses: &[Pose], hull: &Hull) -> Vec<Cylinder> {
    build_with(poses, hull, |sums| reached(sums))
}

/// See `compare::cylinder::reached`.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads of what is there")]
fn reached(sums: &Sums) -> [u64; LAYERS] {
    const SUMS: usize = size_of::<Sums>() / size_of::<__m256i>();
    let threshold = _mm256_set1_ps(CYLINDER_THRESHOLD);
    // A bit for each layer of a cell, then a bit for each cell of a layer.
    let mut cells = [0u8; SUMS];
    for cell in 0..sums.len() {
        // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
        let sums = unsafe { _mm256_loadu_ps(sums[cell].as_ptr()) };
        cells[cell] = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(sums, threshold)) as u8;
    }
    // SAFETY: the array is of 64 readable bytes, and the loads need no alignment.
    let halves = unsafe {
        [_mm256_loadu_si256(cells.as_ptr().cast()), _mm256_loadu_si256(cells.as_ptr().add(32).cast())]
    };
    // The bit of a layer in the highest place of each byte: what comes from the byte beside stays below.
    macro_rules! layer {
        ($left:literal) => {{
            let bits = |half| u64::from(_mm256_movemask_epi8(_mm256_slli_epi16::<$left>(half)) as u32);
            bits(halves[0]) | bits(halves[1]) << 32
        }};
    }
    [layer!(7), layer!(6), layer!(5), layer!(4), layer!(3), layer!(2)]
}
