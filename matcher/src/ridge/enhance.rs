//! Contextual enhancement: a Gabor filter of the local orientation and period at every pixel
//! (GBFEN, Cappelli; the filter is longer along the ridge than across).
//!
//! Invariant: positive on ridges, negative on valleys, zero outside the mask; no constant passes.

use std::sync::LazyLock;

use crate::{
    params::{CELL, GABOR_ACROSS, GABOR_ALONG, GABOR_ORIENTATIONS, GABOR_PERIODS, PERIOD_BOUNDS},
    plane::Plane,
    ridge::{orientation::Orientation, period::Periods},
};

/// A square filter.
struct Kernel {
    reach: usize,
    weights: Vec<f32>,
}

/// All filters, by period and orientation: made once, since a thousand exponentials a filter add up.
static BANK: LazyLock<Vec<Kernel>> = LazyLock::new(|| {
    (0..GABOR_PERIODS * GABOR_ORIENTATIONS)
        .map(|n| {
            let angle = (n % GABOR_ORIENTATIONS) as f32 * std::f32::consts::PI / GABOR_ORIENTATIONS as f32;
            kernel(angle, period_of(n / GABOR_ORIENTATIONS))
        })
        .collect()
});

fn period_of(index: usize) -> f32 {
    let (least, most) = PERIOD_BOUNDS;
    least + (most - least) * index as f32 / (GABOR_PERIODS - 1) as f32
}

fn index_of(period: f32) -> usize {
    let (least, most) = PERIOD_BOUNDS;
    let at = (period - least) / (most - least) * (GABOR_PERIODS - 1) as f32;
    (libm::rintf(at).max(0.0) as usize).min(GABOR_PERIODS - 1)
}

fn kernel(angle: f32, period: f32) -> Kernel {
    let (across_sigma, along_sigma) = (GABOR_ACROSS * period, GABOR_ALONG * period);
    let reach = libm::ceilf(2.6 * across_sigma.max(along_sigma)) as usize;
    let side = 2 * reach + 1;
    let (cos, sin) = (libm::cosf(angle), libm::sinf(angle));
    let (mut wave, mut bell) = (Vec::with_capacity(side * side), Vec::with_capacity(side * side));
    for y in 0..side {
        for x in 0..side {
            let (dx, dy) = (x as f32 - reach as f32, y as f32 - reach as f32);
            let (along, across) = (dx * cos + dy * sin, dy * cos - dx * sin);
            let (a, b) = (along / along_sigma, across / across_sigma);
            let weight = libm::expf(-0.5 * (a * a + b * b));
            bell.push(weight);
            wave.push(weight * libm::cosf(across * std::f32::consts::TAU / period));
        }
    }
    // No constant may pass: take out the mean under the same bell.
    let mean = wave.iter().sum::<f32>() / bell.iter().sum::<f32>();
    let mut weights: Vec<f32> = wave.iter().zip(&bell).map(|(w, b)| w - mean * b).collect();
    let norm = libm::sqrtf(weights.iter().map(|w| w * w).sum());
    weights.iter_mut().for_each(|w| *w /= norm);
    Kernel { reach, weights }
}

/// Filters every pixel of the mask.
pub(crate) fn enhanced(
    image: &Plane<f32>,
    mask: &Plane<bool>,
    orientation: &Orientation,
    periods: &Periods,
) -> Plane<f32> {
    let bank = &*BANK;
    let margin = bank.iter().map(|k| k.reach).max().unwrap_or(0) + CELL;
    let padded = padded(image, margin);
    let mut out = Plane::filled(image.width, image.height, 0.0);
    for cy in 0..mask.height {
        for cx in 0..mask.width {
            if !mask.at(cx, cy) {
                continue;
            }
            let turn = orientation.cell_angle(cx, cy) / std::f32::consts::PI * GABOR_ORIENTATIONS as f32;
            let turn = libm::rintf(turn) as usize % GABOR_ORIENTATIONS;
            let kernel = &bank[index_of(periods.cells.at(cx, cy)) * GABOR_ORIENTATIONS + turn];
            let values = filter_cell(&padded, kernel, cx * CELL + margin, cy * CELL + margin);
            for (dy, row) in values.iter().enumerate().take(image.height - cy * CELL) {
                for (dx, value) in row.iter().enumerate().take(image.width - cx * CELL) {
                    out.set(cx * CELL + dx, cy * CELL + dy, *value);
                }
            }
        }
    }
    out
}

/// The responses of one cell's pixels to one filter: four rows of four, so that the compiler keeps
/// the sums in registers.
fn filter_cell(padded: &Plane<f32>, kernel: &Kernel, x: usize, y: usize) -> [[f32; CELL]; CELL] {
    let side = 2 * kernel.reach + 1;
    let mut sums = [[0.0_f32; CELL]; CELL];
    for (ky, weights) in kernel.weights.chunks_exact(side).enumerate() {
        for (dy, sums) in sums.iter_mut().enumerate() {
            let start = (y + dy + ky - kernel.reach) * padded.width + x - kernel.reach;
            let row = &padded.data[start..start + side + CELL - 1];
            for (weight, pixels) in weights.iter().zip(row.windows(CELL)) {
                for (sum, pixel) in sums.iter_mut().zip(pixels) {
                    *sum += weight * pixel;
                }
            }
        }
    }
    sums
}

fn padded(image: &Plane<f32>, margin: usize) -> Plane<f32> {
    let (w, h) = (image.width + 2 * margin, image.height + 2 * margin);
    let mut out = Plane::filled(w, h, 0.0);
    for y in 0..image.height {
        let to = (y + margin) * w + margin;
        out.data[to..to + image.width].copy_from_slice(&image.data[y * image.width..(y + 1) * image.width]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_passes_a_constant_and_all_have_unit_energy() {
        for kernel in BANK.iter() {
            assert!(kernel.weights.iter().sum::<f32>().abs() < 1e-3);
            assert!((kernel.weights.iter().map(|w| w * w).sum::<f32>() - 1.0).abs() < 1e-3);
        }
    }
}
