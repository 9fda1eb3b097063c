//! Minutia cylinders in bits and the local similarity sort over all of them, after Cappelli, Ferrara and Maltoni,
//! "Minutia Cylinder-Code", PAMI 32(12), 2010: plain scalar code without tables.
//!
//! Invariant: bits of cells that are not valid are zero.

use std::f64::consts::{PI, SQRT_2, TAU};

use authenteon_matcher::Template;

use super::{
    Peer,
    points::{Point, points, turn},
};

/// Cells on a side (Ns) and layers of direction (Nd).
const SIDE: usize = 8;
const LAYERS: usize = 6;
/// Radius, pixels.
const RADIUS: f64 = 70.0;
/// Spread over the cells, pixels.
const SIGMA_SPACE: f64 = 28.0 / 3.0;
/// Spread over the layers, radians.
const SIGMA_ANGLE: f64 = TAU / 9.0;
/// How far outside the hull of the minutiae a cell is valid (Omega), pixels.
const MARGIN: f64 = 50.0;
/// From which density on a bit is set, with eight cells on a side.
const SET_FROM: f64 = 0.005;
/// Cells whose middle is within the radius.
const CELLS: u32 = 52;
/// Least valid cells (minVC, 75 %), least neighbours (minM), least common cells (minME, 60 %).
const LEAST_VALID: u32 = (CELLS * 3).div_ceil(4);
const LEAST_NEIGHBOURS: usize = 2;
const LEAST_COMMON: u32 = (CELLS * 3).div_ceil(5);

/// One minutia's surroundings: a word of 8 by 8 cells for each layer.
struct Cylinder {
    layers: [u64; LAYERS],
    valid: u64,
    /// Of its minutia, 1/256 turns.
    angle: u8,
}

/// All cylinders of an impression.
pub(crate) struct Cylinders(Vec<Cylinder>);

impl Cylinders {
    /// How many minutiae have one.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Bits set, on the average over the cylinders; none when there are none.
    #[must_use]
    pub(crate) fn bits(&self) -> Option<f64> {
        let ones = |c: &Cylinder| c.layers.iter().map(|l| l.count_ones()).sum::<u32>();
        let all: u32 = self.0.iter().map(ones).sum();
        (!self.0.is_empty()).then(|| f64::from(all) / self.0.len() as f64)
    }
}

impl Peer for Cylinders {
    const NAME: &'static str = "lss";
    const WHAT: &'static str = "scalar LSS over bit cylinders (MCC 2010), every impression";
    type Probe = Self;

    fn enrol(template: &Template) -> Self {
        let all = points(template);
        let hull = hull(&all);
        Self((0..all.len()).filter_map(|at| cylinder(&all, at, &hull)).collect())
    }

    fn probe(template: &Template) -> Self {
        Self::enrol(template)
    }

    fn score(&self, probe: &Self) -> f64 {
        let mut all: Vec<f64> = Vec::with_capacity(self.0.len() * probe.0.len());
        for a in &probe.0 {
            all.extend(self.0.iter().map(|b| similarity(a, b)).filter(|alike| *alike > 0.0));
        }
        let counted = counted(self.0.len(), probe.0.len());
        if all.len() > counted {
            all.select_nth_unstable_by(counted, |a, b| b.total_cmp(a));
            all.truncate(counted);
        }
        all.iter().sum::<f64>() / counted as f64
    }
}

/// How many pairs count (nP).
fn counted(a: usize, b: usize) -> usize {
    let least = a.min(b) as f64;
    4 + libm::round(8.0 / (1.0 + libm::exp(-0.4 * (least - 20.0)))) as usize
}

fn similarity(a: &Cylinder, b: &Cylinder) -> f64 {
    // No farther apart than a quarter turn.
    if (a.angle.wrapping_sub(b.angle) as i8).unsigned_abs() > 64 {
        return 0.0;
    }
    let common = a.valid & b.valid;
    if common.count_ones() < LEAST_COMMON {
        return 0.0;
    }
    let (mut in_a, mut in_b, mut differ) = (0, 0, 0);
    for (x, y) in a.layers.iter().zip(&b.layers) {
        in_a += (x & common).count_ones();
        in_b += (y & common).count_ones();
        differ += ((x ^ y) & common).count_ones();
    }
    let norms = f64::from(in_a).sqrt() + f64::from(in_b).sqrt();
    if norms > 0.0 { 1.0 - f64::from(differ).sqrt() / norms } else { 0.0 }
}

/// Where the middle of a cell's row or column is.
fn centre(place: usize) -> f64 {
    (place as f64 - (SIDE as f64 - 1.0) / 2.0) * 2.0 * RADIUS / SIDE as f64
}

/// Cells whose middle is inside the radius.
fn inside(cell: usize) -> bool {
    let (u, v) = (centre(cell % SIDE), centre(cell / SIDE));
    u * u + v * v <= RADIUS * RADIUS
}

fn cylinder(all: &[Point], at: usize, hull: &[(f64, f64)]) -> Option<Cylinder> {
    let here = all[at];
    let reach = 3.0 * SIGMA_SPACE;
    let near: Vec<(&Point, [f64; LAYERS])> = all
        .iter()
        .enumerate()
        .filter(|&(other, point)| other != at && point.distance(&here) <= RADIUS + reach)
        .map(|(_, point)| (point, shares(turn(here.direction, point.direction))))
        .collect();
    if near.len() < LEAST_NEIGHBOURS {
        return None;
    }
    let (sin, cos) = (libm::sin(here.direction), libm::cos(here.direction));
    let mut out = Cylinder { layers: [0; LAYERS], valid: 0, angle: here.angle };
    for cell in (0..SIDE * SIDE).filter(|&cell| inside(cell)) {
        let (u, v) = (centre(cell % SIDE), centre(cell / SIDE));
        let (x, y) = (here.x + cos * u - sin * v, here.y + sin * u + cos * v);
        if outside(hull, x, y) > MARGIN {
            continue;
        }
        out.valid |= 1 << cell;
        let mut sums = [0.0; LAYERS];
        for (point, shares) in &near {
            let squared = (point.x - x).powi(2) + (point.y - y).powi(2);
            if squared <= reach * reach {
                let density =
                    libm::exp(-squared / (2.0 * SIGMA_SPACE * SIGMA_SPACE)) / (SIGMA_SPACE * libm::sqrt(TAU));
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += density * share);
            }
        }
        for (layer, sum) in out.layers.iter_mut().zip(sums) {
            *layer |= u64::from(sum >= SET_FROM) << cell;
        }
    }
    (out.valid.count_ones() >= LEAST_VALID).then_some(out)
}

/// What a neighbour turned so far adds to each layer.
fn shares(relative: f64) -> [f64; LAYERS] {
    let width = TAU / LAYERS as f64;
    std::array::from_fn(|layer| {
        let off = turn(-PI + (layer as f64 + 0.5) * width, relative);
        let edge = |e: f64| libm::erf((off + e) / (SQRT_2 * SIGMA_ANGLE));
        0.5 * (edge(width / 2.0) - edge(-width / 2.0))
    })
}

/// Twice the area of a triangle; positive counter-clockwise.
fn cross(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

/// The convex hull, counter-clockwise (Andrew's monotone chain).
fn hull(all: &[Point]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<(f64, f64)> = all.iter().map(|p| (p.x, p.y)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    sorted.dedup();
    let half = |points: &mut dyn Iterator<Item = (f64, f64)>| {
        let mut chain: Vec<(f64, f64)> = Vec::new();
        for point in points {
            while let [.., a, b] = chain[..]
                && cross(a, b, point) <= 0.0
            {
                chain.pop();
            }
            chain.push(point);
        }
        chain.pop();
        chain
    };
    let mut corners = half(&mut sorted.iter().copied());
    corners.extend(half(&mut sorted.iter().rev().copied()));
    if corners.is_empty() { sorted } else { corners }
}

/// How far outside the hull a place is; 0 inside.
fn outside(hull: &[(f64, f64)], x: f64, y: f64) -> f64 {
    let sides = hull.iter().zip(hull.iter().cycle().skip(1));
    if hull.len() > 2 && sides.clone().all(|(&a, &b)| cross(a, b, (x, y)) >= 0.0) {
        return 0.0;
    }
    let off = |(a, b): (&(f64, f64), &(f64, f64))| {
        let (along, to) = ((b.0 - a.0, b.1 - a.1), (x - a.0, y - a.1));
        let length = along.0 * along.0 + along.1 * along.1;
        let share = if length > 0.0 { (to.0 * along.0 + to.1 * along.1) / length } else { 0.0 };
        let share = share.clamp(0.0, 1.0);
        ((to.0 - share * along.0).powi(2) + (to.1 - share * along.1).powi(2)).sqrt()
    };
    sides.map(off).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::peer::points::tests::{finger, turned};

    #[test]
    fn a_print_is_most_like_itself() {
        let prints: Vec<Cylinders> =
            (1..6).map(|seed| Cylinders::enrol(&turned(&finger(seed, 40), 0))).collect();
        for (number, probe) in prints.iter().enumerate() {
            let scores: Vec<f64> = prints.iter().map(|print| print.score(probe)).collect();
            assert!((scores[number] - 1.0).abs() < 1e-12, "{scores:?}");
            assert!(scores.iter().enumerate().all(|(at, s)| at == number || *s < 0.75), "{scores:?}");
        }
    }

    #[test]
    fn turning_a_print_within_a_quarter_hardly_changes_its_score() {
        let (mate, other) = (finger(1, 40), Cylinders::enrol(&turned(&finger(2, 40), 0)));
        let still = Cylinders::enrol(&turned(&mate, 0));
        for turn in [0, 13, 32, 60, 256 - 50] {
            let probe = Cylinders::probe(&turned(&mate, turn as u8));
            assert!(still.score(&probe) > 0.9, "{turn}");
            let (before, after) = (other.score(&still), other.score(&probe));
            // An impostor's best pairs may be among those that are turned out of reach.
            assert!(after < 0.75 && (before - after).abs() < 0.15, "{turn}: {before} {after}");
        }
    }

    #[test]
    fn prints_too_small_for_a_cylinder_score_nothing() {
        let few = Cylinders::enrol(&turned(&finger(1, 2), 0));
        assert_eq!((few.count(), few.bits()), (0, None));
        assert_eq!(few.score(&Cylinders::enrol(&turned(&finger(1, 40), 0))), 0.0);
    }

    #[test]
    fn as_many_cells_lie_within_the_radius_as_is_said() {
        assert_eq!((0..SIDE * SIDE).filter(|&cell| inside(cell)).count(), CELLS as usize);
    }

    #[test]
    fn as_many_pairs_count_as_the_paper_says() {
        assert_eq!([counted(5, 9), counted(20, 30), counted(60, 50)], [4, 8, 12]);
    }
}
