//! How good the print is: how much of the picture behaves like ridges, and how much of it there is.

use super::{
    grid::{Grid, smooth_edge},
    plane::Plane,
};

/// How much of the contrast in each block the enhanced ridges explain, 0 to 1.
pub(crate) fn clarity(equalised: &Plane<f32>, enhanced: &Plane<f32>, mask: &Plane<bool>) -> Plane<f32> {
    let grid = Grid::over(equalised.width, equalised.height);
    let mut out = Plane::filled(grid.width, grid.height, 0.0f32);
    for cy in 0..grid.height {
        for cx in 0..grid.width {
            if !mask.at(cx, cy) {
                continue;
            }
            let (mut product, mut original, mut filtered) = (0.0f32, 0.0f32, 0.0f32);
            for y in grid.rows(cy) {
                let columns = grid.columns(cx);
                for (&a, &b) in equalised.row(y)[columns.clone()].iter().zip(&enhanced.row(y)[columns]) {
                    product += a * b;
                    original += a * a;
                    filtered += b * b;
                }
            }
            let norm = (original * filtered).sqrt();
            out.set(cx, cy, if norm > 0.0 { (product / norm).max(0.0) } else { 0.0 });
        }
    }
    smooth_edge(&out, 0.7)
}

/// 0 (useless) to 100: clear area, in square millimetres of good ridges, saturating, with a share
/// for the number of good minutiae.
pub(crate) fn grade(clarity: &Plane<f32>, mask: &Plane<bool>, minutiae: usize) -> u8 {
    let clear: f32 = clarity
        .data
        .iter()
        .zip(&mask.data)
        .filter(|(_, m)| **m)
        .map(|(&c, _)| ((c - 0.4) / 0.4).clamp(0.0, 1.0))
        .sum();
    let area = (clear / 900.0).min(1.0);
    let count = (minutiae as f32 / 40.0).min(1.0);
    (100.0 * (0.7 * area + 0.3 * count) + 0.5) as u8
}
