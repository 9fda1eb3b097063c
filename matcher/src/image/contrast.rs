//! Local contrast: subtracts the local mean and divides by the local deviation, so that pressure,
//! moisture and the sensor's shading leave the picture. The statistics come from the block grid.

use super::{grid::Grid, plane::Plane};
use crate::params::{CONTRAST_CLAMP, CONTRAST_FLOOR, CONTRAST_SIGMA};

/// Zero mean, unit deviation, ridges positive, clamped to `CONTRAST_CLAMP`.
pub(crate) fn equalise(image: &Plane<f32>) -> Plane<f32> {
    let grid = Grid::over(image.width, image.height);
    let mut mean = Plane::filled(grid.width, grid.height, 0.0f32);
    let mut square = mean.clone();
    let (mut sums, mut squares) = (vec![0.0f32; image.width], vec![0.0f32; image.width]);
    for cy in 0..grid.height {
        sums.fill(0.0);
        squares.fill(0.0);
        let rows = grid.rows(cy);
        for y in rows.clone() {
            for ((s1, s2), &v) in sums.iter_mut().zip(&mut squares).zip(image.row(y)) {
                *s1 += v;
                *s2 += v * v;
            }
        }
        for cx in 0..grid.width {
            let columns = grid.columns(cx);
            let n = (rows.len() * columns.len()) as f32;
            mean.set(cx, cy, sums[columns.clone()].iter().sum::<f32>() / n);
            square.set(cx, cy, squares[columns].iter().sum::<f32>() / n);
        }
    }
    let mean = super::grid::smooth_edge(&mean, CONTRAST_SIGMA);
    let square = super::grid::smooth_edge(&square, CONTRAST_SIGMA);
    let mut inverse = square;
    for (q, &m) in inverse.data.iter_mut().zip(&mean.data) {
        *q = 1.0 / (*q - m * m).max(0.0).sqrt().max(CONTRAST_FLOOR);
    }
    let mut out = Plane::filled(image.width, image.height, 0.0f32);
    let mut m = vec![0.0f32; image.width];
    let mut s = vec![0.0f32; image.width];
    for y in 0..image.height {
        grid.interpolate_row(&mean, y, &mut m);
        grid.interpolate_row(&inverse, y, &mut s);
        for (((o, &v), &m), &s) in out.row_mut(y).iter_mut().zip(image.row(y)).zip(&m).zip(&s) {
            *o = ((m - v) * s).clamp(-CONTRAST_CLAMP, CONTRAST_CLAMP);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shading_ramp_leaves_the_picture() {
        let mut image = Plane::filled(160, 160, 0.0f32);
        for y in 0..160 {
            for x in 0..160 {
                let ridge = if (x / 4) % 2 == 0 { -20.0 } else { 20.0 };
                image.set(x, y, 60.0 + y as f32 + ridge);
            }
        }
        let out = equalise(&image);
        let mean = |rows: std::ops::Range<usize>| {
            let n = rows.len() as f32 * 160.0;
            rows.flat_map(|y| out.row(y).to_vec()).sum::<f32>() / n
        };
        assert!((mean(40..48) - mean(112..120)).abs() < 0.1);
    }

    #[test]
    fn a_flat_image_stays_flat() {
        let out = equalise(&Plane::filled(100, 100, 255.0f32));
        assert!(out.data.iter().all(|v| v.abs() < 0.05));
    }
}
