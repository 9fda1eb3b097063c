//! Minutiae as the formulas want them: pixels, y up, radians counter-clockwise.

use std::f64::consts::{PI, TAU};

use authenteon_matcher::{MinutiaKind, Template};

/// A minutia.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) direction: f64,
    /// The same in 1/256 turns.
    pub(super) angle: u8,
    pub(super) kind: MinutiaKind,
}

impl Point {
    pub(super) fn distance(&self, other: &Self) -> f64 {
        ((self.x - other.x).powi(2) + (self.y - other.y).powi(2)).sqrt()
    }

    /// The angle under which another one is seen.
    pub(super) fn bearing(&self, other: &Self) -> f64 {
        libm::atan2(other.y - self.y, other.x - self.x)
    }
}

/// The minutiae of a template.
pub(super) fn points(template: &Template) -> Vec<Point> {
    let point = |m: &authenteon_matcher::Minutia| Point {
        x: f64::from(m.x) / 10.0,
        // Rows run down, angles counter-clockwise: one of the two must be turned.
        y: -f64::from(m.y) / 10.0,
        direction: f64::from(m.angle) * TAU / 256.0,
        angle: m.angle,
        kind: m.kind,
    };
    template.minutiae().iter().map(point).collect()
}

/// The difference of two angles, -pi to pi.
pub(super) fn turn(a: f64, b: f64) -> f64 {
    let d = a - b;
    d - TAU * libm::floor((d + PI) / TAU)
}

#[cfg(test)]
pub(super) mod tests {
    use authenteon_matcher::Minutia;

    use super::*;

    /// So many minutiae of one finger, by a fixed sequence.
    pub(crate) fn finger(seed: u64, count: usize) -> Vec<Minutia> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let one = |_| Minutia {
            x: 1800 + below(2400) as u16,
            y: 1800 + below(2400) as u16,
            angle: below(256) as u8,
            kind: if below(2) == 0 { MinutiaKind::Ending } else { MinutiaKind::Bifurcation },
            quality: 60,
        };
        (0..count).map(one).collect()
    }

    /// A template of 600 by 600 pixels, turned about its middle by 1/256 turns.
    pub(crate) fn turned(minutiae: &[Minutia], turn: u8) -> Template {
        let angle = f64::from(turn) * TAU / 256.0;
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        let moved = minutiae.iter().map(|m| {
            let (x, y) = (f64::from(m.x) - 3000.0, f64::from(m.y) - 3000.0);
            let (x, y) = (cos * x + sin * y + 3000.0, cos * y - sin * x + 3000.0);
            Minutia { x: (x + 0.5) as u16, y: (y + 0.5) as u16, angle: m.angle.wrapping_add(turn), ..*m }
        });
        Template::from_minutiae(600, 600, moved.collect()).unwrap()
    }

    #[test]
    fn turns_are_between_minus_half_and_half() {
        assert!((turn(3.0, -3.0) - (6.0 - TAU)).abs() < 1e-12);
        assert!((turn(0.5, 0.25) - 0.25).abs() < 1e-12);
        assert!((turn(-3.0, 3.0) - (TAU - 6.0)).abs() < 1e-12);
    }
}
