//! Which way the ridges run: averaged squared gradients, smoothed the more the less they agree
//! (GBFOE, Cappelli).
//!
//! The field is kept as double-angle vectors on cells, in image coordinates (y down), along the
//! ridge; the length is the coherence, 0 to 1.

use crate::{
    params::{CELL, COHERENCE_SIGMA, ORIENTATION_SIGMA, ORIENTATION_SIGMA_BOUNDS},
    plane::Plane,
};

/// The orientation field on cells.
pub(crate) struct Orientation {
    pub(crate) cos2: Plane<f32>,
    pub(crate) sin2: Plane<f32>,
}

impl Orientation {
    /// Ridge direction of a cell, in radians within 0 to pi, y down.
    pub(crate) fn cell_angle(&self, cx: usize, cy: usize) -> f32 {
        half_angle(self.cos2.at(cx, cy), self.sin2.at(cx, cy))
    }

    /// How well the ridges around a cell agree, 0 to 1.
    pub(crate) fn coherence(&self, cx: usize, cy: usize) -> f32 {
        let (c, s) = (self.cos2.at(cx, cy), self.sin2.at(cx, cy));
        libm::sqrtf(c * c + s * s)
    }
}

fn half_angle(cos2: f32, sin2: f32) -> f32 {
    let angle = libm::atan2f(sin2, cos2) * 0.5;
    if angle < 0.0 { angle + std::f32::consts::PI } else { angle }
}

/// Estimates the field from the contrast-normalised image.
pub(crate) fn orientation(image: &Plane<f32>, mask: &Plane<bool>) -> Orientation {
    let (difference, cross, energy) = structure(image, mask);
    let judged = COHERENCE_SIGMA / CELL as f32;
    let coherence =
        mean_coherence(&difference.blurred(judged), &cross.blurred(judged), &energy.blurred(judged), mask);
    let (least, most) = ORIENTATION_SIGMA_BOUNDS;
    let sigma = (ORIENTATION_SIGMA * (1.0 - coherence)).clamp(least, most) / CELL as f32;
    let (mut cos2, mut sin2, energy) =
        (difference.blurred(sigma), cross.blurred(sigma), energy.blurred(sigma));
    for at in 0..cos2.data.len() {
        let scale = 1.0 / energy.data[at].max(1e-6);
        // Gradients stand across the ridge: half a turn of the double angle.
        cos2.data[at] *= -scale;
        sin2.data[at] *= -scale;
    }
    Orientation { cos2, sin2 }
}

/// Per cell: gx^2 - gy^2, 2 gx gy and gx^2 + gy^2, zero outside the mask.
fn structure(image: &Plane<f32>, mask: &Plane<bool>) -> (Plane<f32>, Plane<f32>, Plane<f32>) {
    let (w, h) = (image.width, image.height);
    let mut difference = Plane::filled(mask.width, mask.height, 0.0);
    let (mut cross, mut energy) = (difference.clone(), difference.clone());
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            let cell = (y / CELL) * mask.width + x / CELL;
            if !mask.data[cell] {
                continue;
            }
            let v = |dx: usize, dy: usize| image.at(x + dx - 1, y + dy - 1);
            let gx = (v(2, 0) - v(0, 0)) + 2.0 * (v(2, 1) - v(0, 1)) + (v(2, 2) - v(0, 2));
            let gy = (v(0, 2) - v(0, 0)) + 2.0 * (v(1, 2) - v(1, 0)) + (v(2, 2) - v(2, 0));
            difference.data[cell] += gx * gx - gy * gy;
            cross.data[cell] += 2.0 * gx * gy;
            energy.data[cell] += gx * gx + gy * gy;
        }
    }
    (difference, cross, energy)
}

fn mean_coherence(
    difference: &Plane<f32>,
    cross: &Plane<f32>,
    energy: &Plane<f32>,
    mask: &Plane<bool>,
) -> f32 {
    let (mut sum, mut cells) = (0.0, 0.0);
    for at in 0..mask.data.len() {
        if mask.data[at] {
            let (d, c) = (difference.data[at], cross.data[at]);
            sum += libm::sqrtf(d * d + c * c) / energy.data[at].max(1e-6);
            cells += 1.0;
        }
    }
    if cells > 0.0 { sum / cells } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_of_any_slope_are_read_along_the_stripe() {
        for degrees in (0..180).step_by(15) {
            let angle = (degrees as f32).to_radians();
            let (nx, ny) = (-libm::sinf(angle), libm::cosf(angle));
            let mut image = Plane::filled(160, 160, 0.0);
            for y in 0..160 {
                for x in 0..160 {
                    let across = x as f32 * nx + y as f32 * ny;
                    image.set(x, y, libm::sinf(across * std::f32::consts::TAU / 9.0));
                }
            }
            let field = orientation(&image, &Plane::filled(40, 40, true));
            let mut error = (field.cell_angle(20, 20) - angle).abs();
            error = error.min(std::f32::consts::PI - error);
            assert!(error < 0.02, "{degrees} degrees: off by {error}");
            assert!(field.coherence(20, 20) > 0.95);
        }
    }
}
