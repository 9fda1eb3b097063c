//! From local agreement to one alignment: the best rigid hypotheses among the relaxed pairs, all
//! minutiae paired again under each, the skin's stretching taken out, and the evidence for and
//! against counted where the two prints overlap.

use super::{
    Prepared,
    agreement::agreement,
    cylinder::{Pose, turn},
    relax::Relaxed,
};
use crate::params::{
    ALIGN_HYPOTHESES, ALIGN_REACH, ALIGN_RIVAL, ALIGN_TURN, OVERLAP_MARGIN, PAIR_REACH_FIRST,
    PAIR_REACH_LAST, PAIR_TURN, STRETCH_PRIOR, STRETCH_SCALE,
};

/// What speaks for and against two prints being of one finger.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Mean likeness of the best local structures after relaxation, 0 to 1.
    pub local: f32,
    /// Minutiae paired under the best alignment.
    pub paired: f32,
    /// The same, each pair weighed by its quality and by how well it fits.
    pub weight: f32,
    /// Quality of all minutiae where the prints overlap, mean of both prints.
    pub overlap: f32,
    /// Mean distance within pairs, pixels.
    pub residual: f32,
    /// Share of pairs that are both endings or both bifurcations.
    pub kinds: f32,
    /// Likeness of the paired minutiae's surroundings, summed.
    pub support: f32,
    /// Cells of the ridge flow that are clear in both prints.
    pub cells: f32,
    /// How far the ridges run the same way there, -1 to 1.
    pub direction: f32,
    /// How much their distances differ there, as a share.
    pub spacing: f32,
}

/// Turns and moves the probe onto the reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rigid {
    pub(super) cos: f32,
    pub(super) sin: f32,
    /// Turn in 1/256.
    pub(super) angle: u8,
    pub(super) x: f32,
    pub(super) y: f32,
}

impl Rigid {
    fn of(a: &Pose, b: &Pose) -> Self {
        let angle = b.angle.wrapping_sub(a.angle);
        let (sin, cos) = turn(angle);
        Self { cos, sin, angle, x: b.x - (cos * a.x - sin * a.y), y: b.y - (sin * a.x + cos * a.y) }
    }

    pub(super) fn apply(&self, p: &Pose) -> (f32, f32) {
        self.place(p.x, p.y)
    }

    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.cos * x - self.sin * y + self.x, self.sin * x + self.cos * y + self.y)
    }

    pub(super) fn undo(&self, p: &Pose) -> (f32, f32) {
        let (x, y) = (p.x - self.x, p.y - self.y);
        (self.cos * x + self.sin * y, self.cos * y - self.sin * x)
    }

    /// The least-squares motion of the pairs.
    fn fit(a: &[Pose], b: &[Pose], pairs: &[(usize, usize)]) -> Option<Self> {
        let n = pairs.len() as f32;
        if pairs.len() < 2 {
            return None;
        }
        let mut mean = [0.0f32; 4];
        for &(i, j) in pairs {
            for (m, v) in mean.iter_mut().zip([a[i].x, a[i].y, b[j].x, b[j].y]) {
                *m += v / n;
            }
        }
        let (mut dot, mut cross) = (0.0f32, 0.0f32);
        for &(i, j) in pairs {
            let (ax, ay, bx, by) = (a[i].x - mean[0], a[i].y - mean[1], b[j].x - mean[2], b[j].y - mean[3]);
            dot += ax * bx + ay * by;
            cross += ax * by - ay * bx;
        }
        let length = (dot * dot + cross * cross).sqrt();
        if length < 1.0 {
            return None;
        }
        let (cos, sin) = (dot / length, cross / length);
        let turns = libm::atan2f(sin, cos) / std::f32::consts::TAU + 1.0;
        Some(Self {
            cos,
            sin,
            angle: ((turns * 256.0 + 0.5) as u32 % 256) as u8,
            x: mean[2] - (cos * mean[0] - sin * mean[1]),
            y: mean[3] - (sin * mean[0] + cos * mean[1]),
        })
    }
}

pub(super) fn angle_off(a: u8, b: u8) -> u8 {
    (a.wrapping_sub(b) as i8).unsigned_abs()
}

/// One pair under an alignment.
#[derive(Clone, Copy)]
struct Fit {
    a: usize,
    b: usize,
    /// Squared distance, pixels.
    distance2: f32,
    /// 1/256 turns.
    off: u8,
}

/// The evidence under the best of a few alignments.
pub(crate) fn consolidate(
    probe: &Prepared,
    reference: &Prepared,
    relaxed: &[Relaxed],
    local: f32,
) -> Evidence {
    match best(probe, reference, relaxed) {
        Some(alignment) => weigh(probe, reference, &alignment, relaxed, local),
        None => Evidence { local, ..Evidence::default() },
    }
}

/// The motion of the best alignment.
pub(super) fn best_rigid(probe: &Prepared, reference: &Prepared, relaxed: &[Relaxed]) -> Option<Rigid> {
    best(probe, reference, relaxed).map(|alignment| alignment.rigid)
}

fn best(probe: &Prepared, reference: &Prepared, relaxed: &[Relaxed]) -> Option<Alignment> {
    let mut best: Option<Alignment> = None;
    for rigid in hypotheses(probe, reference, relaxed) {
        let found = align(&probe.poses, &reference.poses, rigid);
        if best.as_ref().is_none_or(|b| found.weight > b.weight) {
            best = Some(found);
        }
    }
    best
}

/// The motions that the relaxed pairs agree on most, each refined by the pairs that follow it.
fn hypotheses(probe: &Prepared, reference: &Prepared, relaxed: &[Relaxed]) -> Vec<Rigid> {
    let (a, b) = (&probe.poses, &reference.poses);
    let mut ranked: Vec<(f32, usize)> = relaxed.iter().enumerate().map(|(i, r)| (r.after, i)).collect();
    ranked.sort_by(|p, q| q.0.total_cmp(&p.0).then(p.1.cmp(&q.1)));
    ranked.truncate(ALIGN_HYPOTHESES);
    let mut out: Vec<(f32, Rigid)> = ranked
        .iter()
        .map(|&(_, i)| {
            let rigid = Rigid::of(&a[usize::from(relaxed[i].a)], &b[usize::from(relaxed[i].b)]);
            let mut sum = 0.0f32;
            let mut followers = Vec::new();
            for r in relaxed {
                let (p, q) = (&a[usize::from(r.a)], &b[usize::from(r.b)]);
                let (x, y) = rigid.apply(p);
                let d2 = (x - q.x) * (x - q.x) + (y - q.y) * (y - q.y);
                let off = angle_off(p.angle.wrapping_add(rigid.angle), q.angle);
                if d2 <= ALIGN_REACH * ALIGN_REACH && off <= ALIGN_TURN {
                    sum += r.after;
                    followers.push((usize::from(r.a), usize::from(r.b)));
                }
            }
            (sum, Rigid::fit(a, b, &followers).unwrap_or(rigid))
        })
        .collect();
    out.sort_by(|p, q| q.0.total_cmp(&p.0));
    let least = out.first().map_or(0.0, |o| o.0 * ALIGN_RIVAL);
    out.into_iter().take(2).filter(|o| o.0 >= least).map(|(_, rigid)| rigid).collect()
}

/// An alignment with what it pairs.
struct Alignment {
    rigid: Rigid,
    /// The probe's minutiae on the reference, the stretching taken out.
    moved: Vec<(f32, f32)>,
    pairs: Vec<Fit>,
    /// Quality of the pairs, each weighed by how well it fits.
    weight: f32,
}

fn align(a: &[Pose], b: &[Pose], start: Rigid) -> Alignment {
    let moved: Vec<(f32, f32)> = a.iter().map(|p| start.apply(p)).collect();
    let first = pair(a, b, &moved, start.angle, PAIR_REACH_FIRST);
    let list: Vec<(usize, usize)> = first.iter().map(|f| (f.a, f.b)).collect();
    let rigid = Rigid::fit(a, b, &list).unwrap_or(start);
    let mut moved: Vec<(f32, f32)> = a.iter().map(|p| rigid.apply(p)).collect();
    stretch(&mut moved, b, &list);
    let pairs = pair(a, b, &moved, rigid.angle, PAIR_REACH_LAST);
    let weight = pairs
        .iter()
        .map(|f| {
            let fit = (1.0 - 0.5 * f.distance2 / (PAIR_REACH_LAST * PAIR_REACH_LAST))
                * (1.0 - 0.5 * f32::from(f.off) / f32::from(PAIR_TURN));
            (a[f.a].quality * b[f.b].quality).sqrt() * fit
        })
        .sum();
    Alignment { rigid, moved, pairs, weight }
}

fn weigh(
    probe: &Prepared,
    reference: &Prepared,
    found: &Alignment,
    relaxed: &[Relaxed],
    local: f32,
) -> Evidence {
    let (a, b) = (&probe.poses, &reference.poses);
    let mut out =
        Evidence { local, paired: found.pairs.len() as f32, weight: found.weight, ..Evidence::default() };
    let mut partner = vec![usize::MAX; a.len()];
    let mut paired_b = vec![false; b.len()];
    for f in &found.pairs {
        partner[f.a] = f.b;
        paired_b[f.b] = true;
        out.residual += f.distance2.sqrt() / out.paired;
        out.kinds += f32::from(u8::from(a[f.a].kind == b[f.b].kind)) / out.paired;
    }
    for r in relaxed {
        if partner[usize::from(r.a)] == usize::from(r.b) {
            out.support += r.after;
        }
    }
    if let (Some(p), Some(q)) = (&probe.flow, &reference.flow) {
        let rigid = &found.rigid;
        let flows = agreement(p, q, rigid.angle, |x, y| rigid.place(x, y));
        (out.cells, out.direction, out.spacing) = (flows.cells, flows.direction, flows.spacing);
    }
    let margin2 = OVERLAP_MARGIN * OVERLAP_MARGIN;
    for ((p, &(x, y)), partner) in a.iter().zip(&found.moved).zip(partner) {
        if partner != usize::MAX || reference.hull.outside2(x, y) <= margin2 {
            out.overlap += 0.5 * p.quality;
        }
    }
    for (q, paired) in b.iter().zip(paired_b) {
        let (x, y) = found.rigid.undo(q);
        if paired || probe.hull.outside2(x, y) <= margin2 {
            out.overlap += 0.5 * q.quality;
        }
    }
    out
}

/// Pairs each minutia with at most one, nearest first.
fn pair(a: &[Pose], b: &[Pose], moved: &[(f32, f32)], angle: u8, reach: f32) -> Vec<Fit> {
    let mut near = Vec::new();
    for (i, (p, &(x, y))) in a.iter().zip(moved).enumerate() {
        let facing = p.angle.wrapping_add(angle);
        for (j, q) in b.iter().enumerate() {
            let distance2 = (x - q.x) * (x - q.x) + (y - q.y) * (y - q.y);
            if distance2 <= reach * reach {
                let off = angle_off(facing, q.angle);
                if off <= PAIR_TURN {
                    near.push(Fit { a: i, b: j, distance2, off });
                }
            }
        }
    }
    near.sort_by(|p, q| p.distance2.total_cmp(&q.distance2).then((p.a, p.b).cmp(&(q.a, q.b))));
    let (mut used_a, mut used_b) = (vec![false; a.len()], vec![false; b.len()]);
    near.retain(|f| {
        let free = !used_a[f.a] && !used_b[f.b];
        if free {
            used_a[f.a] = true;
            used_b[f.b] = true;
        }
        free
    });
    near
}

/// Moves every point by the mean of the nearby pairs' residuals: skin stretches smoothly.
fn stretch(moved: &mut [(f32, f32)], b: &[Pose], pairs: &[(usize, usize)]) {
    let residuals: Vec<[f32; 4]> = pairs
        .iter()
        .map(|&(i, j)| [moved[i].0, moved[i].1, b[j].x - moved[i].0, b[j].y - moved[i].1])
        .collect();
    for point in moved.iter_mut() {
        let (mut sum_x, mut sum_y, mut sum) = (0.0f32, 0.0f32, STRETCH_PRIOR);
        for &[x, y, rx, ry] in &residuals {
            let d2 = (x - point.0) * (x - point.0) + (y - point.1) * (y - point.1);
            let nearness = 1.0 / (1.0 + d2 / (STRETCH_SCALE * STRETCH_SCALE));
            let w = nearness * nearness;
            sum_x += w * rx;
            sum_y += w * ry;
            sum += w;
        }
        point.0 += sum_x / sum;
        point.1 += sum_y / sum;
    }
}
