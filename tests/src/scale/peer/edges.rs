//! A matcher of edges between minutiae in the style of SourceAFIS: pairs of edges that agree are roots, from each root a
//! tree of paired minutiae grows along the edges to their neighbours, and the best tree is scored.
//!
//! Written from a description of the method. Invariant: a minutia is paired with at most one.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    f64::consts::{PI, TAU},
};

use authenteon_matcher::Template;

use super::{
    Peer,
    points::{Point, points, turn},
};

/// How much the lengths of two edges that agree may differ, pixels.
const LENGTH: f64 = 13.0;
/// And the angles at their ends, radians.
const ANGLE: f64 = 10.0 * PI / 180.0;
/// Edges from a minutia to its nearest.
const NEIGHBOURS: usize = 9;
/// Edges of roots are at least so long before shorter ones are tried, pixels.
const LONG: f64 = 58.0;
/// Roots that are tried, and edges looked up for them, at most.
const ROOTS: usize = 70;
const LOOKUPS: usize = 1633;
/// Below these shares of the tolerances errors do not count.
const FLAT_LENGTH: f64 = 0.69 * LENGTH;
const FLAT_ANGLE: f64 = 0.27 * ANGLE;
/// Bins of an angle; a length has as many as it needs.
const TURNS: usize = 36;
/// No two minutiae are farther apart, in bins of length.
const LENGTHS: usize = 80;

/// An edge as seen from one end.
#[derive(Clone, Copy)]
struct Edge {
    from: usize,
    to: usize,
    length: f64,
    /// The direction of each end's minutia against the edge.
    near: f64,
    far: f64,
}

impl Edge {
    fn new(all: &[Point], from: usize, to: usize) -> Self {
        let (a, b) = (&all[from], &all[to]);
        let near = turn(a.direction, a.bearing(b));
        Self { from, to, length: a.distance(b), near, far: turn(b.direction, b.bearing(a)) }
    }

    /// How far two edges are off each other, if they agree: in length, and in both angles together.
    fn off(&self, other: &Self) -> Option<(f64, [f64; 2])> {
        let length = (self.length - other.length).abs();
        let angles = [turn(self.near, other.near).abs(), turn(self.far, other.far).abs()];
        (length <= LENGTH && angles.iter().all(|&off| off <= ANGLE)).then_some((length, angles))
    }
}

/// The minutiae of an impression, and the edges from each to its nearest, shortest first.
pub(crate) struct Edges {
    points: Vec<Point>,
    stars: Vec<Vec<Edge>>,
}

/// A probe: the same, and all its edges by what they are like.
pub(crate) struct Hashed {
    print: Edges,
    /// Where the edges of a bin begin in `edges`.
    starts: Vec<u32>,
    edges: Vec<(u8, u8)>,
}

impl Peer for Edges {
    const NAME: &'static str = "edges";
    const WHAT: &'static str = "edges and trees in the style of SourceAFIS, every impression";
    type Probe = Hashed;

    fn enrol(template: &Template) -> Self {
        let points = points(template);
        let stars = (0..points.len()).map(|from| {
            let others = (0..points.len()).filter(|&to| to != from);
            let mut star: Vec<Edge> = others.map(|to| Edge::new(&points, from, to)).collect();
            star.sort_by(|a, b| a.length.total_cmp(&b.length));
            star.truncate(NEIGHBOURS);
            star
        });
        let stars = stars.collect();
        Self { points, stars }
    }

    fn probe(template: &Template) -> Hashed {
        let print = Self::enrol(template);
        let count = print.points.len();
        let mut placed: Vec<(u32, (u8, u8))> = Vec::new();
        for (from, to) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let edge = Edge::new(&print.points, from, to);
            for near in covered(edge.near) {
                for far in covered(edge.far) {
                    for length in lengths(edge.length) {
                        // A template has at most 128 minutiae.
                        placed.push((bin(near, far, length), (from as u8, to as u8)));
                    }
                }
            }
        }
        placed.sort_unstable();
        let mut starts = vec![0; TURNS * TURNS * LENGTHS + 1];
        for (bin, _) in &placed {
            starts[*bin as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Hashed { print, starts, edges: placed.into_iter().map(|(_, edge)| edge).collect() }
    }

    fn score(&self, probe: &Hashed) -> f64 {
        let mut best = 0.0f64;
        for (edge, root) in self.roots(probe) {
            best = best.max(Tree::grown(&probe.print, self, (root.from, edge.from)).score());
        }
        best
    }
}

/// The bin of an angle.
fn place(angle: f64) -> usize {
    ((turn(angle, 0.0) + PI) / TAU * TURNS as f64) as usize % TURNS
}

/// The bins that an angle's tolerance reaches.
fn covered(angle: f64) -> impl Iterator<Item = usize> {
    // The bins are as wide as the tolerance.
    let first = place(angle - ANGLE);
    let last = place(angle + ANGLE);
    (0..=(last + TURNS - first) % TURNS).map(move |step| (first + step) % TURNS)
}

/// The bins that a length's tolerance reaches.
fn lengths(length: f64) -> std::ops::RangeInclusive<usize> {
    let at = |length: f64| ((length / LENGTH).max(0.0) as usize).min(LENGTHS - 1);
    at(length - LENGTH)..=at(length + LENGTH)
}

fn bin(near: usize, far: usize, length: usize) -> u32 {
    ((near * TURNS + far) * LENGTHS + length.min(LENGTHS - 1)) as u32
}

impl Edges {
    /// Edges of this print and edges of the probe that agree with them, one for each pair of their first minutiae.
    fn roots(&self, probe: &Hashed) -> Vec<(Edge, Edge)> {
        let count = self.points.len();
        let mut roots = Vec::new();
        let mut taken = BTreeSet::new();
        let mut looked_up = 0;
        for short in [false, true] {
            // Neighbours in the list one apart, then two: every minutia has its turn early.
            for period in 1..count {
                for phase in 0..=period {
                    for from in (phase..count).step_by(period + 1) {
                        let edge = Edge::new(&self.points, from, (from + period) % count);
                        if (edge.length < LONG) != short {
                            continue;
                        }
                        looked_up += 1;
                        if looked_up > LOOKUPS {
                            return roots;
                        }
                        let bin = bin(place(edge.near), place(edge.far), (edge.length / LENGTH) as usize);
                        let range =
                            probe.starts[bin as usize] as usize..probe.starts[bin as usize + 1] as usize;
                        for &(a, b) in &probe.edges[range] {
                            let root = Edge::new(&probe.print.points, usize::from(a), usize::from(b));
                            if root.off(&edge).is_some() && taken.insert((a, from)) {
                                roots.push((edge, root));
                                if roots.len() == ROOTS {
                                    return roots;
                                }
                            }
                        }
                    }
                }
            }
        }
        roots
    }
}

/// A pairing that waits for its turn: the shortest edge first, then as the numbers come.
type Waiting = Reverse<(u64, usize, usize, usize, usize)>;

/// Minutiae paired from a root on.
struct Tree<'a> {
    probe: &'a Edges,
    enrolled: &'a Edges,
    /// The partner of each minutia of the probe, and the other way about.
    of_probe: Vec<Option<usize>>,
    of_enrolled: Vec<Option<usize>>,
    paired: usize,
    /// Edges that agree besides those of the tree, by the minutia of the probe that they start from.
    supporting: Vec<usize>,
    kinds: usize,
    length_error: f64,
    angle_error: f64,
    waiting: BinaryHeap<Waiting>,
}

impl<'a> Tree<'a> {
    /// Grows from a pair of minutiae.
    fn grown(probe: &'a Edges, enrolled: &'a Edges, (a, b): (usize, usize)) -> Self {
        let mut tree = Self {
            probe,
            enrolled,
            of_probe: vec![None; probe.points.len()],
            of_enrolled: vec![None; enrolled.points.len()],
            paired: 0,
            supporting: vec![0; probe.points.len()],
            kinds: 0,
            length_error: 0.0,
            angle_error: 0.0,
            waiting: BinaryHeap::new(),
        };
        tree.pair(a, b);
        while let Some(Reverse((_, from, from_mate, to, to_mate))) = tree.waiting.pop() {
            if tree.of_probe[to].is_some() || tree.of_enrolled[to_mate].is_some() {
                tree.support(from, to, to_mate);
                continue;
            }
            let edge = Edge::new(&probe.points, from, to);
            if let Some((length, angles)) = edge.off(&Edge::new(&enrolled.points, from_mate, to_mate)) {
                tree.length_error += length.max(FLAT_LENGTH);
                tree.angle_error += angles.iter().map(|off| off.max(FLAT_ANGLE)).sum::<f64>();
                tree.pair(to, to_mate);
            }
        }
        tree
    }

    fn pair(&mut self, a: usize, b: usize) {
        self.of_probe[a] = Some(b);
        self.of_enrolled[b] = Some(a);
        self.paired += 1;
        self.kinds += usize::from(self.probe.points[a].kind == self.enrolled.points[b].kind);
        for edge in &self.probe.stars[a] {
            for mate in &self.enrolled.stars[b] {
                if mate.length > edge.length + LENGTH {
                    break;
                }
                if edge.off(mate).is_none() {
                    continue;
                }
                if self.of_probe[edge.to].is_none() && self.of_enrolled[mate.to].is_none() {
                    // Lengths are not negative, so their bits are in their order.
                    self.waiting.push(Reverse((mate.length.to_bits(), a, b, edge.to, mate.to)));
                } else {
                    self.support(a, edge.to, mate.to);
                }
            }
        }
    }

    /// Counts an edge that agrees when both its ends are paired with each other.
    fn support(&mut self, from: usize, to: usize, to_mate: usize) {
        if self.of_probe[to] == Some(to_mate) {
            self.supporting[from] += 1;
            self.supporting[to] += 1;
        }
    }

    fn score(&self) -> f64 {
        let paired = self.paired as f64;
        let share = |points: &[Point]| paired / points.len() as f64;
        let ends: usize = self.supporting.iter().sum();
        let supported = self.supporting.iter().filter(|&&edges| edges > 0).count();
        let grown = paired - 1.0;
        let accuracy = |error: f64, most: f64| if grown > 0.0 { 1.0 - error / (grown * most) } else { 0.0 };
        0.032 * paired
            + 8.98 * 0.5 * (share(&self.probe.points) + share(&self.enrolled.points))
            + 0.193 * supported as f64
            + 0.265 * (paired + ends as f64 / 2.0)
            + 0.629 * self.kinds as f64
            + 9.9 * accuracy(self.length_error, LENGTH)
            + 2.79 * accuracy(self.angle_error, 2.0 * ANGLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::peer::points::tests::{finger, turned};

    #[test]
    fn a_print_is_most_like_itself() {
        let templates: Vec<Template> = (1..6).map(|seed| turned(&finger(seed, 40), 0)).collect();
        let prints: Vec<Edges> = templates.iter().map(Edges::enrol).collect();
        for (number, template) in templates.iter().enumerate() {
            let probe = Edges::probe(template);
            let scores: Vec<f64> = prints.iter().map(|print| print.score(&probe)).collect();
            let rest = scores.iter().enumerate().filter(|(at, _)| *at != number);
            let other = rest.map(|(_, s)| *s).fold(0.0, f64::max);
            assert!(scores[number] > 60.0 && other < 0.5 * scores[number], "{scores:?}");
        }
    }

    #[test]
    fn turning_a_print_hardly_changes_its_score() {
        let mate = finger(1, 40);
        let (still, other) = (Edges::enrol(&turned(&mate, 0)), Edges::enrol(&turned(&finger(2, 40), 0)));
        let itself = still.score(&Edges::probe(&turned(&mate, 0)));
        for turn in [7, 32, 64, 100, 128, 200] {
            let probe = Edges::probe(&turned(&mate, turn));
            assert!(still.score(&probe) > 0.85 * itself, "{turn}: {} of {itself}", still.score(&probe));
            assert!(other.score(&probe) < 0.5 * itself, "{turn}");
        }
    }

    #[test]
    fn prints_without_edges_score_nothing() {
        let none = turned(&[], 0);
        assert_eq!(Edges::enrol(&none).score(&Edges::probe(&none)), 0.0);
        assert_eq!(Edges::enrol(&turned(&finger(1, 1), 0)).score(&Edges::probe(&none)), 0.0);
    }

    #[test]
    fn every_edge_is_found_by_one_that_agrees_with_it() {
        // Also across the cut at half a turn.
        for (angle, off) in [(3.13, 0.05), (-3.1, -0.1), (0.0, 0.17), (1.0, -0.17)] {
            assert!(covered(angle).any(|bin| bin == place(angle + off)), "{angle} {off}");
        }
        for (length, off) in [(1.0, 12.9), (58.0, -12.9), (300.0, 5.0), (2000.0, 3.0)] {
            assert!(lengths(length).contains(&(((length + off) / LENGTH) as usize).min(LENGTHS - 1)));
        }
    }
}
