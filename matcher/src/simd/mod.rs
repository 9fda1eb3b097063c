//! The only unsafe code of the matcher: choosing at run time the instructions a processor has.
//! Every kernel has a scalar twin that gives the same answer bit for bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_search;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod fetch;
mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod search;

pub mod roof;

pub(crate) use fetch::fetch;
pub use kernel::{Kernel, NotForced};
pub(crate) use search::{agreed, aligned, nearest, support};

use crate::{
    compare::{
        cylinder::{Cylinder, Hull, Pose, build_with, reached},
        local::{Pair, pairs_with},
    },
    image::plane::Plane,
    ridge::{
        enhance::{enhance_with, four_sums},
        orientation::Orientation,
        period::Period,
    },
};

/// See [`pairs_with`]: the same code, compiled for counting bits in one instruction.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn pairs_popcnt(a: &[Cylinder], b: &[Cylinder], out: &mut Vec<Pair>) {
    pairs_with(a, b, out);
}

/// All pairs of cylinders that have something in common.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")]
pub(crate) fn pairs(a: &[Cylinder], b: &[Cylinder], out: &mut Vec<Pair>) {
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the instruction was detected on this processor.
        unsafe { pairs_popcnt(a, b, out) }
    } else {
        pairs_with(a, b, out);
    }
}

/// All pairs of cylinders that have something in common.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn pairs(a: &[Cylinder], b: &[Cylinder], out: &mut Vec<Pair>) {
    pairs_with(a, b, out);
}

/// The cylinders of all minutiae that have enough neighbours.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")]
pub(crate) fn cylinders(poses: &[Pose], hull: &Hull) -> Vec<Cylinder> {
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the instructions were detected on this processor.
        unsafe { avx2::cylinders(poses, hull) }
    } else {
        build_with(poses, hull, reached)
    }
}

/// The cylinders of all minutiae that have enough neighbours.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn cylinders(poses: &[Pose], hull: &Hull) -> Vec<Cylinder> {
    build_with(poses, hull, reached)
}

/// Filters every patch of the image by the kernel of its ridges.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")]
pub(crate) fn enhance(image: &Plane<f32>, mask: &Plane<bool>, o: &Orientation, p: &Period) -> Plane<f32> {
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the instructions were detected on this processor.
        unsafe { avx2::enhance(image, mask, o, p) }
    } else {
        enhance_with(image, mask, o, p, four_sums)
    }
}

/// Filters every patch of the image by the kernel of its ridges.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn enhance(image: &Plane<f32>, mask: &Plane<bool>, o: &Orientation, p: &Period) -> Plane<f32> {
    enhance_with(image, mask, o, p, four_sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minutiae::MinutiaKind;
    use proptest::prelude::*;

    fn cylinder() -> impl Strategy<Value = Cylinder> {
        (any::<[u64; 6]>(), any::<[u64; 2]>(), any::<u8>()).prop_map(|(layers, valid, angle)| {
            // The 52 cells of a disc.
            let valid = (valid[0] | valid[1]) & 0x3c7e_ffff_ffff_7e3c;
            Cylinder { layers: layers.map(|l| l & valid), valid, minutia: u16::from(angle), angle }
        })
    }

    proptest! {
        #[test]
        fn the_chosen_kernel_answers_as_the_scalar_one(
            a in proptest::collection::vec(cylinder(), 0..20),
            b in proptest::collection::vec(cylinder(), 0..20),
        ) {
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            pairs(&a, &b, &mut fast);
            pairs_with(&a, &b, &mut slow);
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn the_chosen_cylinders_are_the_scalar_ones(
            minutiae in proptest::collection::vec((0.0f32..300.0, 0.0f32..300.0, any::<u8>()), 0..40),
        ) {
            let pose = |&(x, y, angle): &(f32, f32, u8)| Pose { x, y, angle, kind: MinutiaKind::Ending, quality: 1.0 };
            let poses: Vec<Pose> = minutiae.iter().map(pose).collect();
            let hull = Hull::of(&poses);
            prop_assert_eq!(cylinders(&poses, &hull), build_with(&poses, &hull, reached));
        }

        #[test]
        fn the_chosen_filter_answers_as_the_scalar_one(seed in any::<u64>(), period in 4.0f32..18.0, turn in 0.0f32..3.0) {
            let mut state = seed | 1;
            let (w, h) = (70, 66);
            let mut image = Plane::filled(w, h, 0.0f32);
            for v in &mut image.data {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *v = ((state >> 40) as f32 / 16_777_216.0 - 0.5) * 5.0;
            }
            let mask = Plane::filled(9, 9, true);
            let orientation = Orientation::constant(w, h, turn);
            let period = Period { log: Plane::filled(9, 9, libm::logf(period)), median: period };
            let fast = enhance(&image, &mask, &orientation, &period);
            let slow = enhance_with(&image, &mask, &orientation, &period, four_sums);
            prop_assert_eq!(fast, slow);
        }
    }
}
