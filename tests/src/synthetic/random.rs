//! Where the generator's chance comes from: one ChaCha8 stream per (finger, purpose, number).
//!
//! Invariant: a stream depends on nothing but its three names, so that a change in how one purpose
//! uses its numbers leaves all others as they were, and every platform draws the same.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// What a stream is for. The discriminants are part of the fixtures: never renumber.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Class = 1,
    Orientation = 2,
    Period = 3,
    Growth = 4,
    Skin = 5,
    Pose = 16,
    Surface = 17,
    Sensor = 18,
    /// Of templates made without an image.
    Template = 32,
    /// Of an impression of such a one.
    TemplatePress = 33,
}

/// A stream of numbers.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of this finger for this purpose.
    pub(crate) fn new(finger: u64, purpose: Purpose, number: u64) -> Self {
        let mut seed = *b"authenteon synthetic print      ";
        for (at, value) in [(8, finger), (16, purpose as u64), (24, number)] {
            for (byte, add) in seed[at..at + 8].iter_mut().zip(value.to_le_bytes()) {
                *byte ^= add;
            }
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Uniform in 0..1.
    pub(crate) fn unit(&mut self) -> f32 {
        // 24 bits: exact in f32.
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in `low..high`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        ((self.unit() * below as f32) as usize).min(below.saturating_sub(1))
    }

    /// Close to normal with mean 0 and deviation 1, within ±6: the sum of twelve uniforms, so that
    /// no transcendental function is needed.
    pub(crate) fn normal(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..12 {
            sum += self.unit();
        }
        sum - 6.0
    }

    /// Nearly normal with mean 0 and deviation 1, within ±3.5, from four uniforms: for those who draw millions.
    pub(crate) fn bell(&mut self) -> f32 {
        let (a, b) = (self.0.next_u32(), self.0.next_u32());
        let sum = (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16);
        // Twice the middle, and the root of three over 65536.
        (sum as f32 - 131_070.0) * 2.642_9e-5
    }

    /// Normal, cut at `limit` deviations.
    pub(crate) fn normal_within(&mut self, limit: f32) -> f32 {
        self.normal().clamp(-limit, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_names_differ_and_repeat_themselves() {
        let draw = |finger, purpose, number| {
            let mut stream = Stream::new(finger, purpose, number);
            (0..4).map(|_| stream.unit()).collect::<Vec<_>>()
        };
        let first = draw(1, Purpose::Pose, 1);
        assert_eq!(first, draw(1, Purpose::Pose, 1));
        for other in [draw(2, Purpose::Pose, 1), draw(1, Purpose::Skin, 1), draw(1, Purpose::Pose, 2)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut stream = Stream::new(7, Purpose::Skin, 0);
        let draws: Vec<f32> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f32>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
        let draws: Vec<f32> = (0..20_000).map(|_| stream.bell()).collect();
        let mean = draws.iter().sum::<f32>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
