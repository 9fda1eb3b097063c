//! The natural classes of fingerprints and where their singular points lie.
//!
//! Coordinates are pixels at 500 dpi from the middle of the finger's pad, x to the right, y up.
//! Invariant: every class has as many cores as deltas, so that the ridges far away run level.

use super::random::Stream;

/// Henry classes as NIST names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Ridges rise and fall, nothing turns back.
    Arch,
    /// An arch with an upright in its middle: core above delta.
    TentedArch,
    /// Ridges come from the left and return there.
    LeftLoop,
    /// Ridges come from the right and return there.
    RightLoop,
    /// Closed rings, spirals and double loops.
    Whorl,
}

impl Class {
    /// By the frequencies found in the population (Wilson et al., NIST): 3.7 % arches, 2.9 %
    /// tented arches, 33.8 % left loops, 31.7 % right loops, 27.9 % whorls.
    pub(crate) fn draw(stream: &mut Stream) -> Self {
        match stream.unit() {
            u if u < 0.037 => Self::Arch,
            u if u < 0.066 => Self::TentedArch,
            u if u < 0.404 => Self::LeftLoop,
            u if u < 0.721 => Self::RightLoop,
            _ => Self::Whorl,
        }
    }
}

/// A core (the field turns by half a turn around it) or a delta (by minus half a turn).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Singularity {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) core: bool,
}

/// The singular points of one finger of this class.
pub(crate) fn singularities(class: Class, stream: &mut Stream) -> Vec<Singularity> {
    let core = |x, y| Singularity { x, y, core: true };
    let delta = |x, y| Singularity { x, y, core: false };
    let (x, y) = (8.0 * stream.normal_within(2.5), 20.0 + 14.0 * stream.normal_within(2.5));
    match class {
        Class::Arch => Vec::new(),
        Class::TentedArch => {
            let lean = 8.0 * stream.normal_within(2.0);
            let height = stream.range(45.0, 110.0);
            vec![core(x, y), delta(x + lean, y - height)]
        }
        Class::LeftLoop | Class::RightLoop => {
            let side = if class == Class::LeftLoop { 1.0 } else { -1.0 };
            let across = stream.range(65.0, 135.0);
            let down = stream.range(70.0, 150.0);
            vec![core(x, y), delta(x + side * across, y - down)]
        }
        Class::Whorl => {
            // From a tight spiral to a double loop whose cores lie apart sideways.
            let apart = stream.range(8.0, 55.0);
            let tilt = 0.55 * stream.normal_within(2.2);
            let (sin, cos) = (libm::sinf(tilt), libm::cosf(tilt));
            let (left, right) = (stream.range(85.0, 140.0), stream.range(85.0, 140.0));
            let (down_left, down_right) = (stream.range(80.0, 150.0), stream.range(80.0, 150.0));
            vec![
                core(x + 0.5 * apart * sin, y + 0.5 * apart * cos),
                core(x - 0.5 * apart * sin, y - 0.5 * apart * cos),
                delta(x - left, y - down_left),
                delta(x + right, y - down_right),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::random::Purpose;

    #[test]
    fn classes_come_with_natural_frequencies() {
        let mut stream = Stream::new(1, Purpose::Class, 0);
        let draws: Vec<Class> = (0..5000).map(|_| Class::draw(&mut stream)).collect();
        let share = |class| draws.iter().filter(|&&c| c == class).count() as f32 / 5000.0;
        for (class, expected) in [
            (Class::Arch, 0.037),
            (Class::TentedArch, 0.029),
            (Class::LeftLoop, 0.338),
            (Class::RightLoop, 0.317),
            (Class::Whorl, 0.279),
        ] {
            assert!((share(class) - expected).abs() < 0.02, "{class:?} {}", share(class));
        }
    }

    #[test]
    fn every_class_has_as_many_cores_as_deltas() {
        let mut stream = Stream::new(2, Purpose::Class, 0);
        for class in [Class::Arch, Class::TentedArch, Class::LeftLoop, Class::RightLoop, Class::Whorl] {
            let points = singularities(class, &mut stream);
            assert_eq!(points.iter().filter(|p| p.core).count() * 2, points.len(), "{class:?}");
        }
    }
}
