//! Any resolution to 500 dpi: a separable triangle filter, widened when the image shrinks so that
//! every source pixel counts (area averaging). Plain sums in a fixed order: the same everywhere.

use super::{Image, plane::Plane};

/// The image at 500 dpi, grey 0 to 255.
pub(crate) fn normalise(image: &Image) -> Plane<f32> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let dpi = u32::from(image.dpi().get());
    let source = Plane { width, height, data: image.pixels().iter().map(|&p| f32::from(p)).collect() };
    if dpi == 500 {
        return source;
    }
    let scaled = |side: usize| ((side as u32 * 1000 + dpi) / (2 * dpi)).max(1) as usize;
    let (out_w, out_h) = (scaled(width), scaled(height));
    let columns = taps(width, out_w, dpi);
    let mut narrow = Plane::filled(out_w, height, 0.0f32);
    for y in 0..height {
        let from = source.row(y);
        for (to, tap) in narrow.row_mut(y).iter_mut().zip(&columns) {
            *to = tap.weights.iter().zip(&from[tap.first..]).map(|(w, v)| w * v).sum();
        }
    }
    let mut out = Plane::filled(out_w, out_h, 0.0f32);
    for (y, tap) in taps(height, out_h, dpi).iter().enumerate() {
        let to = out.row_mut(y);
        for (i, &weight) in tap.weights.iter().enumerate() {
            for (t, &v) in to.iter_mut().zip(narrow.row(tap.first + i)) {
                *t += weight * v;
            }
        }
    }
    out
}

/// The source samples that make one output sample, and their weights, which sum to 1.
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

fn taps(source: usize, target: usize, dpi: u32) -> Vec<Tap> {
    let ratio = f64::from(dpi) / 500.0;
    let reach = ratio.max(1.0);
    let last = source as i64 - 1;
    (0..target)
        .map(|i| {
            let centre = (i as f64 + 0.5) * ratio - 0.5;
            let from = ((centre - reach).ceil() as i64).clamp(0, last);
            let to = ((centre + reach).floor() as i64).clamp(from, last);
            let raw: Vec<f64> =
                (from..=to).map(|s| (1.0 - (s as f64 - centre).abs() / reach).max(1e-6)).collect();
            let sum: f64 = raw.iter().sum();
            Tap { first: from as usize, weights: raw.iter().map(|w| (w / sum) as f32).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Dpi;

    fn image(width: u32, height: u32, dpi: u32, f: impl Fn(u32, u32) -> u8) -> Image {
        let pixels =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| f(x, y)).collect();
        Image::new(width, height, Dpi::new(dpi).unwrap(), pixels).unwrap()
    }

    #[test]
    fn an_image_of_1000_dpi_halves_and_keeps_its_mean() {
        let out = normalise(&image(400, 300, 1000, |x, _| if x % 2 == 0 { 0 } else { 200 }));
        assert_eq!((out.width, out.height), (200, 150));
        for x in 1..199 {
            assert!((out.at(x, 75) - 100.0).abs() < 1.0, "column {x}: {}", out.at(x, 75));
        }
    }

    #[test]
    fn a_ramp_stays_a_ramp_at_569_dpi() {
        let out = normalise(&image(296, 400, 569, |_, y| (y / 2) as u8));
        assert_eq!((out.width, out.height), (260, 351));
        for y in 2..out.height - 2 {
            let expected = ((y as f32 + 0.5) * 1.138 - 0.5) / 2.0;
            assert!((out.at(100, y) - expected).abs() < 0.6, "row {y}");
        }
    }

    #[test]
    fn every_resolution_has_taps_inside_the_source() {
        for dpi in [125, 333, 501, 569, 1000, 2000] {
            for tap in taps(80, (80 * 500 / dpi as usize).max(1), dpi) {
                assert!(tap.first + tap.weights.len() <= 80);
                let sum: f32 = tap.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-4);
            }
        }
    }
}
