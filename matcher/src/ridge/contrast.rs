//! Local contrast: zero mean and unit deviation around every pixel, so that pressure and moisture
//! stop mattering.

use crate::{
    params::{CELL, CONTRAST_SIGMA},
    plane::Plane,
};

/// Values past this many deviations are specks.
const CLIP: f32 = 2.0;
/// Deviation in grey levels below which there is nothing to amplify.
const FLOOR: f32 = 8.0;

/// The image with local mean and deviation taken out; ridges positive.
pub(crate) fn normalised(pixels: &Plane<f32>) -> Plane<f32> {
    let sigma = CONTRAST_SIGMA / CELL as f32;
    let mean = pixels.cell_means(CELL).blurred(sigma);
    let square = pixels.map(|v| v * v).cell_means(CELL).blurred(sigma);
    let mut gain = mean.clone();
    for (at, value) in gain.data.iter_mut().enumerate() {
        let variance = (square.data[at] - mean.data[at] * mean.data[at]).max(0.0);
        *value = 1.0 / libm::sqrtf(variance).max(FLOOR);
    }
    let mut out = pixels.clone();
    for y in 0..pixels.height {
        let cy = cell_coordinate(y);
        for x in 0..pixels.width {
            let cx = cell_coordinate(x);
            let value = (mean.sample(cx, cy) - pixels.at(x, y)) * gain.sample(cx, cy);
            out.set(x, y, value.clamp(-CLIP, CLIP));
        }
    }
    out
}

/// A pixel's place on the grid of cells, whose samples lie at cell centres.
pub(crate) fn cell_coordinate(pixel: usize) -> f32 {
    (pixel as f32 + 0.5) / CELL as f32 - 0.5
}
