//! The second stage of a search by the kernels. Each answers as its scalar twin does, bit for bit: shares are one division of
//! two whole numbers, and sums go in the same lanes.

use super::kernel::Kernel;
use crate::search::{
    likeness::{Nearest, Probe, ROWS, nearest_with, support_with},
    sketch::{Cut, Group},
};

/// See [`nearest_with`].
pub(crate) fn nearest(probe: &[Cut], groups: &[Group], out: &mut [Nearest; ROWS]) {
    nearest_by(Kernel::chosen(), probe, groups, out);
}

/// See [`support_with`].
pub(crate) fn support(probe: &Probe, groups: &[Group], nearest: &[Nearest; ROWS]) -> f32 {
    support_by(Kernel::chosen(), probe, groups, nearest)
}

/// By this kernel, which must be here.
#[cfg_attr(
    not(target_arch = "aarch64"),
    expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")
)]
pub(crate) fn nearest_by(kernel: Kernel, probe: &[Cut], groups: &[Group], out: &mut [Nearest; ROWS]) {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a kernel is chosen or forced only where `Kernel::is_here` found its instructions.
        Kernel::Avx2 => unsafe { super::avx2_nearest::nearest(probe, groups, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the same.
        Kernel::Avx512 => unsafe { super::avx512::nearest(probe, groups, out) },
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon => super::neon::nearest(probe, groups, out),
        _ => nearest_with(probe, groups, out),
    }
}

/// By this kernel, which must be here.
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")
)]
pub(crate) fn support_by(kernel: Kernel, probe: &Probe, groups: &[Group], nearest: &[Nearest; ROWS]) -> f32 {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above; where AVX-512 is, AVX2 is too.
        Kernel::Avx2 | Kernel::Avx512 => unsafe { super::avx2_nearest::support(probe, groups, nearest) },
        _ => support_with(probe, groups, nearest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::sketch::groups;

    fn cuts(most: usize) -> impl Strategy<Value = Vec<Cut>> {
        let cut = any::<([u64; 4], [u64; 4], u8, i8, i8)>().prop_map(|(words, mask, angle, x, y)| {
            let words: [u64; 4] = std::array::from_fn(|w| words[w] & mask[w] & (u64::MAX >> (4 * (w / 3))));
            Cut { words, ones: words.iter().map(|w| w.count_ones()).sum::<u32>() as u8, angle, x, y }
        });
        prop::collection::vec(cut, 0..=most)
    }

    proptest! {
        #[test]
        fn every_kernel_answers_as_the_scalar_one(probe in cuts(24), reference in cuts(24), copied in 0_usize..24) {
            // Some of the reference's are the probe's, else hardly anything would agree.
            let reference: Vec<Cut> = probe.iter().take(copied).chain(&reference).take(24).copied().collect();
            let (probe, groups) = (Probe::new(probe), groups(&reference).collect::<Vec<_>>());
            let mut slow = [Nearest::default(); ROWS];
            nearest_with(&probe.cuts, &groups, &mut slow);
            let likeness = support_with(&probe, &groups, &slow);
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_here()) {
                let mut fast = [Nearest::default(); ROWS];
                nearest_by(kernel, &probe.cuts, &groups, &mut fast);
                prop_assert_eq!(&fast, &slow, "{:?}", kernel);
                let found = support_by(kernel, &probe, &groups, &fast);
                prop_assert_eq!(found.to_bits(), likeness.to_bits(), "{:?}", kernel);
            }
        }
    }

    #[test]
    fn kernels_that_this_processor_lacks_are_named() {
        for kernel in Kernel::ALL.into_iter().filter(|kernel| !kernel.is_here()) {
            println!("skipped: this processor has no instructions for the kernel {kernel:?}");
            assert!(kernel.force().is_err());
        }
        assert!(Kernel::chosen().is_here() && Kernel::Scalar.is_here());
        assert!(Kernel::chosen().force().is_ok());
    }
}
