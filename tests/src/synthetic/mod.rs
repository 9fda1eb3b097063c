//! Synthetic fingerprints whose true minutiae are known, after Cappelli's SFinGe.
//!
//! A [`Finger`] is grown from a seed: a natural class, a zero-pole orientation field, ridges grown by
//! oriented filtering. Each of its impressions lays it on a reader anew: pose, stretched skin, region
//! of contact, moisture, folds, noise. Invariant: the same seed, number and [`Conditions`] give the
//! same pixels and minutiae on every platform ([`VERSION`] changes when they change). What these
//! prints are good for, and what not, stands in `docs/synthetic-prints.md`.

pub(crate) mod class;
mod conditions;
mod distortion;
mod gabor;
mod growth;
mod map;
mod master;
mod orientation;
pub(crate) mod random;
mod render;
mod skeleton;
mod truth;

pub use class::Class;
pub use conditions::Conditions;
pub use truth::TrueMinutia;

use conditions::Press;
use distortion::Distortion;
use master::Master;
use random::{Purpose, Stream};

/// Version of the generator: another version may give other pixels for the same seed.
pub const VERSION: u32 = 1;
/// Resolution of every impression, pixels per inch.
pub const DPI: u16 = 500;

/// Minutiae closer than this to the image's edge do not count, in pixels.
const EDGE: f32 = 10.0;
/// Minutiae further out in the contact than this do not count: the ridges are fading there.
const CLEAR: f32 = 0.90;

/// A finger, from which impressions are taken.
pub struct Finger {
    seed: u64,
    master: Master,
}

/// One impression and what is true of it.
#[derive(Clone)]
pub struct Impression {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pixels per inch.
    pub dpi: u16,
    /// Grey, row by row from the top left, dark ridges on light.
    pub pixels: Vec<u8>,
    /// The true minutiae within the region of contact.
    pub minutiae: Vec<TrueMinutia>,
}

impl Finger {
    /// Grows a finger. Another seed is another finger.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, master: Master::new(seed) }
    }

    /// Its seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Its natural class.
    #[must_use]
    pub fn class(&self) -> Class {
        self.master.class
    }

    /// Presses the finger on the reader. Another number is another press.
    #[must_use]
    pub fn impression(&self, number: u64, conditions: &Conditions) -> Impression {
        let mut stream = Stream::new(self.seed, Purpose::Pose, number);
        let press = Press::draw(&mut stream, conditions, &self.master);
        let way = Distortion::new(&press, &mut stream);
        let pixels = render::render(&self.master, &press, &way, conditions, self.seed, number);
        let minutiae = self.master.minutiae.iter().filter_map(|m| seen(m, &way, conditions)).collect();
        Impression { width: conditions.width, height: conditions.height, dpi: DPI, pixels, minutiae }
    }
}

/// A minutia of the finger as it lies on the reader, if it touches clearly.
fn seen(minutia: &TrueMinutia, way: &Distortion<'_>, conditions: &Conditions) -> Option<TrueMinutia> {
    let place = (minutia.x, minutia.y);
    if way.eccentricity(way.unskin(place)) > CLEAR {
        return None;
    }
    let (x, y) = way.pixel(place);
    let (right, bottom) = (conditions.width as f32 - EDGE, conditions.height as f32 - EDGE);
    if !(x >= EDGE && y >= EDGE && x < right && y < bottom) {
        return None;
    }
    let ahead = (place.0 + 5.0 * libm::cosf(minutia.angle), place.1 - 5.0 * libm::sinf(minutia.angle));
    let (ax, ay) = way.pixel(ahead);
    Some(TrueMinutia { x, y, angle: truth::turned(libm::atan2f(y - ay, ax - x)), kind: minutia.kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impressions_of_a_finger_differ_and_each_comes_out_again_the_same() {
        let (finger, again) = (Finger::new(3), Finger::new(3));
        let conditions = Conditions::default();
        let first = finger.impression(1, &conditions);
        assert_eq!(first.pixels, again.impression(1, &conditions).pixels);
        assert_eq!(first.minutiae, again.impression(1, &conditions).minutiae);
        assert_ne!(first.pixels, finger.impression(2, &conditions).pixels);
        assert_ne!(first.pixels, Finger::new(4).impression(1, &conditions).pixels);
    }

    #[test]
    fn true_minutiae_lie_in_the_image_as_many_as_on_real_fingers() {
        let mut counts = Vec::new();
        for seed in 1..=4 {
            let print = Finger::new(seed).impression(1, &Conditions::good());
            for m in &print.minutiae {
                assert!(m.x >= EDGE && m.x < print.width as f32 - EDGE, "{m:?}");
                assert!(m.y >= EDGE && m.y < print.height as f32 - EDGE, "{m:?}");
                assert!((0.0..=core::f32::consts::TAU).contains(&m.angle), "{m:?}");
            }
            counts.push(print.minutiae.len());
        }
        assert!(counts.iter().all(|n| (15..=75).contains(n)), "{counts:?}");
        let mean = counts.iter().sum::<usize>() as f32 / counts.len() as f32;
        assert!((25.0..=55.0).contains(&mean), "{mean}");
    }

    #[test]
    fn endings_lie_on_ridges_and_bifurcations_too_in_the_impression_itself() {
        // Half a dozen pixels along an ending's angle there is ridge, along a bifurcation's valley.
        let finger = Finger::new(3);
        let conditions = Conditions { noise: 0.0, ..Conditions::good() };
        let print = finger.impression(1, &conditions);
        let (mut right, mut all) = (0, 0);
        for m in &print.minutiae {
            let x = m.x + 6.0 * libm::cosf(m.angle);
            let y = m.y - 6.0 * libm::sinf(m.angle);
            let grey = print.pixels[y as usize * print.width as usize + x as usize];
            let ridge = grey < 128;
            right += usize::from(ridge == (m.kind == authenteon_matcher::MinutiaKind::Ending));
            all += 1;
        }
        assert!(right * 10 >= all * 8, "{right} of {all}");
    }
}
