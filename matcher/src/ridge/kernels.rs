//! The bank of Gabor kernels: one per orientation and period, in 16-bit integers, so that the
//! enhancement is exact arithmetic whatever the order of summation.

use crate::params::{
    GABOR_ACROSS, GABOR_ALONG, GABOR_ORIENTATIONS, GABOR_PERIOD_MAX, GABOR_PERIOD_MIN, GABOR_PERIODS,
};
use std::sync::OnceLock;

/// Taps in a row of a kernel; a multiple of eight for the vector units.
pub(crate) const TAPS: usize = 32;
/// Largest reach of a kernel from its centre.
pub(crate) const REACH: usize = 15;
/// One unit of the image in the integers that are filtered.
pub(crate) const UNIT: f32 = 256.0;

/// One kernel. Invariant: `rows.len() == 2 * reach + 1`, taps beyond the reach are zero.
pub(crate) struct Kernel {
    pub(crate) reach: usize,
    pub(crate) rows: Vec<[i16; TAPS]>,
    /// Turns the integer sum into the amplitude of a matching wave.
    pub(crate) scale: f32,
}

/// All kernels, orientation by orientation.
pub(crate) struct Bank {
    kernels: Vec<Kernel>,
    /// Logarithm of the shortest period, and steps of the bank to a unit of the logarithm.
    log_min: f32,
    steps: f32,
}

/// The bank, built once.
pub(crate) fn bank() -> &'static Bank {
    static BANK: OnceLock<Bank> = OnceLock::new();
    BANK.get_or_init(|| {
        let mut kernels = Vec::with_capacity(GABOR_ORIENTATIONS * GABOR_PERIODS);
        for o in 0..GABOR_ORIENTATIONS {
            let angle = std::f32::consts::PI * o as f32 / GABOR_ORIENTATIONS as f32;
            for p in 0..GABOR_PERIODS {
                kernels.push(build(angle, period_of(p)));
            }
        }
        Bank { kernels, log_min: libm::logf(GABOR_PERIOD_MIN), steps: 1.0 / log_step() }
    })
}

fn log_step() -> f32 {
    (libm::logf(GABOR_PERIOD_MAX) - libm::logf(GABOR_PERIOD_MIN)) / (GABOR_PERIODS - 1) as f32
}

fn period_of(index: usize) -> f32 {
    libm::expf(libm::logf(GABOR_PERIOD_MIN) + log_step() * index as f32)
}

impl Bank {
    /// The kernel nearest to a ridge angle (radians, modulo pi) and the logarithm of a period.
    pub(crate) fn nearest(&self, angle: f32, log_period: f32) -> usize {
        let turns = angle * (GABOR_ORIENTATIONS as f32 / std::f32::consts::PI) + GABOR_ORIENTATIONS as f32;
        let o = (turns + 0.5) as usize % GABOR_ORIENTATIONS;
        let step = (log_period - self.log_min) * self.steps;
        let p = ((step + 0.5).max(0.0) as usize).min(GABOR_PERIODS - 1);
        o * GABOR_PERIODS + p
    }

    pub(crate) fn kernel(&self, index: usize) -> &Kernel {
        &self.kernels[index]
    }
}

fn build(angle: f32, period: f32) -> Kernel {
    let (s, c) = (libm::sinf(angle), libm::cosf(angle));
    let (along, across) = (GABOR_ALONG * period, GABOR_ACROSS * period);
    let reach = ((2.6 * along.max(across)).ceil() as usize).min(REACH);
    let side = 2 * reach + 1;
    let mut wave = vec![0.0f32; side * side];
    let mut envelope = wave.clone();
    for (i, (w, e)) in wave.iter_mut().zip(&mut envelope).enumerate() {
        let x = (i % side) as f32 - reach as f32;
        let y = (i / side) as f32 - reach as f32;
        let u = x * c + y * s;
        let v = -x * s + y * c;
        *e = libm::expf(-0.5 * (u * u / (along * along) + v * v / (across * across)));
        *w = libm::cosf(std::f32::consts::TAU * v / period);
    }
    let mean = wave.iter().zip(&envelope).map(|(w, e)| w * e).sum::<f32>() / envelope.iter().sum::<f32>();
    let taps: Vec<f32> = wave.iter().zip(&envelope).map(|(w, e)| (w - mean) * e).collect();
    let peak = taps.iter().fold(0.0f32, |m, t| m.max(t.abs()));
    let mut rows = vec![[0i16; TAPS]; side];
    let mut match_sum = 0.0f32;
    for (i, &t) in taps.iter().enumerate() {
        let scaled = t / peak * 1000.0;
        let rounded = (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i16;
        rows[i / side][i % side] = rounded;
        match_sum += f32::from(rounded) * wave[i];
    }
    Kernel { reach, rows, scale: 1.0 / (match_sum * UNIT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_sum_fits_32_bits() {
        let image = (crate::params::CONTRAST_CLAMP * UNIT) as i64;
        for kernel in &bank().kernels {
            let total: i64 = kernel.rows.iter().flatten().map(|&t| i64::from(t).abs()).sum();
            assert!(total * image < i64::from(i32::MAX));
        }
    }

    #[test]
    fn the_nearest_kernel_wraps_at_half_a_turn() {
        let log = libm::logf(9.0);
        assert_eq!(bank().nearest(std::f32::consts::PI - 0.001, log), bank().nearest(0.0, log));
        assert_eq!(bank().nearest(-0.001, log), bank().nearest(0.0, log));
    }
}
