//! Quality of an impression, 0 to 100: how much of a finger there is, how well its ridges agree, and
//! how many minutiae can be trusted.
//!
//! The geometric mean of the three, so that none makes up for another's absence.

use crate::{minutiae::Minutia, plane::Plane, ridge::orientation::Orientation};

/// Area in pixels at 500 dpi from which more helps no further: a circle 12 mm across.
const FULL_AREA: f32 = 45_000.0;
/// Coherence of noise, and of clear ridges.
const COHERENCE: (f32, f32) = (0.25, 0.75);
/// Trusted minutiae from which more help no further.
const FULL_MINUTIAE: f32 = 30.0;

/// The quality of an impression.
pub(crate) fn quality(mask: &Plane<bool>, area: f32, orientation: &Orientation, minutiae: &[Minutia]) -> u8 {
    let (mut sum, mut cells) = (0.0, 0.0);
    for cy in 0..mask.height {
        for cx in 0..mask.width {
            if mask.at(cx, cy) {
                sum += orientation.coherence(cx, cy);
                cells += 1.0;
            }
        }
    }
    let coherence = if cells > 0.0 { sum / cells } else { 0.0 };
    let clear = ((coherence - COHERENCE.0) / (COHERENCE.1 - COHERENCE.0)).clamp(0.0, 1.0);
    let trusted: f32 = minutiae.iter().map(|m| f32::from(m.quality) / 100.0).sum();
    let product = (area / FULL_AREA).min(1.0) * clear * (trusted / FULL_MINUTIAE).min(1.0);
    libm::rintf(100.0 * libm::cbrtf(product)) as u8
}
