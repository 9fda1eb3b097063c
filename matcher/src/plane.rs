//! A plane of values: the image, and everything on a grid over it.
//!
//! Invariant: `data.len() == width * height`, row by row from the top left.

/// A rectangle of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plane<T> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<T>,
}

impl<T: Copy> Plane<T> {
    pub(crate) fn filled(width: usize, height: usize, value: T) -> Self {
        Self { width, height, data: vec![value; width * height] }
    }

    /// The value at a place inside the plane.
    pub(crate) fn at(&self, x: usize, y: usize) -> T {
        self.data[y * self.width + x]
    }

    /// The value at the nearest place inside the plane.
    pub(crate) fn nearest(&self, x: i32, y: i32) -> T {
        let clamp = |v: i32, size: usize| v.clamp(0, size as i32 - 1) as usize;
        self.at(clamp(x, self.width), clamp(y, self.height))
    }

    pub(crate) fn set(&mut self, x: usize, y: usize, value: T) {
        self.data[y * self.width + x] = value;
    }

    pub(crate) fn map<U: Copy>(&self, f: impl Fn(T) -> U) -> Plane<U> {
        Plane { width: self.width, height: self.height, data: self.data.iter().map(|v| f(*v)).collect() }
    }
}

impl Plane<f32> {
    /// Gaussian blur with the edge repeated; `sigma` in cells of this plane.
    pub(crate) fn blurred(&self, sigma: f32) -> Self {
        let kernel = gaussian(sigma);
        let reach = kernel.len() - 1;
        let pass = |from: &Self| {
            // Writes transposed, so that two passes blur both ways and end upright.
            let (w, h) = (from.width, from.height);
            let mut to = Self::filled(h, w, 0.0);
            let mut row = vec![0.0_f32; w + 2 * reach];
            for y in 0..h {
                let line = &from.data[y * w..(y + 1) * w];
                row[..reach].fill(line[0]);
                row[reach..reach + w].copy_from_slice(line);
                row[reach + w..].fill(line[w - 1]);
                for x in 0..w {
                    let centre = x + reach;
                    let mut sum = kernel[0] * row[centre];
                    for (offset, weight) in kernel.iter().enumerate().skip(1) {
                        sum += weight * (row[centre - offset] + row[centre + offset]);
                    }
                    to.data[x * h + y] = sum;
                }
            }
            to
        };
        pass(&pass(self))
    }

    /// Bilinear sample; coordinates are cell centres, and the edge is repeated.
    pub(crate) fn sample(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x.clamp(0.0, (self.width - 1) as f32), y.clamp(0.0, (self.height - 1) as f32));
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let top = self.at(x0, y0) * (1.0 - fx) + self.at(x1, y0) * fx;
        let bottom = self.at(x0, y1) * (1.0 - fx) + self.at(x1, y1) * fx;
        top * (1.0 - fy) + bottom * fy
    }

    /// Means of `cell` x `cell` pixels; the last row and column may be of fewer.
    pub(crate) fn cell_means(&self, cell: usize) -> Self {
        let (w, h) = (self.width.div_ceil(cell), self.height.div_ceil(cell));
        let mut means = Self::filled(w, h, 0.0);
        for cy in 0..h {
            let rows = cy * cell..((cy + 1) * cell).min(self.height);
            for cx in 0..w {
                let columns = cx * cell..((cx + 1) * cell).min(self.width);
                let mut sum = 0.0;
                for y in rows.clone() {
                    for x in columns.clone() {
                        sum += self.at(x, y);
                    }
                }
                means.set(cx, cy, sum / (rows.len() * columns.len()) as f32);
            }
        }
        means
    }
}

/// Half of a Gaussian kernel, from the centre to three sigma, its whole summing to one.
fn gaussian(sigma: f32) -> Vec<f32> {
    let reach = libm::ceilf(sigma * 3.0) as usize;
    let mut kernel: Vec<f32> = (0..=reach)
        .map(|i| {
            let d = i as f32 / sigma;
            libm::expf(-0.5 * d * d)
        })
        .collect();
    let sum: f32 = kernel[0] + 2.0 * kernel[1..].iter().sum::<f32>();
    for weight in &mut kernel {
        *weight /= sum;
    }
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_keeps_the_mean_and_is_the_same_both_ways() {
        let mut plane = Plane::filled(21, 21, 0.0_f32);
        plane.set(10, 10, 1.0);
        let blurred = plane.blurred(2.0);
        assert!((blurred.data.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        assert_eq!(blurred.at(7, 10), blurred.at(13, 10));
        assert_eq!(blurred.at(7, 10), blurred.at(10, 7));
    }

    #[test]
    fn a_sample_between_cells_lies_between_their_values() {
        let plane = Plane { width: 2, height: 1, data: vec![1.0, 3.0] };
        assert_eq!(plane.sample(0.25, 0.0), 1.5);
        assert_eq!(plane.sample(-4.0, 9.0), 1.0);
    }
}
