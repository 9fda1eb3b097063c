//! How far apart the ridges are: the autocorrelation of the profile across them.

use crate::{
    params::{CELL, PERIOD_ACROSS, PERIOD_ALONG, PERIOD_BOUNDS, PERIOD_CONFIDENCE, PERIOD_STEP},
    plane::Plane,
    ridge::orientation::Orientation,
};

/// Ridge periods in pixels, on cells of [`CELL`], smooth; and their median over the mask.
pub(crate) struct Periods {
    pub(crate) cells: Plane<f32>,
    pub(crate) median: f32,
}

/// Estimates the periods; `None` when no place shows any.
pub(crate) fn periods(image: &Plane<f32>, mask: &Plane<bool>, orientation: &Orientation) -> Option<Periods> {
    let per_cell = PERIOD_STEP / CELL;
    let (w, h) = (mask.width.div_ceil(per_cell), mask.height.div_ceil(per_cell));
    let (mut weighted, mut weights) = (Plane::filled(w, h, 0.0), Plane::filled(w, h, 0.0));
    let mut found = Vec::new();
    for by in 0..h {
        for bx in 0..w {
            let (cx, cy) = (
                (bx * per_cell + per_cell / 2).min(mask.width - 1),
                (by * per_cell + per_cell / 2).min(mask.height - 1),
            );
            if !mask.at(cx, cy) {
                continue;
            }
            let (x, y) = ((cx * CELL) as f32, (cy * CELL) as f32);
            if let Some((period, confidence)) = period_at(image, x, y, orientation.cell_angle(cx, cy)) {
                weighted.set(bx, by, period * confidence);
                weights.set(bx, by, confidence);
                found.push(period);
            }
        }
    }
    if found.is_empty() {
        return None;
    }
    found.sort_by(f32::total_cmp);
    let median = found[found.len() / 2];
    // Far from every estimate the median of the print stands in.
    let (weighted, weights) = (weighted.blurred(1.5), weights.blurred(1.5));
    let mut cells = mask.map(|_| 0.0);
    for cy in 0..mask.height {
        for cx in 0..mask.width {
            let (bx, by) =
                ((cx as f32 + 0.5) / per_cell as f32 - 0.5, (cy as f32 + 0.5) / per_cell as f32 - 0.5);
            let weight = weights.sample(bx, by);
            let period = (weighted.sample(bx, by) + 0.05 * median) / (weight + 0.05);
            cells.set(cx, cy, period);
        }
    }
    Some(Periods { cells, median })
}

/// Period and confidence (0 to 1) around a pixel.
fn period_at(image: &Plane<f32>, x: f32, y: f32, angle: f32) -> Option<(f32, f32)> {
    let (along_x, along_y) = (libm::cosf(angle), libm::sinf(angle));
    let mut profile = [0.0_f32; (2 * PERIOD_ACROSS + 1) as usize];
    for (value, across) in profile.iter_mut().zip(-PERIOD_ACROSS..=PERIOD_ACROSS) {
        let across = across as f32;
        let mut along = -PERIOD_ALONG;
        while along <= PERIOD_ALONG {
            let a = along as f32;
            let px = libm::rintf(x + a * along_x - across * along_y);
            let py = libm::rintf(y + a * along_y + across * along_x);
            *value += image.nearest(px as i32, py as i32);
            along += 2;
        }
    }
    let mean = profile.iter().sum::<f32>() / profile.len() as f32;
    profile.iter_mut().for_each(|v| *v -= mean);
    let correlation = |lag: usize| -> f32 {
        let pairs = profile.len() - lag;
        let sum: f32 = profile[..pairs].iter().zip(&profile[lag..]).map(|(a, b)| a * b).sum();
        sum / pairs as f32
    };
    let power = correlation(0);
    if power < 1e-3 {
        return None;
    }
    let (least, most) = (PERIOD_BOUNDS.0 as usize, PERIOD_BOUNDS.1 as usize);
    let r: Vec<f32> = (0..=most + 1).map(|lag| correlation(lag) / power).collect();
    // The first peak that is nearly as high as the highest: multiples of the period peak too.
    let peaks = (least..=most).filter(|&l| r[l] > PERIOD_CONFIDENCE && r[l] >= r[l - 1] && r[l] > r[l + 1]);
    let peaks: Vec<usize> = peaks.collect();
    let highest = peaks.iter().map(|&l| r[l]).fold(0.0, f32::max);
    let lag = *peaks.iter().find(|&&l| r[l] > 0.7 * highest)?;
    let bend = r[lag - 1] - 2.0 * r[lag] + r[lag + 1];
    let shift = if bend < 0.0 { 0.5 * (r[lag - 1] - r[lag + 1]) / bend } else { 0.0 };
    Some((lag as f32 + shift, r[lag].min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ridge::orientation::orientation;

    #[test]
    fn the_distance_of_stripes_is_measured_to_a_tenth() {
        for period in [6.0_f32, 8.5, 11.0, 14.0] {
            let mut image = Plane::filled(160, 160, 0.0);
            for y in 0..160 {
                for x in 0..160 {
                    let across = x as f32 * 0.6 + y as f32 * 0.8;
                    image.set(x, y, libm::sinf(across * std::f32::consts::TAU / period));
                }
            }
            let mask = Plane::filled(40, 40, true);
            let found = periods(&image, &mask, &orientation(&image, &mask)).unwrap();
            assert!((found.median - period).abs() < 0.15, "{period}: {}", found.median);
            assert!((found.cells.at(20, 20) - period).abs() < 0.2);
        }
    }
}
