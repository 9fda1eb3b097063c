//! The block grid over an image, on which slowly varying fields live (mean, mask, orientation,
//! period). Every block has `CELL` pixels a side; the last row and column may be smaller.

use super::plane::Plane;
use crate::params::CELL;
use std::ops::Range;

/// Blocks of `CELL` pixels over an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) width: usize,
    pub(crate) height: usize,
    image_width: usize,
    image_height: usize,
}

impl Grid {
    pub(crate) fn over(image_width: usize, image_height: usize) -> Self {
        Self {
            width: image_width.div_ceil(CELL),
            height: image_height.div_ceil(CELL),
            image_width,
            image_height,
        }
    }

    pub(crate) fn columns(&self, cx: usize) -> Range<usize> {
        cx * CELL..((cx + 1) * CELL).min(self.image_width)
    }

    pub(crate) fn rows(&self, cy: usize) -> Range<usize> {
        cy * CELL..((cy + 1) * CELL).min(self.image_height)
    }

    /// The two blocks whose centres enclose a pixel on one axis, and the weight of the second.
    fn between(pixel: f32, blocks: usize) -> (usize, usize, f32) {
        let place = ((pixel - (CELL as f32 - 1.0) / 2.0) / CELL as f32).clamp(0.0, (blocks - 1) as f32);
        let low = place as usize;
        (low, (low + 1).min(blocks - 1), place - low as f32)
    }

    /// One row of pixels, bilinear between block centres.
    pub(crate) fn interpolate_row(&self, field: &Plane<f32>, y: usize, out: &mut [f32]) {
        let (y0, y1, fy) = Self::between(y as f32, self.height);
        let (upper, lower) = (field.row(y0), field.row(y1));
        let blend: Vec<f32> = upper.iter().zip(lower).map(|(&a, &b)| a + (b - a) * fy).collect();
        let mut x = 0;
        for (low, pair) in
            std::iter::once([blend[0], blend[0]]).chain(blend.windows(2).map(|w| [w[0], w[1]])).enumerate()
        {
            // Pixels whose centre lies between the centres of blocks low-1 and low.
            let end = (low * CELL + CELL / 2).min(self.image_width);
            let start = (low * CELL) as f32 - (CELL as f32 + 1.0) / 2.0;
            let slope = (pair[1] - pair[0]) / CELL as f32;
            for o in &mut out[x..end] {
                *o = pair[0] + slope * (x as f32 - start);
                x += 1;
            }
        }
        out[x..].fill(blend[self.width - 1]);
    }

    /// The field at a place in pixels, bilinear between block centres.
    pub(crate) fn interpolate(&self, field: &Plane<f32>, x: f32, y: f32) -> f32 {
        let (x0, x1, fx) = Self::between(x, self.width);
        let (y0, y1, fy) = Self::between(y, self.height);
        let top = field.at(x0, y0) + (field.at(x1, y0) - field.at(x0, y0)) * fx;
        let low = field.at(x0, y1) + (field.at(x1, y1) - field.at(x0, y1)) * fx;
        top + (low - top) * fy
    }
}

/// Weights of a Gaussian from its centre outwards, cut at three sigma, not normalised.
pub(crate) fn gaussian(sigma: f32) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil().max(1.0) as usize;
    (0..=reach).map(|i| libm::expf(-((i * i) as f32) / (2.0 * sigma * sigma).max(1e-6))).collect()
}

/// Gaussian of a field; what lies outside counts as zero, so divide by the smoothed weight.
pub(crate) fn smooth(field: &Plane<f32>, sigma: f32) -> Plane<f32> {
    let kernel = gaussian(sigma);
    transpose(&smooth_rows(&transpose(&smooth_rows(field, &kernel)), &kernel))
}

/// Gaussian of a field that is continued past its border by renormalising.
pub(crate) fn smooth_edge(field: &Plane<f32>, sigma: f32) -> Plane<f32> {
    let weight = smooth(&field.map(|_| 1.0f32), sigma);
    let mut out = smooth(field, sigma);
    for (o, w) in out.data.iter_mut().zip(&weight.data) {
        *o /= w;
    }
    out
}

fn smooth_rows(field: &Plane<f32>, kernel: &[f32]) -> Plane<f32> {
    let mut out = Plane::filled(field.width, field.height, 0.0f32);
    for y in 0..field.height {
        let from = field.row(y);
        let to = out.row_mut(y);
        for (d, &w) in kernel.iter().enumerate().take(field.width) {
            let n = from.len() - d;
            for (t, &v) in to[..n].iter_mut().zip(&from[d..]) {
                *t += w * v;
            }
            if d > 0 {
                for (t, &v) in to[d..].iter_mut().zip(&from[..n]) {
                    *t += w * v;
                }
            }
        }
    }
    out
}

fn transpose(field: &Plane<f32>) -> Plane<f32> {
    let mut out = Plane::filled(field.height, field.width, 0.0f32);
    for y in 0..field.height {
        for (x, &v) in field.row(y).iter().enumerate() {
            out.data[x * field.height + y] = v;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_interpolates_as_its_points_do() {
        for (w, h) in [(388, 374), (300, 300), (71, 66)] {
            let grid = Grid::over(w, h);
            let mut field = Plane::filled(grid.width, grid.height, 0.0f32);
            for (i, v) in field.data.iter_mut().enumerate() {
                *v = ((i * 37) % 101) as f32;
            }
            let mut row = vec![0.0; w];
            for y in [0, 5, h / 2, h - 1] {
                grid.interpolate_row(&field, y, &mut row);
                for (x, &v) in row.iter().enumerate() {
                    let expected = grid.interpolate(&field, x as f32, y as f32);
                    assert!((v - expected).abs() < 1e-3, "{x} {y}: {v} {expected}");
                }
            }
        }
    }

    #[test]
    fn smoothing_keeps_a_constant_at_the_border() {
        let out = smooth_edge(&Plane::filled(9, 5, 3.0f32), 2.0);
        assert!(out.data.iter().all(|v| (v - 3.0).abs() < 1e-5));
    }
}
