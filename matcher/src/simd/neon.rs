//! The search's second stage with NEON, which every AArch64 has.

use std::arch::aarch64::{
    float32x4_t, uint8x16_t, uint32x4_t, vabsq_s32, vaddq_u8, vaddq_u32, vbicq_u32, vbslq_f32, vbslq_u32,
    vcgtq_s32, vcltq_f32, vcntq_u8, vcombine_u32, vcvtq_f32_u32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u8,
    vdupq_n_u32, vdupq_n_u64, veorq_u64, vld1q_u32, vld1q_u64, vmovn_u64, vmulq_f32, vpaddlq_u8, vpaddlq_u16,
    vpaddlq_u32, vreinterpretq_s32_u32, vreinterpretq_u8_u64, vshlq_n_s32, vshrq_n_s32, vst1q_f32, vst1q_u32,
    vsubq_u32,
};

use crate::{
    params::CYLINDER_TURN,
    search::{
        likeness::{Nearest, ROWS},
        sketch::{Cut, Group, LANES},
    },
};

/// See `search::likeness::nearest_with`.
pub(super) fn nearest(probe: &[Cut], groups: &[Group], out: &mut [Nearest; ROWS]) {
    for (cut, out) in probe.iter().zip(out) {
        *out = row(cut, groups);
    }
}

#[expect(unsafe_code, reason = "NEON intrinsics, on a processor that has them by its architecture")]
fn row(cut: &Cut, groups: &[Group]) -> Nearest {
    // SAFETY: every AArch64 has NEON; loads and stores are of arrays that are there, and need no alignment.
    unsafe {
        let turn = vdupq_n_s32(i32::from(CYLINDER_TURN));
        let (ones, angle) = (vdupq_n_u32(u32::from(cut.ones)), vdupq_n_u32(u32::from(cut.angle)));
        let (mut least, mut of): (float32x4_t, float32x4_t) = (vdupq_n_f32(1.0), vdupq_n_f32(1.0));
        let mut found = vdupq_n_u32(0);
        let mut at = vld1q_u32([0u32, 1, 2, 3].as_ptr());
        for group in groups {
            let off = vreinterpretq_s32_u32(vsubq_u32(angle, four(group.facts.angle)));
            let off = vabsq_s32(vshrq_n_s32::<24>(vshlq_n_s32::<24>(off)));
            // Whole numbers below 2^24, so that the products are exact.
            let differ = vcvtq_f32_u32(differing(cut, group));
            let set = vcvtq_f32_u32(vaddq_u32(ones, four(group.facts.ones)));
            let less = vcltq_f32(vmulq_f32(differ, of), vmulq_f32(least, set));
            let less = vbicq_u32(less, vcgtq_s32(off, turn));
            (least, of) = (vbslq_f32(less, differ, least), vbslq_f32(less, set, of));
            found = vbslq_u32(less, at, found);
            at = vaddq_u32(at, vdupq_n_u32(LANES as u32));
        }
        let (mut parts, mut wholes, mut places) = ([0.0f32; LANES], [0.0f32; LANES], [0u32; LANES]);
        vst1q_f32(parts.as_mut_ptr(), least);
        vst1q_f32(wholes.as_mut_ptr(), of);
        vst1q_u32(places.as_mut_ptr(), found);
        Nearest::first_of(parts, wholes, places)
    }
}

/// Bits of four cylinders that differ from one of the probe.
#[inline]
#[expect(unsafe_code, reason = "NEON intrinsics, on a processor that has them by its architecture")]
fn differing(cut: &Cut, group: &Group) -> uint32x4_t {
    // SAFETY: as in `row`; each load is of two of the four words of a lane array.
    unsafe {
        let half = |from: usize| {
            let mut sum: uint8x16_t = vdupq_n_u8(0);
            for (word, others) in cut.words.iter().zip(&group.words) {
                let bits = veorq_u64(vdupq_n_u64(*word), vld1q_u64(others[from..from + 2].as_ptr()));
                sum = vaddq_u8(sum, vcntq_u8(vreinterpretq_u8_u64(bits)));
            }
            vmovn_u64(vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(sum))))
        };
        vcombine_u32(half(0), half(2))
    }
}

/// Four bytes as numbers.
#[inline]
#[expect(unsafe_code, reason = "a load of four numbers that are there")]
fn four(bytes: [u8; LANES]) -> uint32x4_t {
    // SAFETY: the array holds the four numbers.
    unsafe { vld1q_u32(bytes.map(u32::from).as_ptr()) }
}
