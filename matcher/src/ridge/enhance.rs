//! Contextual enhancement: every 4x4 patch of pixels is filtered by the Gabor kernel of its own
//! orientation and period.

use super::{
    kernels::{Kernel, REACH, TAPS, UNIT, bank},
    orientation::Orientation,
    period::Period,
};
use crate::image::{grid::Grid, plane::Plane};
use crate::params::CELL;

/// Side of the patch of pixels that share a kernel.
pub(crate) const PATCH: usize = 4;

/// The filtered picture: about -1.4 (valley) to 1.4 (ridge) where it matches; 0 outside the mask.
pub(crate) fn enhance(
    image: &Plane<f32>,
    mask: &Plane<bool>,
    orientation: &Orientation,
    period: &Period,
) -> Plane<f32> {
    crate::simd::enhance(image, mask, orientation, period)
}

/// See [`enhance`]. `four` gives the sums of four neighbouring pixels, see [`four_sums`].
#[inline(always)]
pub(crate) fn enhance_with(
    image: &Plane<f32>,
    mask: &Plane<bool>,
    orientation: &Orientation,
    period: &Period,
    four: impl Fn(&Plane<i16>, &Kernel, usize, usize) -> [i32; PATCH],
) -> Plane<f32> {
    let grid = Grid::over(image.width, image.height);
    let padded = pad(image);
    let bank = bank();
    let mut out = Plane::filled(image.width, image.height, 0.0f32);
    for y0 in (0..image.height).step_by(PATCH) {
        for x0 in (0..image.width).step_by(PATCH) {
            if !mask.at(x0 / CELL, y0 / CELL) {
                continue;
            }
            let centre = (PATCH as f32 - 1.0) / 2.0;
            let (cx, cy) = (x0 as f32 + centre, y0 as f32 + centre);
            let log = grid.interpolate(&period.log, cx, cy);
            let kernel = bank.kernel(bank.nearest(orientation.angle(cx, cy), log));
            let right = (x0 + PATCH).min(image.width);
            for y in y0..(y0 + PATCH).min(image.height) {
                let sums = four(&padded, kernel, x0 + REACH - kernel.reach, y + REACH - kernel.reach);
                for (o, sum) in out.row_mut(y)[x0..right].iter_mut().zip(sums) {
                    *o = sum as f32 * kernel.scale;
                }
            }
        }
    }
    out
}

/// The image in integers with a border of zeros (the local mean) wide enough for every kernel.
fn pad(image: &Plane<f32>) -> Plane<i16> {
    let mut out = Plane::filled(image.width + 2 * REACH + TAPS + PATCH, image.height + 2 * REACH, 0i16);
    for y in 0..image.height {
        let to = &mut out.row_mut(y + REACH)[REACH..];
        for (t, &v) in to.iter_mut().zip(image.row(y)) {
            *t = (v * UNIT) as i16;
        }
    }
    out
}

/// Sums of image times kernel with the kernel's corner at (left, top) and at the three pixels to
/// the right of it. The portable twin of the kernels in `simd`.
#[inline(always)]
pub(crate) fn four_sums(padded: &Plane<i16>, kernel: &Kernel, left: usize, top: usize) -> [i32; PATCH] {
    let mut sums = [0i32; PATCH];
    let side = (2 * kernel.reach + 1).next_multiple_of(8);
    for (i, taps) in kernel.rows.iter().enumerate() {
        let row = &padded.row(top + i)[left..left + side + PATCH];
        for (shift, sum) in sums.iter_mut().enumerate() {
            let under = &row[shift..shift + side];
            *sum += taps[..side].iter().zip(under).map(|(&t, &v)| i32::from(t) * i32::from(v)).sum::<i32>();
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ridge::{orientation, period};

    #[test]
    fn a_clean_wave_passes_unchanged_and_a_break_in_it_is_mended() {
        let mut image = Plane::filled(160, 160, 0.0f32);
        let wave = |x: usize, y: usize| libm::sinf((0.28 * x as f32 + 0.64 * y as f32) * 1.0);
        for y in 0..160 {
            for x in 0..160 {
                let broken = (78..82).contains(&x) && (78..82).contains(&y);
                image.set(x, y, if broken { 0.0 } else { wave(x, y) });
            }
        }
        let mask = Plane::filled(20, 20, true);
        let field = orientation::estimate(&image, &mask);
        let out = enhance(&image, &mask, &field, &period::estimate(&image, &mask, &field));
        for (x, y) in [(60, 60), (100, 90), (80, 80)] {
            assert!((out.at(x, y) - wave(x, y)).abs() < 0.25, "{x} {y} {} {}", out.at(x, y), wave(x, y));
        }
    }
}
