//! A grid of numbers over the skin or the sensor.
//!
//! Invariant: `data.len() == width * height`; sampling outside gives the nearest edge.

use super::random::Stream;

/// The grid.
#[derive(Clone)]
pub(crate) struct Map {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<f32>,
}

impl Map {
    /// All zero.
    pub(crate) fn zero(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![0.0; width * height] }
    }

    /// One value a cell.
    pub(crate) fn from_fn(width: usize, height: usize, mut value: impl FnMut(f32, f32) -> f32) -> Self {
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                data.push(value(x as f32, y as f32));
            }
        }
        Self { width, height, data }
    }

    /// The cell nearest to a point.
    pub(crate) fn nearest(&self, x: f32, y: f32) -> f32 {
        let cell = |v: f32, n: usize| (v + 0.5).clamp(0.0, (n - 1) as f32) as usize;
        self.data[cell(y, self.height) * self.width + cell(x, self.width)]
    }

    /// The value at a point, bilinear.
    pub(crate) fn sample(&self, x: f32, y: f32) -> f32 {
        let x = x.clamp(0.0, (self.width - 1) as f32);
        let y = y.clamp(0.0, (self.height - 1) as f32);
        // Truncation is floor: both are at least zero.
        let (x0, y0) = ((x as usize).min(self.width - 2), (y as usize).min(self.height - 2));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let at = y0 * self.width + x0;
        let top = self.data[at] + (self.data[at + 1] - self.data[at]) * fx;
        let low = at + self.width;
        let bottom = self.data[low] + (self.data[low + 1] - self.data[low]) * fx;
        top + (bottom - top) * fy
    }

    /// A 1-2-1 blur both ways, `times` times.
    pub(crate) fn blurred(mut self, times: usize) -> Self {
        let (w, h) = (self.width, self.height);
        let mut other = vec![0.0; w * h];
        for _ in 0..times {
            for y in 0..h {
                let row = &self.data[y * w..(y + 1) * w];
                let out = &mut other[y * w..(y + 1) * w];
                for x in 0..w {
                    let (left, right) = (row[x.saturating_sub(1)], row[(x + 1).min(w - 1)]);
                    out[x] = 0.25 * left + 0.5 * row[x] + 0.25 * right;
                }
            }
            for y in 0..h {
                let (up, down) = (y.saturating_sub(1) * w, (y + 1).min(h - 1) * w);
                for x in 0..w {
                    self.data[y * w + x] =
                        0.25 * other[up + x] + 0.5 * other[y * w + x] + 0.25 * other[down + x];
                }
            }
        }
        self
    }

    /// Scaled to mean 0 and deviation 1 over the whole grid.
    pub(crate) fn standardised(mut self) -> Self {
        let n = self.data.len() as f32;
        let mut mean = 0.0;
        for v in &self.data {
            mean += v / n;
        }
        let mut variance = 0.0;
        for v in &self.data {
            variance += (v - mean) * (v - mean) / n;
        }
        let scale = 1.0 / variance.sqrt().max(1e-6);
        for v in &mut self.data {
            *v = (*v - mean) * scale;
        }
        self
    }

    /// Grain: noise of about `blur` pixels, mean 0 and deviation 1.
    pub(crate) fn grain(width: usize, height: usize, blur: usize, stream: &mut Stream) -> Self {
        Self::from_fn(width, height, |_, _| stream.unit() - 0.5).blurred(blur).standardised()
    }

    /// Patches: smooth noise whose hills are about `cell` pixels apart, mean about 0, mostly within ±2.
    pub(crate) fn patches(width: usize, height: usize, cell: f32, stream: &mut Stream) -> Self {
        let (cw, ch) = ((width as f32 / cell) as usize + 4, (height as f32 / cell) as usize + 4);
        let lattice = Self::from_fn(cw, ch, |_, _| stream.normal_within(2.5)).blurred(1);
        // The blur of the lattice takes away most of its deviation; this gives it back.
        Self::from_fn(width, height, |x, y| 2.2 * lattice.spline(x / cell + 1.0, y / cell + 1.0))
    }

    /// The value at a point by a uniform quadratic B-spline: smooth, without the creases of bilinear.
    fn spline(&self, x: f32, y: f32) -> f32 {
        let weights = |v: f32| {
            let base = (v + 0.5) as usize;
            let f = v - base as f32;
            (base, [0.5 * (0.5 - f) * (0.5 - f), 0.75 - f * f, 0.5 * (0.5 + f) * (0.5 + f)])
        };
        let ((bx, wx), (by, wy)) = (weights(x), weights(y));
        let mut sum = 0.0;
        for (j, wy) in wy.iter().enumerate() {
            let row = (by + j).saturating_sub(1).min(self.height - 1) * self.width;
            for (i, wx) in wx.iter().enumerate() {
                sum += wx * wy * self.data[row + (bx + i).saturating_sub(1).min(self.width - 1)];
            }
        }
        sum
    }
}

/// 0 up to `low`, 1 from `high`, smooth between.
pub(crate) fn smoothstep(low: f32, high: f32, v: f32) -> f32 {
    let t = ((v - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::random::Purpose;

    #[test]
    fn sampling_meets_the_cells_and_stays_inside() {
        let map = Map::from_fn(4, 3, |x, y| x + 10.0 * y);
        assert_eq!(map.sample(2.0, 1.0), 12.0);
        assert_eq!(map.sample(2.5, 1.5), 17.5);
        assert_eq!(map.sample(-5.0, 99.0), 20.0);
        assert_eq!(map.nearest(2.6, 0.2), 3.0);
    }

    #[test]
    fn grain_and_patches_have_the_spread_they_say() {
        let mut stream = Stream::new(3, Purpose::Skin, 0);
        for map in [Map::grain(200, 200, 2, &mut stream), Map::patches(200, 200, 8.0, &mut stream)] {
            let n = map.data.len() as f32;
            let mean = map.data.iter().sum::<f32>() / n;
            let deviation = (map.data.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n).sqrt();
            assert!(mean.abs() < 0.2, "{mean}");
            assert!((0.5..1.5).contains(&deviation), "{deviation}");
        }
    }
}
