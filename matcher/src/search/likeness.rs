//! The third stage: how alike two sketches are. Each cylinder of the probe looks for the one most like it, and the pairs
//! that agree about turn and place support each other.
//!
//! Invariant: the same answer bit for bit from every kernel: every floating-point sum is of one row, in one order.

use super::sketch::{PLACE_STEP, Sketch, WORDS};
use crate::{
    compare::cylinder::{Turns, turns},
    params::{CYLINDER_TURN, LIKE_REACH, LIKE_STRETCH, LIKE_TURN, SKETCH_CYLINDERS},
};

/// Rows of a probe: all that a sketch can hold, and whole vectors of eight.
pub(crate) const ROWS: usize = SKETCH_CYLINDERS;
const _: () = assert!(ROWS.is_multiple_of(8), "kernels take eight rows at a time");

/// For each cylinder of the probe the one of a sketch that is most like it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Nearest {
    /// What it shares with the probe's: 1 when all, 0 when none is alike.
    pub(crate) like: [f32; ROWS],
    /// Which one.
    pub(crate) at: [u8; ROWS],
}

impl Default for Nearest {
    fn default() -> Self {
        Self::of(&[NONE_ALIKE; ROWS])
    }
}

/// How much two cylinders differ, and which one it is, in one number: the bits that differ as a share of all that are set, as a
/// number of 32 bits of which the last five say which. Shares of so few bits differ by more than these five do, so that the
/// least is the most alike, the first of equals.
const WHICH: u32 = 31;
const _: () = assert!(SKETCH_CYLINDERS <= WHICH as usize + 1, "five bits say which");
/// The first one, of which nothing is alike.
pub(crate) const NONE_ALIKE: u32 = 0x3f80_0000;
/// The bits of a share that are kept.
pub(crate) const SHARE: u32 = !WHICH;

impl Nearest {
    /// Of the least number of each row.
    #[inline(always)]
    pub(crate) fn of(least: &[u32; ROWS]) -> Self {
        let (mut like, mut at) = ([0.0; ROWS], [0; ROWS]);
        for row in 0..ROWS {
            like[row] = 1.0 - f32::from_bits(least[row] & SHARE);
            at[row] = (least[row] & WHICH) as u8;
        }
        Self { like, at }
    }
}

/// A probe made ready, once a search: side by side what kernels look at of eight rows at a time.
#[repr(align(32))]
pub(crate) struct Probe {
    /// The first words of all rows, the second ones, and so on.
    pub(crate) words: [[u64; ROWS]; WORDS],
    /// Bits that are set, of eight rows in the order of [`LANES`] and so on.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for kernels of eight lanes"))]
    pub(crate) ones: [f32; ROWS],
    /// Angles in the highest byte, where differences wrap as angles do; in the same order.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for kernels of eight lanes"))]
    pub(crate) angles: [i32; ROWS],
    /// The arc of angles on which eight rows lie, the first and how far it goes: short where rows are in the order of their angles.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for kernels of eight lanes"))]
    pub(crate) arcs: [(u8, u8); ROWS / LANES.len()],
    /// Numbers of cylinders, to be loaded: that takes nothing of what counts bits.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for kernels of eight lanes"))]
    pub(crate) numbers: [i32; SKETCH_CYLINDERS],
    pub(crate) sketch: Sketch,
    /// Where the rows are, pixels.
    pub(crate) x: [f32; ROWS],
    /// The same.
    pub(crate) y: [f32; ROWS],
    turns: &'static Turns,
}

/// Which of eight rows a lane is of, as kernels put together the counts of twice four.
pub(crate) const LANES: [usize; 8] = [0, 1, 4, 5, 2, 3, 6, 7];

impl Probe {
    pub(crate) fn new(sketch: Sketch) -> Self {
        let place = |at: i8| f32::from(at) * PLACE_STEP;
        let row = |lane: usize| lane / 8 * 8 + LANES[lane % 8];
        let arc = |eight: usize| {
            let first = sketch.angle[eight * LANES.len()];
            let there = (eight * LANES.len()..(eight + 1) * LANES.len()).filter(|row| sketch.ones[*row] > 0);
            (first, there.map(|row| sketch.angle[row].wrapping_sub(first)).max().unwrap_or(0))
        };
        Self {
            ones: std::array::from_fn(|lane| f32::from(sketch.ones[row(lane)])),
            angles: std::array::from_fn(|lane| i32::from(sketch.angle[row(lane)]) << 24),
            arcs: std::array::from_fn(arc),
            numbers: std::array::from_fn(|at| at as i32),
            words: std::array::from_fn(|word| std::array::from_fn(|row| sketch.words[row][word])),
            x: sketch.x.map(place),
            y: sketch.y.map(place),
            turns: turns(),
            sketch,
        }
    }
}

/// Bits that differ between two cylinders.
#[inline(always)]
pub(crate) fn differing(a: &[u64; WORDS], b: &[u64; WORDS]) -> u32 {
    // One after the other by name, as whoever compiles it for more instructions needs it.
    (a[0] ^ b[0]).count_ones()
        + (a[1] ^ b[1]).count_ones()
        + (a[2] ^ b[2]).count_ones()
        + (a[3] ^ b[3]).count_ones()
}

/// For each row the most alike.
#[inline(always)]
pub(crate) fn nearest_with(probe: &Probe, sketch: &Sketch) -> Nearest {
    let probe = &probe.sketch;
    let mut all = [NONE_ALIKE; ROWS];
    for (row, least) in all.iter_mut().enumerate() {
        for at in 0..SKETCH_CYLINDERS {
            let off = probe.angle[row].wrapping_sub(sketch.angle[at]) as i8;
            if off.unsigned_abs() > CYLINDER_TURN {
                continue;
            }
            let differ = differing(&probe.words[row], &sketch.words[at]);
            let ones = u32::from(probe.ones[row]) + u32::from(sketch.ones[at]);
            // Of two that have no bits the share is no number, and above all that are.
            let share = differ as f32 / ones as f32;
            *least = (*least).min(share.to_bits() & SHARE | at as u32);
        }
    }
    Nearest::of(&all)
}

/// The rows of a probe, each with the place of its nearest.
pub(crate) struct Rows<'a> {
    pub(crate) probe: &'a Probe,
    pub(crate) like: [f32; ROWS],
    /// From the one to the other, 1/256 turns.
    pub(crate) turned: [f32; ROWS],
    pub(crate) sine: [f32; ROWS],
    pub(crate) cosine: [f32; ROWS],
    /// Where the nearest is, pixels.
    pub(crate) x: [f32; ROWS],
    /// The same.
    pub(crate) y: [f32; ROWS],
    /// Which it is.
    pub(crate) which: [f32; ROWS],
}

/// How alike, given the nearest of each row: pairs of pairs that agree, each with its likeness. `support` gives of the eight
/// rows from one on the likeness of those that agree with each.
#[inline(always)]
pub(crate) fn support_with(
    probe: &Probe,
    sketch: &Sketch,
    nearest: &Nearest,
    support: impl Fn(&Rows<'_>, usize) -> [f32; 8],
) -> f32 {
    // What the number of a cylinder may say, so that none need be asked whether it is there.
    let [mut angles, mut xs, mut ys] = [[0i8; WHICH as usize + 1]; 3];
    for at in 0..SKETCH_CYLINDERS {
        (angles[at], xs[at], ys[at]) = (sketch.angle[at] as i8, sketch.x[at], sketch.y[at]);
    }
    let none = [0.0; ROWS];
    let mut rows = Rows {
        probe,
        like: nearest.like,
        turned: none,
        sine: none,
        cosine: none,
        x: none,
        y: none,
        which: none,
    };
    for row in 0..ROWS {
        let at = usize::from(nearest.at[row]) & WHICH as usize;
        let turn = (probe.sketch.angle[row] as i8).wrapping_sub(angles[at]);
        rows.turned[row] = f32::from(turn);
        (rows.x[row], rows.y[row]) = (f32::from(xs[at]) * PLACE_STEP, f32::from(ys[at]) * PLACE_STEP);
        rows.which[row] = at as f32;
        (rows.sine[row], rows.cosine[row]) = probe.turns[usize::from(turn as u8)];
    }
    let mut total = 0.0;
    for from in (0..ROWS).step_by(8) {
        for (lane, support) in support(&rows, from).into_iter().enumerate() {
            total += rows.like[from + lane] * (support * support);
        }
    }
    total
}

/// See [`support_with`].
pub(crate) fn eight_with(rows: &Rows<'_>, from: usize) -> [f32; 8] {
    let Rows { probe, like, turned, sine, cosine, x, y, which } = rows;
    std::array::from_fn(|lane| {
        let row = from + lane;
        let mut support = 0.0;
        for other in 0..ROWS {
            let (dx, dy) = (probe.x[other] - probe.x[row], probe.y[other] - probe.y[row]);
            let (ex, ey) = (x[other] - x[row], y[other] - y[row]);
            let off = (cosine[row] * dx + sine[row] * dy - ex).abs()
                + (cosine[row] * dy - sine[row] * dx - ey).abs();
            let agrees = (off <= LIKE_REACH + LIKE_STRETCH * (dx.abs() + dy.abs()))
                && (turned[other] - turned[row]).abs() <= LIKE_TURN
                && which[other] != which[row];
            support += if agrees { like[other] } else { 0.0 };
        }
        support
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compare::cylinder::turn, search::sketch::Cut};

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
        let (probe, sketch) = (Probe::new(Sketch::of(a)), Sketch::of(b.iter().copied()));
        let nearest = nearest_with(&probe, &sketch);
        support_with(&probe, &sketch, &nearest, eight_with)
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
