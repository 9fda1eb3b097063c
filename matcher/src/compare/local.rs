//! How alike two cylinders are, and the matrix of all pairs.

use super::cylinder::{Cylinder, LAYERS};
use crate::params::{CYLINDER_COMMON_SHARE, CYLINDER_TURN};

/// A pair of minutiae and how alike their surroundings are, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) a: u16,
    pub(crate) b: u16,
    pub(crate) likeness: f32,
}

/// Cells of a full disc.
const CELLS: u32 = 52;

/// Square roots of 0 to 312.
fn roots() -> &'static [f32; LAYERS * CELLS as usize + 1] {
    static ROOTS: std::sync::OnceLock<[f32; LAYERS * CELLS as usize + 1]> = std::sync::OnceLock::new();
    ROOTS.get_or_init(|| std::array::from_fn(|i| (i as f32).sqrt()))
}

/// All pairs with something in common, in the order of `a`, then `b`.
#[inline(always)]
pub(crate) fn pairs_with(a: &[Cylinder], b: &[Cylinder], out: &mut Vec<Pair>) {
    let roots = roots();
    let least = (CYLINDER_COMMON_SHARE * CELLS as f32) as u32;
    for p in a {
        for q in b {
            let off = p.angle.wrapping_sub(q.angle) as i8;
            if off.unsigned_abs() > CYLINDER_TURN {
                continue;
            }
            let common = p.valid & q.valid;
            if common.count_ones() < least {
                continue;
            }
            let (mut ones_p, mut ones_q, mut differ) = (0u32, 0u32, 0u32);
            for (&x, &y) in p.layers.iter().zip(&q.layers) {
                let (x, y) = (x & common, y & common);
                ones_p += x.count_ones();
                ones_q += y.count_ones();
                differ += (x ^ y).count_ones();
            }
            let norm = roots[ones_p as usize] + roots[ones_q as usize];
            if norm > 0.0 {
                let likeness = 1.0 - roots[differ as usize] / norm;
                if likeness > 0.0 {
                    out.push(Pair { a: p.minutia, b: q.minutia, likeness });
                }
            }
        }
    }
}

/// All pairs, by the best instructions that this processor has.
pub(crate) fn pairs(a: &[Cylinder], b: &[Cylinder], out: &mut Vec<Pair>) {
    crate::simd::pairs(a, b, out);
}
