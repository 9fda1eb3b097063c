//! The orientation field: gradient tensors summed over blocks and smoothed as much as the picture
//! needs: little where the ridges are clear, more where they are not.
//!
//! Angles are of the ridge, in radians, screen axes (x right, y down), modulo pi.

use crate::{
    image::{
        grid::{Grid, smooth},
        plane::Plane,
    },
    params::{ORIENTATION_FINE, ORIENTATION_GAIN, ORIENTATION_PROBE},
};

/// Which way the ridges run in each block, as the double-angle unit vector, and how surely.
pub(crate) struct Orientation {
    /// cos 2a.
    pub(crate) cos2: Plane<f32>,
    /// sin 2a.
    pub(crate) sin2: Plane<f32>,
    /// 0 to 1.
    pub(crate) coherence: Plane<f32>,
    grid: Grid,
}

/// Sums of gradient products over each block.
struct Tensors {
    difference: Plane<f32>,
    product: Plane<f32>,
    energy: Plane<f32>,
}

/// Estimates the field of a locally equalised image.
pub(crate) fn estimate(image: &Plane<f32>, mask: &Plane<bool>) -> Orientation {
    let grid = Grid::over(image.width, image.height);
    let raw = tensors(image, mask, &grid);
    let probe = smoothed(&raw, ORIENTATION_PROBE, grid);
    let (mut sum, mut n) = (0.0f32, 0.0f32);
    for (&c, &m) in probe.coherence.data.iter().zip(&mask.data) {
        if m {
            sum += c;
            n += 1.0;
        }
    }
    let mean = if n > 0.0 { sum / n } else { 0.0 };
    smoothed(&raw, (ORIENTATION_GAIN * (1.0 - mean)).max(ORIENTATION_FINE), grid)
}

fn tensors(image: &Plane<f32>, mask: &Plane<bool>, grid: &Grid) -> Tensors {
    let mut out = Tensors {
        difference: Plane::filled(grid.width, grid.height, 0.0f32),
        product: Plane::filled(grid.width, grid.height, 0.0f32),
        energy: Plane::filled(grid.width, grid.height, 0.0f32),
    };
    let w = image.width;
    let mut rows = [vec![0.0f32; w], vec![0.0f32; w], vec![0.0f32; w]];
    for cy in 0..grid.height {
        if !mask.row(cy).iter().any(|&m| m) {
            continue;
        }
        let [difference, product, energy] = &mut rows;
        for row in [&mut *difference, product, energy] {
            row.fill(0.0);
        }
        for y in grid.rows(cy) {
            if y == 0 || y + 1 >= image.height {
                continue;
            }
            let (a, h, b) = (image.row(y - 1), image.row(y), image.row(y + 1));
            for x in 1..w - 1 {
                let gx = (a[x + 1] + 2.0 * h[x + 1] + b[x + 1]) - (a[x - 1] + 2.0 * h[x - 1] + b[x - 1]);
                let gy = (b[x - 1] + 2.0 * b[x] + b[x + 1]) - (a[x - 1] + 2.0 * a[x] + a[x + 1]);
                difference[x] += gx * gx - gy * gy;
                product[x] += 2.0 * gx * gy;
                energy[x] += gx * gx + gy * gy;
            }
        }
        for cx in 0..grid.width {
            if mask.at(cx, cy) {
                let columns = grid.columns(cx);
                out.difference.set(cx, cy, difference[columns.clone()].iter().sum());
                out.product.set(cx, cy, product[columns.clone()].iter().sum());
                out.energy.set(cx, cy, energy[columns].iter().sum());
            }
        }
    }
    out
}

fn smoothed(raw: &Tensors, sigma: f32, grid: Grid) -> Orientation {
    let mut cos2 = smooth(&raw.difference, sigma);
    let mut sin2 = smooth(&raw.product, sigma);
    let mut coherence = smooth(&raw.energy, sigma);
    for ((c, s), e) in cos2.data.iter_mut().zip(&mut sin2.data).zip(&mut coherence.data) {
        let length = (*c * *c + *s * *s).sqrt();
        *e = if *e > 0.0 { length / *e } else { 0.0 };
        // The gradient crosses the ridge: turning by a right angle turns the double angle by two.
        if length > 0.0 {
            (*c, *s) = (-*c / length, -*s / length);
        } else {
            (*c, *s) = (1.0, 0.0);
        }
    }
    Orientation { cos2, sin2, coherence, grid }
}

impl Orientation {
    /// One angle everywhere.
    #[cfg(test)]
    pub(crate) fn constant(width: usize, height: usize, angle: f32) -> Self {
        let grid = Grid::over(width, height);
        let fill = |v: f32| Plane::filled(grid.width, grid.height, v);
        let (s, c) = (libm::sinf(2.0 * angle), libm::cosf(2.0 * angle));
        Self { cos2: fill(c), sin2: fill(s), coherence: fill(1.0), grid }
    }

    /// The double-angle vector at a pixel, not normalised.
    pub(crate) fn vector(&self, x: f32, y: f32) -> (f32, f32) {
        (self.grid.interpolate(&self.cos2, x, y), self.grid.interpolate(&self.sin2, x, y))
    }

    /// The ridge angle at a pixel, 0 to pi.
    pub(crate) fn angle(&self, x: f32, y: f32) -> f32 {
        let (c, s) = self.vector(x, y);
        let a = 0.5 * libm::atan2f(s, c);
        if a < 0.0 { a + std::f32::consts::PI } else { a }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_at_any_angle_give_that_angle() {
        for degrees in [0.0f32, 20.0, 45.0, 90.0, 135.0, 170.0] {
            let a = degrees.to_radians();
            let (s, c) = (libm::sinf(a), libm::cosf(a));
            let mut image = Plane::filled(160, 160, 0.0f32);
            for y in 0..160 {
                for x in 0..160 {
                    let across = -s * x as f32 + c * y as f32;
                    image.set(x, y, libm::sinf(across * std::f32::consts::TAU / 9.0));
                }
            }
            let mask = Plane::filled(20, 20, true);
            let field = estimate(&image, &mask);
            let found = field.angle(80.0, 80.0).to_degrees();
            let off = (found - degrees + 270.0).rem_euclid(180.0) - 90.0;
            assert!(off.abs() < 1.0, "{degrees}: {found}");
            assert!(field.coherence.at(10, 10) > 0.9);
        }
    }
}
