//! Any resolution to 500 dpi: triangle filter, as wide as a target pixel when shrinking.

use crate::{image::Image, plane::Plane};

/// Weights of the source pixels that make one target pixel.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// The image at 500 dpi, 0 (dark) to 255.
pub(crate) fn normalise(image: &Image) -> Plane<f32> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let source = Plane { width, height, data: image.pixels().iter().map(|p| f32::from(*p)).collect() };
    if image.dpi().get() == 500 {
        return source;
    }
    let scale = f32::from(image.dpi().get()) / 500.0;
    let narrow = resample_rows(&source, &taps(width, scale));
    transpose(&resample_rows(&transpose(&narrow), &taps(height, scale)))
}

fn taps(size: usize, scale: f32) -> Vec<Taps> {
    let target = ((size as f32 / scale) as usize).max(1);
    let reach = scale.max(1.0);
    (0..target)
        .map(|at| {
            let centre = (at as f32 + 0.5) * scale - 0.5;
            let first = libm::ceilf(centre - reach).max(0.0) as usize;
            let last = (libm::floorf(centre + reach).max(0.0) as usize).min(size - 1);
            let first = first.min(last);
            let mut weights: Vec<f32> =
                (first..=last).map(|x| (1.0 - (x as f32 - centre).abs() / reach).max(0.0)).collect();
            let sum: f32 = weights.iter().sum();
            if sum > 0.0 {
                weights.iter_mut().for_each(|w| *w /= sum);
            } else {
                weights.fill(1.0 / (last - first + 1) as f32);
            }
            Taps { first, weights }
        })
        .collect()
}

fn resample_rows(source: &Plane<f32>, taps: &[Taps]) -> Plane<f32> {
    let mut target = Plane::filled(taps.len(), source.height, 0.0);
    for y in 0..source.height {
        let row = &source.data[y * source.width..(y + 1) * source.width];
        for (x, tap) in taps.iter().enumerate() {
            let pixels = &row[tap.first..tap.first + tap.weights.len()];
            let sum = pixels.iter().zip(&tap.weights).fold(0.0, |sum, (p, w)| sum + p * w);
            target.set(x, y, sum);
        }
    }
    target
}

fn transpose(plane: &Plane<f32>) -> Plane<f32> {
    let mut turned = Plane::filled(plane.height, plane.width, 0.0);
    for y in 0..plane.height {
        for x in 0..plane.width {
            turned.set(y, x, plane.at(x, y));
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Dpi;

    fn stripes(period: f32, side: u32, dpi: u32) -> Image {
        let pixels = (0..side * side)
            .map(|at| {
                let x = (at % side) as f32;
                (127.5 + 127.0 * libm::sinf(x * std::f32::consts::TAU / period)) as u8
            })
            .collect();
        Image::new(side, side, Dpi::new(dpi).unwrap(), pixels).unwrap()
    }

    #[test]
    fn standard_resolution_passes_unchanged() {
        let image = stripes(9.0, 100, 500);
        let plane = normalise(&image);
        assert_eq!((plane.width, plane.height), (100, 100));
        assert!(plane.data.iter().zip(image.pixels()).all(|(a, b)| *a == f32::from(*b)));
    }

    #[test]
    fn a_finer_image_shrinks_to_the_same_stripes() {
        let fine = normalise(&stripes(18.0, 200, 1000));
        let standard = normalise(&stripes(9.0, 100, 500));
        assert_eq!((fine.width, fine.height), (100, 100));
        let error: f32 = (20..80).map(|x| (fine.at(x, 50) - standard.at(x, 50)).abs()).sum::<f32>() / 60.0;
        assert!(error < 30.0, "{error}");
    }
}
