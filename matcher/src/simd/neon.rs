//! The search's third stage with NEON, which every AArch64 has: four rows of the probe at a time against one cylinder after the
//! other, so that each lane keeps its own least.

use std::arch::aarch64::{
    uint8x16_t, uint32x4_t, vabsq_s32, vaddq_f32, vaddq_u8, vandq_u32, vcgtq_u32, vcntq_u8, vcombine_u32,
    vcvtq_f32_u32, vdivq_f32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u8, vdupq_n_u32, vdupq_n_u64, veorq_u64,
    vld1q_f32, vld1q_s32, vld1q_u64, vminq_u32, vmovn_u64, vorrq_u32, vpaddlq_u8, vpaddlq_u16, vpaddlq_u32,
    vreinterpretq_u8_u64, vreinterpretq_u32_f32, vreinterpretq_u32_s32, vst1q_u32, vsubq_s32,
};

use crate::{
    params::{CYLINDER_TURN, SKETCH_CYLINDERS},
    search::{
        likeness::{NONE_ALIKE, Nearest, Probe, ROWS, SHARE},
        sketch::{Sketch, WORDS},
    },
};

/// Rows that are taken at a time.
const FOUR: usize = 4;

/// See `search::likeness::nearest_with`.
#[expect(unsafe_code, reason = "NEON intrinsics, on a processor that has them by its architecture")]
pub(super) fn nearest(probe: &Probe, sketch: &Sketch) -> Nearest {
    // Half a turn is the largest without a sign, so that it is too far.
    let turn = u32::from(CYLINDER_TURN) << 24;
    let mut all = [NONE_ALIKE; ROWS];
    for from in (0..ROWS).step_by(FOUR) {
        let (mut ones, mut angles) = ([0.0f32; FOUR], [0i32; FOUR]);
        for lane in 0..FOUR {
            // In the highest byte differences of angles wrap as angles do.
            ones[lane] = f32::from(probe.sketch.ones[from + lane]);
            angles[lane] = i32::from(probe.sketch.angle[from + lane]) << 24;
        }
        let keys = &mut all[from..from + FOUR];
        // SAFETY: every AArch64 has NEON; loads and stores are of arrays and slices of four, and need no alignment.
        unsafe {
            let (ones, angles) = (vld1q_f32(ones.as_ptr()), vld1q_s32(angles.as_ptr()));
            let mut least = vdupq_n_u32(NONE_ALIKE);
            for at in 0..SKETCH_CYLINDERS {
                let angle = vdupq_n_s32(i32::from(sketch.angle[at]) << 24);
                let off = vreinterpretq_u32_s32(vabsq_s32(vsubq_s32(angles, angle)));
                let far = vcgtq_u32(off, vdupq_n_u32(turn));
                let differ = vcvtq_f32_u32(differing(&probe.words, from, &sketch.words[at]));
                let share = vdivq_f32(differ, vaddq_f32(ones, vdupq_n_f32(f32::from(sketch.ones[at]))));
                let key = vandq_u32(vreinterpretq_u32_f32(share), vdupq_n_u32(SHARE));
                least = vminq_u32(least, vorrq_u32(vorrq_u32(key, vdupq_n_u32(at as u32)), far));
            }
            vst1q_u32(keys.as_mut_ptr(), least);
        }
    }
    Nearest::of(&all)
}

/// Bits of four rows that differ from a cylinder.
#[inline]
#[expect(unsafe_code, reason = "NEON intrinsics, on a processor that has them by its architecture")]
fn differing(rows: &[[u64; ROWS]; WORDS], from: usize, others: &[u64; WORDS]) -> uint32x4_t {
    // SAFETY: as above; each load is of a slice of two words.
    unsafe {
        let two = |from: usize| {
            let mut sum: uint8x16_t = vdupq_n_u8(0);
            for (words, other) in rows.iter().zip(others) {
                let bits = veorq_u64(vdupq_n_u64(*other), vld1q_u64(words[from..from + 2].as_ptr()));
                sum = vaddq_u8(sum, vcntq_u8(vreinterpretq_u8_u64(bits)));
            }
            vmovn_u64(vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(sum))))
        };
        vcombine_u32(two(from), two(from + 2))
    }
}
