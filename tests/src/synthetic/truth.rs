//! The true minutiae of a finger: what the finished ridges, free of noise, show.
//!
//! Where a ridge ends two valleys join, and where a ridge forks a valley ends. So the ends of the
//! ridges' lines are the endings and the ends of the valleys' lines the bifurcations, and each
//! minutia is found once. This looks at the grown pattern itself; the matcher has no part in it.

use authenteon_matcher::MinutiaKind;

use super::{
    map::Map,
    skeleton::{Bits, Stop},
};

/// A true minutia. `x` and `y` are pixels from the top left; `angle` is in radians from 0 to 2 pi,
/// counter-clockwise as seen on the screen, zero to the right, along the ridge away from an ending
/// or into the valley that a bifurcation encloses (ISO/IEC 19794-2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrueMinutia {
    /// Pixels from the left.
    pub x: f32,
    /// Pixels from the top.
    pub y: f32,
    /// Radians.
    pub angle: f32,
    /// Ending or bifurcation.
    pub kind: MinutiaKind,
}

/// Steps along the line over which its direction is taken.
const STEPS: usize = 12;
/// Lines shorter than this between an end and a fork are burrs of thinning, in pixels.
const BURR: usize = 7;
/// Lines shorter than this are islands: real, but no two extractors agree on them.
const ISLAND: usize = 14;
/// Minutiae closer than this, as in the knot of a core, are one, in pixels.
const KNOT: f32 = 6.0;
/// Two ends facing each other across less than this are a break, not two minutiae, in pixels.
const BREAK: f32 = 8.0;
/// Thinning shortens a line by about this, in pixels.
const SHORTENED: f32 = 2.0;
/// From where the valley's line ends to where the ridge's forks, in pixels.
const FORK: f32 = 2.5;

/// The minutiae of a pattern of ridges (positive) and valleys (negative), at least `margin` pixels
/// inside the skin.
pub(crate) fn minutiae(pattern: &Map, skin: &[bool], margin: usize) -> Vec<TrueMinutia> {
    let (width, height) = (pattern.width, pattern.height);
    let inside = eroded(skin, width, height, margin);
    let mut found = Vec::new();
    for kind in [MinutiaKind::Ending, MinutiaKind::Bifurcation] {
        let sign = if kind == MinutiaKind::Ending { 1.0 } else { -1.0 };
        let mut bits = Bits::from_fn(width, height, |at| skin[at] && sign * pattern.data[at] > 0.0);
        bits.thin();
        let ends: Vec<TrueMinutia> =
            bits.ends().into_iter().filter_map(|end| ending(&bits, end, kind)).collect();
        found.extend(unbroken(ends).into_iter().filter(|m| inside[m.y as usize * width + m.x as usize]));
    }
    let mut apart: Vec<TrueMinutia> = Vec::with_capacity(found.len());
    for minutia in found {
        if apart.iter().all(|other| squared(&minutia, other) >= KNOT * KNOT) {
            apart.push(minutia);
        }
    }
    apart
}

/// Squared distance.
fn squared(a: &TrueMinutia, b: &TrueMinutia) -> f32 {
    (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y)
}

/// The minutia at a line's end, unless the line is too short to be one.
fn ending(bits: &Bits, end: usize, kind: MinutiaKind) -> Option<TrueMinutia> {
    let (path, stop) = bits.walk(end, STEPS.max(ISLAND));
    let long = match stop {
        Stop::End => path.len() > ISLAND,
        Stop::Fork => path.len() > BURR,
        Stop::Steps => true,
    };
    if !long {
        return None;
    }
    let point = |at: usize| ((at % bits.width) as f32, (at / bits.width) as f32);
    let (x, y) = point(end);
    let (tx, ty) = point(path[STEPS.min(path.len() - 1)]);
    let length = ((tx - x) * (tx - x) + (ty - y) * (ty - y)).sqrt().max(1.0);
    let (ux, uy) = ((tx - x) / length, (ty - y) / length);
    let back = if kind == MinutiaKind::Ending { SHORTENED } else { SHORTENED + FORK };
    let x = (x - back * ux).clamp(0.0, (bits.width - 1) as f32);
    let y = (y - back * uy).clamp(0.0, (bits.height - 1) as f32);
    // Rows run down, angles counter-clockwise.
    Some(TrueMinutia { x, y, angle: turned(libm::atan2f(-uy, ux)), kind })
}

/// An angle brought to 0..2 pi.
pub(crate) fn turned(angle: f32) -> f32 {
    let turns = angle / core::f32::consts::TAU;
    (turns - libm::floorf(turns)) * core::f32::consts::TAU
}

/// Without the pairs that face each other over a gap.
fn unbroken(ends: Vec<TrueMinutia>) -> Vec<TrueMinutia> {
    let facing = |a: &TrueMinutia, b: &TrueMinutia| {
        squared(a, b) < BREAK * BREAK && libm::cosf(a.angle - b.angle) < -0.5
    };
    (0..ends.len())
        .filter(|&i| !(0..ends.len()).any(|j| i != j && facing(&ends[i], &ends[j])))
        .map(|i| ends[i])
        .collect()
}

/// Pixels at least `margin` away from anything that is not skin, measured along rows and columns.
fn eroded(skin: &[bool], width: usize, height: usize, margin: usize) -> Vec<bool> {
    let near = |at: usize, lines: &[bool], step: usize, place: usize, length: usize| {
        place >= margin
            && place + margin < length
            && (at - margin * step..=at + margin * step).step_by(step).all(|k| lines[k])
    };
    let rows: Vec<bool> = (0..skin.len()).map(|at| near(at, skin, 1, at % width, width)).collect();
    (0..skin.len()).map(|at| near(at, &rows, width, at / width, height)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Level ridges of period 10, of which one ends at x = 60 from the left.
    fn dislocation() -> Map {
        Map::from_fn(120, 100, |x, y| {
            let spin = libm::atan2f(y - 50.0, x - 60.0);
            libm::cosf(y * core::f32::consts::TAU / 10.0 + spin)
        })
    }

    #[test]
    fn one_dislocation_gives_one_minutia_at_its_place() {
        let found = minutiae(&dislocation(), &vec![true; 120 * 100], 12);
        assert_eq!(found.len(), 1, "{found:?}");
        let m = found[0];
        assert!((m.x - 60.0).abs() < 8.0 && (m.y - 50.0).abs() < 8.0, "{m:?}");
        assert!(libm::fabsf(libm::sinf(m.angle)) < 0.3, "{m:?}");
    }

    #[test]
    fn the_negative_of_a_pattern_swaps_the_kinds_and_keeps_the_directions() {
        let mut negative = dislocation();
        for v in &mut negative.data {
            *v = -*v;
        }
        let skin = vec![true; 120 * 100];
        let (a, b) = (minutiae(&dislocation(), &skin, 12), minutiae(&negative, &skin, 12));
        assert_eq!((a.len(), b.len()), (1, 1));
        assert_ne!(a[0].kind, b[0].kind);
        assert!(libm::cosf(a[0].angle - b[0].angle) > 0.95);
    }

    #[test]
    fn straight_ridges_have_no_minutiae() {
        let level = Map::from_fn(120, 100, |_, y| libm::cosf(y * core::f32::consts::TAU / 9.0));
        assert!(minutiae(&level, &vec![true; 120 * 100], 12).is_empty());
    }
}
