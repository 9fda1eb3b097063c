//! The stages of a search by the kernels. Each answers as its scalar twin does, bit for bit: shares are one division of two whole
//! numbers, and sums go in the same lanes.

use super::{fetch::fetch, kernel::Kernel};
use crate::params::SKETCH_CYLINDERS;
use crate::search::{
    alignment::{BATCH, Laid, Near, alike_with, lay_with, near_with},
    likeness::{Nearest, Probe, eight_with, nearest_with, support_with},
    sketch::Sketch,
    votes::{KEPT, Tally, Vote, agreed_with},
};

/// How alike each of these is when the probe is laid on it as its votes say: see [`lay_with`] and [`alike_with`].
pub(crate) fn aligned(probe: &Laid, these: &[(&Sketch, Tally)], alike: &mut Vec<u16>) {
    aligned_by(Kernel::chosen(), probe, these, alike);
}

/// See [`agreed_with`].
pub(crate) fn agreed(votes: &[Vote; KEPT], count: usize) -> Tally {
    agreed_by(Kernel::chosen(), votes, count)
}

/// See [`nearest_with`].
pub(crate) fn nearest(probe: &Probe, sketch: &Sketch) -> Nearest {
    nearest_by(Kernel::chosen(), probe, sketch)
}

/// See [`support_with`].
pub(crate) fn support(probe: &Probe, sketch: &Sketch, nearest: &Nearest) -> f32 {
    support_by(Kernel::chosen(), probe, sketch, nearest)
}

/// By this kernel, which must be here.
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")
)]
pub(crate) fn agreed_by(kernel: Kernel, votes: &[Vote; KEPT], count: usize) -> Tally {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a kernel is chosen or forced only where `Kernel::is_here` found its instructions; where AVX-512 is, AVX2 is too.
        Kernel::Avx2 | Kernel::Avx512 => unsafe { super::avx2_search::agreed(votes, count) },
        _ => agreed_with(votes, count),
    }
}

/// By this kernel, which must be here.
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")
)]
pub(crate) fn aligned_by(kernel: Kernel, probe: &Laid, these: &[(&Sketch, Tally)], alike: &mut Vec<u16>) {
    let mut rest = these;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(rest.len().min(BATCH));
        rest = after;
        for (sketch, _) in rest.iter().take(BATCH) {
            sketch.fetch_facts();
        }
        let mut near: [Near; BATCH] = [[0; _]; BATCH];
        for ((sketch, tally), near) in batch.iter().zip(&mut near) {
            *near = match kernel {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Kernel::Avx2 | Kernel::Avx512 => unsafe { super::avx2_search::lay(probe, sketch, *tally) },
                _ => lay_with(probe, *tally, |angle, x, y| near_with(sketch, angle, x, y)),
            };
            let mut any = near.iter().fold(0, |any, row| any | row);
            while any != 0 {
                fetch(&sketch.words[any.trailing_zeros() as usize % SKETCH_CYLINDERS]);
                any &= any - 1;
            }
        }
        alike.extend(batch.iter().zip(&near).map(|((sketch, _), near)| match kernel {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernel::Avx2 | Kernel::Avx512 => unsafe { super::avx2_search::alike(probe, sketch, near) },
            _ => alike_with(probe, sketch, near),
        }));
    }
}

/// By this kernel, which must be here.
#[cfg_attr(
    not(target_arch = "aarch64"),
    expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")
)]
pub(crate) fn nearest_by(kernel: Kernel, probe: &Probe, sketch: &Sketch) -> Nearest {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kernel::Avx2 => unsafe { super::avx2_search::nearest(probe, sketch) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the same.
        Kernel::Avx512 => unsafe { super::avx512::nearest(probe, sketch) },
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon => super::neon::nearest(probe, sketch),
        _ => nearest_with(probe, sketch),
    }
}

/// By this kernel, which must be here.
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls what was compiled for a processor that has been asked")
)]
pub(crate) fn support_by(kernel: Kernel, probe: &Probe, sketch: &Sketch, nearest: &Nearest) -> f32 {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kernel::Avx2 | Kernel::Avx512 => unsafe { super::avx2_search::support(probe, sketch, nearest) },
        _ => support_with(probe, sketch, nearest, eight_with),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::sketch::Cut;

    fn cuts(most: usize) -> impl Strategy<Value = Vec<Cut>> {
        let cut = any::<([u64; 4], [u64; 4], u8, i8, i8)>().prop_map(|(words, mask, angle, x, y)| {
            let words: [u64; 4] = std::array::from_fn(|w| words[w] & mask[w] & (u64::MAX >> (4 * (w / 3))));
            Cut { words, ones: words.iter().map(|w| w.count_ones()).sum::<u32>() as u8, angle, x, y }
        });
        prop::collection::vec(cut, 0..=most)
    }

    proptest! {
        #[test]
        fn every_kernel_answers_as_the_scalar_one(
            probe in cuts(24), reference in cuts(24), copied in 0_usize..24, turn in -64i8..=64, x in -20i16..20, y in -20i16..20,
        ) {
            // Some of the reference's are the probe's, else hardly anything would agree.
            let reference: Vec<Cut> = probe.iter().take(copied).chain(&reference).take(24).copied().collect();
            let (probe, sketch) = (Sketch::of(probe), Sketch::of(reference));
            let (laid, probe) = (Laid::new(probe), Probe::new(probe));
            let slow = nearest_with(&probe, &sketch);
            let likeness = support_by(Kernel::Scalar, &probe, &sketch, &slow);
            let tallies = [Tally::default(), Tally { votes: 1, turn, x, y }];
            let these = tallies.map(|tally| (&sketch, tally)).repeat(9);
            let aligned = |kernel| {
                let mut alike = Vec::new();
                aligned_by(kernel, &laid, &these, &mut alike);
                alike
            };
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_here()) {
                let fast = nearest_by(kernel, &probe, &sketch);
                prop_assert_eq!(fast, slow, "{:?}", kernel);
                let found = support_by(kernel, &probe, &sketch, &fast);
                prop_assert_eq!(found.to_bits(), likeness.to_bits(), "{:?}", kernel);
                prop_assert_eq!(aligned(kernel), aligned(Kernel::Scalar), "{:?}", kernel);
            }
        }
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_about_what_votes_say(
            votes in any::<[u32; KEPT]>(), near in any::<[bool; KEPT]>(), count in 0..=KEPT,
        ) {
            // Half of them like the first, else hardly any would agree.
            let votes: [Vote; KEPT] =
                std::array::from_fn(|at| Vote::from_bits(if near[at] { votes[0] ^ votes[at] & 0x0804_0201 } else { votes[at] }));
            let slow = agreed_with(&votes, count);
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_here()) {
                prop_assert_eq!(agreed_by(kernel, &votes, count), slow, "{:?}", kernel);
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
