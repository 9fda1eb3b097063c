//! The bank of oriented filters that ridges are grown with.
//!
//! Invariant: every kernel answers nothing to a flat patch, and 1 at the crest of a straight ridge
//! pattern of its own orientation and period. Sums run in a fixed order of one lane a column, so
//! that compilers may use vector registers and yet every platform gets the same bits.

use std::sync::OnceLock;

/// Reach of a kernel in pixels.
pub(crate) const RADIUS: usize = 9;
/// Taps a row, padded to whole vector registers; each is a lane of its own in a sum.
pub(crate) const ROW: usize = 20;
const ROWS: usize = 2 * RADIUS + 1;
/// Orientations over half a turn.
pub(crate) const ORIENTATIONS: usize = 48;
/// Shortest ridge period of the bank, in pixels.
pub(crate) const SHORTEST: f32 = 6.0;
const PERIODS: usize = 15;
/// Step between the periods of the bank, in pixels.
const STEP: f32 = 0.5;

/// One kernel.
type Kernel = [[f32; ROW]; ROWS];

/// The bank.
pub(crate) struct Bank(Vec<Kernel>);

impl Bank {
    /// The bank, made once.
    pub(crate) fn get() -> &'static Self {
        static BANK: OnceLock<Bank> = OnceLock::new();
        BANK.get_or_init(|| {
            let mut kernels = Vec::with_capacity(ORIENTATIONS * PERIODS);
            for p in 0..PERIODS {
                for o in 0..ORIENTATIONS {
                    let angle = o as f32 * core::f32::consts::PI / ORIENTATIONS as f32;
                    kernels.push(kernel(angle, SHORTEST + STEP * p as f32));
                }
            }
            Bank(kernels)
        })
    }

    /// Which kernel serves a ridge of this angle (radians, counter-clockwise) and period.
    pub(crate) fn index(angle: f32, period: f32) -> u16 {
        let turns = angle / core::f32::consts::PI;
        let part = turns - libm::floorf(turns);
        let o = libm::roundf(part * ORIENTATIONS as f32) as usize % ORIENTATIONS;
        let p = libm::roundf(((period - SHORTEST) / STEP).clamp(0.0, (PERIODS - 1) as f32)) as usize;
        (p * ORIENTATIONS + o) as u16
    }

    /// The answer of a kernel where its top left tap lies on `at` in rows of `stride`.
    pub(crate) fn answer(&self, index: u16, data: &[f32], at: usize, stride: usize) -> f32 {
        let mut lanes = [0.0f32; ROW];
        for (row, taps) in self.0[usize::from(index)].iter().enumerate() {
            let start = at + row * stride;
            for ((lane, tap), pixel) in lanes.iter_mut().zip(taps).zip(&data[start..start + ROW]) {
                *lane += tap * pixel;
            }
        }
        lanes.iter().sum()
    }
}

fn kernel(angle: f32, period: f32) -> Kernel {
    let mut taps = [[0.0; ROW]; ROWS];
    let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
    // Wide enough that a ridge feels its neighbours, short enough to follow a curl.
    let sigma = 0.42 * period;
    let wave = core::f32::consts::TAU / period;
    let cells = || (0..ROWS).flat_map(|j| (0..ROWS).map(move |i| (j, i)));
    let place = |j: usize, i: usize| (i as f32 - RADIUS as f32, j as f32 - RADIUS as f32);
    let gauss = |x: f32, y: f32| libm::expf(-(x * x + y * y) / (2.0 * sigma * sigma));
    // Pixel rows run down: across the ridge is (sin, cos).
    let phase = |x: f32, y: f32| libm::cosf((x * sin + y * cos) * wave);
    let (mut sum, mut weight) = (0.0, 0.0);
    for (j, i) in cells() {
        let (x, y) = place(j, i);
        sum += gauss(x, y) * phase(x, y);
        weight += gauss(x, y);
    }
    let flat = sum / weight;
    let mut crest = 0.0;
    for (j, i) in cells() {
        let (x, y) = place(j, i);
        taps[j][i] = gauss(x, y) * (phase(x, y) - flat);
        crest += taps[j][i] * phase(x, y);
    }
    for (j, i) in cells() {
        taps[j][i] /= crest;
    }
    taps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(value: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        (0..ROWS * ROW)
            .map(|k| value((k % ROW) as f32 - RADIUS as f32, (k / ROW) as f32 - RADIUS as f32))
            .collect()
    }

    #[test]
    fn a_kernel_answers_its_own_ridges_and_neither_flat_skin_nor_ridges_across() {
        let bank = Bank::get();
        let index = Bank::index(0.0, 9.0);
        let wave = core::f32::consts::TAU / 9.0;
        let level = bank.answer(index, &patch(|_, y| libm::cosf(y * wave)), 0, ROW);
        let upright = bank.answer(index, &patch(|x, _| libm::cosf(x * wave)), 0, ROW);
        let flat = bank.answer(index, &patch(|_, _| 1.0), 0, ROW);
        assert!((level - 1.0).abs() < 1e-4, "{level}");
        assert!(upright.abs() < 0.1, "{upright}");
        assert!(flat.abs() < 1e-4, "{flat}");
    }

    #[test]
    fn angles_half_a_turn_apart_share_a_kernel() {
        assert_eq!(Bank::index(0.3, 9.0), Bank::index(0.3 - core::f32::consts::PI, 9.0));
        assert_eq!(Bank::index(core::f32::consts::PI - 0.001, 9.0), Bank::index(0.0, 9.0));
    }
}
