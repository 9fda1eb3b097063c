//! The second stage: how alike two sketches are. Each cylinder of the probe looks for the one most like it, and the pairs
//! that agree about turn and place support each other.
//!
//! Invariant: the same answer bit for bit from every kernel: floating-point sums go in eight lanes in one order.

use super::sketch::{Cut, Facts, Group, LANES, PLACE_STEP};
use crate::{
    compare::cylinder::turn,
    params::{CYLINDER_TURN, LIKE_REACH, LIKE_STRETCH, LIKE_TURN, SKETCH_CYLINDERS},
};

/// Rows of a probe, filled up to whole vectors of eight.
pub(crate) const ROWS: usize = SKETCH_CYLINDERS.next_multiple_of(8);

/// The cylinder of a sketch that is most like one of the probe.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Nearest {
    /// Bits that differ, as a share of all that are set: 1 when none is alike.
    pub(crate) differ: f32,
    /// Which one.
    pub(crate) at: u32,
}

impl Nearest {
    /// Of what was found in each of some lanes, as fractions: the least, the first of equals.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(dead_code, reason = "for kernels of lanes")
    )]
    pub(crate) fn first_of<const N: usize>(parts: [f32; N], wholes: [f32; N], places: [u32; N]) -> Self {
        let (mut least, mut of, mut at) = (1.0f32, 1.0f32, 0);
        for ((part, whole), place) in parts.into_iter().zip(wholes).zip(places) {
            let (this, that) = (part * of, least * whole);
            if this < that || (this == that && part < whole && place < at) {
                (least, of, at) = (part, whole, place);
            }
        }
        Self { differ: least / of, at }
    }
}

/// For each cylinder of the probe the most alike, the first of equals. Shares are compared as fractions of whole numbers: every
/// kernel finds the same.
#[inline(always)]
pub(crate) fn nearest_with(probe: &[Cut], groups: &[Group], out: &mut [Nearest; ROWS]) {
    for (cut, out) in probe.iter().zip(out) {
        let (mut least, mut of, mut found) = (1, 1, 0);
        for (number, group) in groups.iter().enumerate() {
            let [a, b, c, d] = &group.words;
            for lane in 0..LANES {
                let off = cut.angle.wrapping_sub(group.facts.angle[lane]) as i8;
                if off.unsigned_abs() > CYLINDER_TURN {
                    continue;
                }
                let [p, q, r, s] = cut.words;
                let differ = (p ^ a[lane]).count_ones()
                    + (q ^ b[lane]).count_ones()
                    + (r ^ c[lane]).count_ones()
                    + (s ^ d[lane]).count_ones();
                let ones = u32::from(cut.ones) + u32::from(group.facts.ones[lane]);
                if differ * of < least * ones {
                    (least, of, found) = (differ, ones, number * LANES + lane);
                }
            }
        }
        *out = Nearest { differ: least as f32 / of as f32, at: found as u32 };
    }
}

/// What the support needs of the probe, made once a search.
pub(crate) struct Probe {
    pub(crate) cuts: Vec<Cut>,
    x: [f32; ROWS],
    y: [f32; ROWS],
}

impl Probe {
    pub(crate) fn new(cuts: Vec<Cut>) -> Self {
        let place = |of: fn(&Cut) -> i8| {
            std::array::from_fn(|row| cuts.get(row).map_or(0.0, |cut| f32::from(of(cut)) * PLACE_STEP))
        };
        Self { x: place(|cut| cut.x), y: place(|cut| cut.y), cuts }
    }
}

/// How alike, given the nearest of each row: pairs of pairs that agree, each with its likeness.
#[inline(always)]
pub(crate) fn support_with(probe: &Probe, groups: &[Group], nearest: &[Nearest; ROWS]) -> f32 {
    let rows = probe.cuts.len().min(ROWS);
    let [mut like, mut turned, mut x, mut y, mut which] = [[0.0f32; ROWS]; 5];
    for (row, (cut, found)) in probe.cuts.iter().zip(nearest).enumerate() {
        let at = found.at as usize;
        let Some(group) = groups.get(at / LANES) else { continue };
        let Facts { angle, x: xs, y: ys, .. } = &group.facts;
        let lane = at % LANES;
        like[row] = 1.0 - found.differ;
        turned[row] = f32::from(cut.angle.wrapping_sub(angle[lane]) as i8);
        (x[row], y[row]) = (f32::from(xs[lane]) * PLACE_STEP, f32::from(ys[lane]) * PLACE_STEP);
        which[row] = at as f32;
    }
    let mut total = 0.0;
    for row in 0..rows {
        if like[row] <= 0.0 {
            continue;
        }
        let (sine, cosine) = turn(turned[row] as i8 as u8);
        let (at_x, at_y, to_x, to_y) = (probe.x[row], probe.y[row], x[row], y[row]);
        let (turned_by, taken) = (turned[row], which[row]);
        // Without a branch, so that eight go at a time.
        let mut agreeing = [0.0f32; ROWS];
        for other in 0..ROWS {
            let (dx, dy) = (probe.x[other] - at_x, probe.y[other] - at_y);
            let (ex, ey) = (x[other] - to_x, y[other] - to_y);
            let off = (cosine * dx + sine * dy - ex).abs() + (cosine * dy - sine * dx - ey).abs();
            let agrees = (off <= LIKE_REACH + LIKE_STRETCH * (dx.abs() + dy.abs()))
                & ((turned[other] - turned_by).abs() <= LIKE_TURN)
                & (which[other] != taken);
            agreeing[other] = if agrees { like[other] } else { 0.0 };
        }
        let mut lanes = [0.0f32; 8];
        for eight in agreeing.as_chunks::<8>().0 {
            for (lane, agreeing) in lanes.iter_mut().zip(eight) {
                *lane += agreeing;
            }
        }
        let [a, b, c, d, e, f, g, h] = lanes;
        let support = ((a + e) + (b + f)) + ((c + g) + (d + h));
        total += like[row] * support * support;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::sketch::groups;

    fn cuts(count: usize, seed: u64, turned: u8) -> Vec<Cut> {
        let (sine, cosine) = turn(turned);
        let each = (0..count as u64).map(|i| {
            let hash =
                |n: u64| (seed * 1009 + i * 17 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
            let words: [u64; 4] =
                std::array::from_fn(|w| hash(w as u64) & hash(w as u64 + 8) & hash(w as u64 + 16));
            let (x, y) = (f32::from(hash(40) as i8 / 2), f32::from(hash(41) as i8 / 2));
            Cut {
                words,
                ones: words.iter().map(|w| w.count_ones()).sum::<u32>() as u8,
                angle: (hash(42) as u8).wrapping_add(turned),
                x: libm::roundf(cosine * x - sine * y) as i8,
                y: libm::roundf(sine * x + cosine * y) as i8,
            }
        });
        each.collect()
    }

    fn alike(a: Vec<Cut>, b: &[Cut]) -> f32 {
        let (probe, groups) = (Probe::new(a), groups(b).collect::<Vec<_>>());
        let mut nearest = [Nearest::default(); ROWS];
        nearest_with(&probe.cuts, &groups, &mut nearest);
        support_with(&probe, &groups, &nearest)
    }

    #[test]
    fn a_turned_print_of_a_finger_is_more_like_it_than_any_of_another() {
        let (finger, other) = (cuts(20, 1, 0), cuts(20, 2, 0));
        for turned in [0, 10, 50, 206, 246] {
            let same = alike(finger.clone(), &cuts(20, 1, turned));
            assert!(same > 1000.0 && same > 50.0 * alike(finger.clone(), &other), "{turned}: {same}");
        }
        assert!(alike(finger.clone(), &cuts(20, 1, 128)) < 500.0, "upside down");
        assert_eq!(alike(finger, &[]), 0.0);
        assert_eq!(alike(Vec::new(), &other), 0.0);
    }
}
