//! How far apart the ridges are: at points of a coarse grid the picture is averaged along the
//! ridges, and the strongest frequency across them is found by a short Fourier sum.

use super::orientation::Orientation;
use crate::{
    image::{
        grid::{Grid, smooth},
        plane::Plane,
    },
    params::{PERIOD_MAX, PERIOD_MIN, PERIOD_REACH, PERIOD_SIGMA, PERIOD_STEPS, PERIOD_STRIDE, PERIOD_WIDTH},
};
use std::sync::OnceLock;

/// The ridge period of each block in pixels, and the median over the finger.
pub(crate) struct Period {
    /// Logarithm of the period: smooth, and interpolates well.
    pub(crate) log: Plane<f32>,
    /// Median of the clear blocks, in pixels.
    pub(crate) median: f32,
}

/// Samples of a signature.
const SAMPLES: usize = 2 * PERIOD_REACH + 1;

/// Windowed cosines and sines of every trial period.
struct Waves {
    log: Vec<f32>,
    /// By sample, then by trial period.
    cos: Vec<[f32; PERIOD_STEPS]>,
    sin: Vec<[f32; PERIOD_STEPS]>,
    window: [f32; SAMPLES],
}

fn waves() -> &'static Waves {
    static WAVES: OnceLock<Waves> = OnceLock::new();
    WAVES.get_or_init(|| {
        let mut window = [0.0; SAMPLES];
        for (i, w) in window.iter_mut().enumerate() {
            let x = i as f32 - PERIOD_REACH as f32;
            *w = 0.5 + 0.5 * libm::cosf(std::f32::consts::PI * x / (PERIOD_REACH as f32 + 1.0));
        }
        let none = vec![[0.0; PERIOD_STEPS]; SAMPLES];
        let mut waves = Waves { log: Vec::new(), cos: none.clone(), sin: none, window };
        for step in 0..PERIOD_STEPS {
            let share = step as f32 / (PERIOD_STEPS - 1) as f32;
            let log = libm::logf(PERIOD_MIN) + share * (libm::logf(PERIOD_MAX) - libm::logf(PERIOD_MIN));
            let omega = std::f32::consts::TAU / libm::expf(log);
            for (i, &w) in window.iter().enumerate() {
                let x = i as f32 - PERIOD_REACH as f32;
                waves.cos[i][step] = w * libm::cosf(omega * x);
                waves.sin[i][step] = w * libm::sinf(omega * x);
            }
            waves.log.push(log);
        }
        waves
    })
}

/// Estimates the period field of a locally equalised image.
pub(crate) fn estimate(image: &Plane<f32>, mask: &Plane<bool>, orientation: &Orientation) -> Period {
    let grid = Grid::over(image.width, image.height);
    let mut weight = Plane::filled(grid.width, grid.height, 0.0f32);
    let mut sum = weight.clone();
    let mut found = Vec::new();
    for cy in (PERIOD_STRIDE / 2..grid.height).step_by(PERIOD_STRIDE) {
        for cx in (PERIOD_STRIDE / 2..grid.width).step_by(PERIOD_STRIDE) {
            if !mask.at(cx, cy) {
                continue;
            }
            let x = (grid.columns(cx).start + grid.columns(cx).end) as f32 / 2.0;
            let y = (grid.rows(cy).start + grid.rows(cy).end) as f32 / 2.0;
            let angle = 0.5 * libm::atan2f(orientation.sin2.at(cx, cy), orientation.cos2.at(cx, cy));
            let signature = signature(image, x, y, angle);
            if let Some((log, confidence)) = strongest(&signature) {
                let w = confidence * orientation.coherence.at(cx, cy);
                weight.set(cx, cy, w);
                sum.set(cx, cy, w * log);
                found.push((log, w));
            }
        }
    }
    let median = weighted_median(&mut found);
    // A weak pull to the median fills what has no measurement of its own.
    let mut sum = smooth(&sum, PERIOD_SIGMA);
    let weight = smooth(&weight, PERIOD_SIGMA);
    for (s, &w) in sum.data.iter_mut().zip(&weight.data) {
        *s = (*s + 0.1 * median) / (w + 0.1);
    }
    Period { log: sum, median: libm::expf(median) }
}

/// The picture across the ridges, averaged along them.
fn signature(image: &Plane<f32>, x: f32, y: f32, angle: f32) -> [f32; SAMPLES] {
    let (s, c) = (libm::sinf(angle), libm::cosf(angle));
    let mut out = [0.0f32; SAMPLES];
    let (max_x, max_y) = ((image.width - 2) as f32, (image.height - 2) as f32);
    for (i, o) in out.iter_mut().enumerate() {
        let across = i as f32 - PERIOD_REACH as f32;
        let mut n = 0.0f32;
        for along in (-PERIOD_WIDTH..=PERIOD_WIDTH).step_by(2) {
            let along = along as f32;
            let px = x + along * c - across * s;
            let py = y + along * s + across * c;
            if px < 0.0 || py < 0.0 || px > max_x || py > max_y {
                continue;
            }
            let (ix, iy) = (px as usize, py as usize);
            let (fx, fy) = (px - ix as f32, py - iy as f32);
            let upper = &image.row(iy)[ix..ix + 2];
            let lower = &image.row(iy + 1)[ix..ix + 2];
            let top = upper[0] + (upper[1] - upper[0]) * fx;
            let low = lower[0] + (lower[1] - lower[0]) * fx;
            *o += top + (low - top) * fy;
            n += 1.0;
        }
        if n > 0.0 {
            *o /= n;
        }
    }
    out
}

/// The logarithm of the strongest period, and how much of the signature it explains (0 to 1).
fn strongest(signature: &[f32; SAMPLES]) -> Option<(f32, f32)> {
    let waves = waves();
    let weight: f32 = waves.window.iter().sum();
    let mean = signature.iter().zip(&waves.window).map(|(v, w)| v * w).sum::<f32>() / weight;
    let mut centred = *signature;
    for v in &mut centred {
        *v -= mean;
    }
    let energy: f32 = centred.iter().zip(&waves.window).map(|(v, w)| v * v * w).sum();
    if energy <= 1e-3 {
        return None;
    }
    let (mut real, mut imaginary) = ([0.0f32; PERIOD_STEPS], [0.0f32; PERIOD_STEPS]);
    for ((&v, cos), sin) in centred.iter().zip(&waves.cos).zip(&waves.sin) {
        for ((r, i), (c, s)) in real.iter_mut().zip(&mut imaginary).zip(cos.iter().zip(sin)) {
            *r += v * c;
            *i += v * s;
        }
    }
    let power: [f32; PERIOD_STEPS] =
        std::array::from_fn(|p| (real[p] * real[p] + imaginary[p] * imaginary[p]) * 2.0 / (energy * weight));
    let best = (1..power.len() - 1)
        .filter(|&i| power[i] >= power[i - 1] && power[i] > power[i + 1])
        .max_by(|&a, &b| power[a].total_cmp(&power[b]))?;
    let (a, b, c) = (power[best - 1], power[best], power[best + 1]);
    let bend = a - 2.0 * b + c;
    let shift = if bend < 0.0 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    let step = waves.log[1] - waves.log[0];
    Some((waves.log[best] + shift * step, b.min(1.0)))
}

fn weighted_median(found: &mut [(f32, f32)]) -> f32 {
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let half: f32 = found.iter().map(|f| f.1).sum::<f32>() / 2.0;
    let mut sum = 0.0f32;
    for &(log, w) in found.iter() {
        sum += w;
        if sum >= half {
            return log;
        }
    }
    libm::logf(9.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ridge::orientation;

    #[test]
    fn stripes_of_any_period_are_measured_within_three_hundredths() {
        for period in [6.0f32, 7.5, 9.0, 11.3, 14.0] {
            let mut image = Plane::filled(200, 200, 0.0f32);
            for y in 0..200 {
                for x in 0..200 {
                    let across = 0.6 * x as f32 + 0.8 * y as f32;
                    image.set(x, y, libm::sinf(across * std::f32::consts::TAU / period));
                }
            }
            let mask = Plane::filled(25, 25, true);
            let field = estimate(&image, &mask, &orientation::estimate(&image, &mask));
            assert!((field.median / period - 1.0).abs() < 0.03, "{period}: {}", field.median);
        }
    }
}
