//! The second stage: how alike two prints are when one is laid on the other as the votes say. Each cylinder of the probe looks
//! for the one most like it near where it then lies, which few are, so that a hundredth of the bits are counted that the third
//! stage counts.
//!
//! Invariant: a sum of whole fractions in the order of the rows, so that it is the same by any instructions.

use super::{
    likeness::{ROWS, differing},
    sketch::Sketch,
    votes::Tally,
};
use crate::{
    compare::cylinder::turn,
    params::{ALIGNED_REACH, ALIGNED_TURN, CYLINDER_TURN, SKETCH_CYLINDERS},
};

/// Turns that are told apart, 1/256 turns.
const TURN_STEP: i32 = 2;
/// How many there are: both ends are in.
const TURNS: usize = CYLINDER_TURN as usize + 1;
/// Parts of a likeness of one.
const UNIT: f32 = 256.0;
/// The highest value: every cylinder is the same.
pub(super) const MOST: usize = ROWS * UNIT as usize;

/// The rows of a probe as they lie when it is turned back.
#[derive(Clone, Copy)]
struct Lying {
    angle: [u8; ROWS],
    x: [i16; ROWS],
    y: [i16; ROWS],
}

/// A probe made ready to be laid on impressions.
pub(crate) struct Laid {
    sketch: Sketch,
    lying: Vec<Lying>,
}

impl Laid {
    pub(crate) fn new(sketch: Sketch) -> Self {
        let lying = |step: usize| {
            let by = (step as i32 * TURN_STEP - i32::from(CYLINDER_TURN)) as u8;
            let (sine, cosine) = turn(by);
            let mut lying = Lying { angle: [0; ROWS], x: [0; ROWS], y: [0; ROWS] };
            for row in 0..ROWS {
                let (x, y) = (f32::from(sketch.x[row]), f32::from(sketch.y[row]));
                lying.angle[row] = sketch.angle[row].wrapping_sub(by);
                lying.x[row] = rounded(cosine * x + sine * y) as i16;
                lying.y[row] = rounded(cosine * y - sine * x) as i16;
            }
            lying
        };
        Self { lying: (0..TURNS).map(lying).collect(), sketch }
    }
}

/// To the nearest whole number, without what a function of a library takes.
#[inline(always)]
pub(super) fn rounded(of: f32) -> i32 {
    (of + 0.5_f32.copysign(of)) as i32
}

/// Impressions that are looked at at a time: while the cylinders of some are counted, those of the others come from memory.
pub(crate) const BATCH: usize = 16;

/// For each row which cylinders of a sketch are near it, a bit for each.
pub(crate) type Near = [u32; ROWS];

/// Says of each row which cylinders are near it, given what says it of a row that lies so.
#[inline(always)]
pub(crate) fn lay_with(probe: &Laid, tally: Tally, near: impl Fn(u8, i8, i8) -> u32) -> Near {
    let step = (i32::from(tally.turn) + i32::from(CYLINDER_TURN)) / TURN_STEP;
    let Some(lying) = probe.lying.get(step as usize) else { return [0; ROWS] };
    let (mut x, mut y) = ([0i8; ROWS], [0i8; ROWS]);
    for row in 0..ROWS {
        x[row] = lying.x[row].saturating_sub(tally.x).clamp(-128, 127) as i8;
        y[row] = lying.y[row].saturating_sub(tally.y).clamp(-128, 127) as i8;
    }
    let mut all = [0; ROWS];
    for row in 0..ROWS {
        all[row] = near(lying.angle[row], x[row], y[row]);
    }
    all
}

/// The likeness of the rows, added up, in parts of 256.
#[inline(always)]
pub(crate) fn alike_with(probe: &Laid, sketch: &Sketch, near: &Near) -> u16 {
    let mut total = 0.0;
    for row in 0..ROWS {
        let mut near = near[row];
        let (mut least, mut of) = (1, 1);
        while near != 0 {
            let at = near.trailing_zeros() as usize % SKETCH_CYLINDERS;
            near &= near - 1;
            let differ = differing(&probe.sketch.words[row], &sketch.words[at]);
            let ones = u32::from(probe.sketch.ones[row]) + u32::from(sketch.ones[at]);
            if differ * of < least * ones {
                (least, of) = (differ, ones);
            }
        }
        if least < of {
            total += 1.0 - least as f32 / of as f32;
        }
    }
    (total * UNIT) as u16
}

/// Which cylinders of a sketch are near a row that lies so.
#[inline(always)]
pub(crate) fn near_with(sketch: &Sketch, angle: u8, x: i8, y: i8) -> u32 {
    let mut near = 0;
    for at in 0..SKETCH_CYLINDERS {
        let is_near = ((angle.wrapping_sub(sketch.angle[at]) as i8).unsigned_abs() <= ALIGNED_TURN)
            & (x.abs_diff(sketch.x[at]) <= ALIGNED_REACH)
            & (y.abs_diff(sketch.y[at]) <= ALIGNED_REACH);
        near |= u32::from(is_near) << at;
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::sketch::Cut;

    /// A print of twenty cylinders, turned and then moved.
    fn print(turned: u8, moved: (i8, i8)) -> Sketch {
        let (sine, cosine) = turn(turned);
        Sketch::of((0..20_u64).map(|n| {
            let hash = |of: u64| (n * 64 + of + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            let words: [u64; 4] = std::array::from_fn(|word| hash(word as u64) & hash(word as u64 + 8));
            let (x, y) = (f32::from(hash(20) as i8 / 3), f32::from(hash(21) as i8 / 3));
            Cut {
                words,
                ones: words.iter().map(|word| word.count_ones()).sum::<u32>() as u8,
                angle: (hash(22) as u8).wrapping_add(turned),
                x: libm::roundf(cosine * x - sine * y) as i8 + moved.0,
                y: libm::roundf(sine * x + cosine * y) as i8 + moved.1,
            }
        }))
    }

    fn alike(probe: Sketch, sketch: &Sketch, tally: Tally) -> u16 {
        let laid = Laid::new(probe);
        let near = lay_with(&laid, tally, |angle, x, y| near_with(sketch, angle, x, y));
        alike_with(&laid, sketch, &near)
    }

    #[test]
    fn a_print_that_is_laid_as_it_lies_is_alike_and_otherwise_is_not() {
        let reference = print(0, (0, 0));
        for (turned, moved) in [(0, (0, 0)), (20, (12, -30)), (230, (-25, 8))] {
            // The probe turned back and moved lies on the reference.
            let probe = print(turned, (0, 0));
            let moved_reference = print(0, moved);
            let turn = turned as i8;
            let tally = Tally { votes: 1, turn, x: i16::from(-moved.0), y: i16::from(-moved.1) };
            assert_eq!(alike(probe, &moved_reference, tally), 20 * UNIT as u16, "{turned} {moved:?}");
            for off in [Tally { x: tally.x + 20, ..tally }, Tally { turn: turn.wrapping_add(40), ..tally }] {
                assert!(alike(probe, &moved_reference, off) < 6 * UNIT as u16, "{off:?}");
            }
        }
        assert_eq!(alike(reference, &Sketch::default(), Tally::default()), 0);
        assert_eq!(alike(Sketch::default(), &reference, Tally::default()), 0);
    }
}
