//! Local similarity sort with relaxation (LSS-R): the best pairs by likeness support each other as
//! far as the two prints agree on the distance and the angles between them.

use super::{
    cylinder::{Pose, turn},
    local::Pair,
};
use crate::params::{
    RELAX_ANGLE, RELAX_DISTANCE, RELAX_ROUNDS, RELAX_WEIGHT, SORT_LEAST, SORT_MIDDLE, SORT_MORE, SORT_SLOPE,
};
use std::{f64::consts::PI, sync::OnceLock};

/// A pair after relaxation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Relaxed {
    pub(crate) a: u16,
    pub(crate) b: u16,
    /// Likeness before and after.
    pub(crate) before: f32,
    pub(crate) after: f32,
}

/// The pairs after relaxation, the most efficient (after / before) first.
pub(crate) fn relax(a: &[Pose], b: &[Pose], pairs: &mut Vec<Pair>, count: usize) -> Vec<Relaxed> {
    best(pairs, count);
    let n = pairs.len();
    let mut out: Vec<Relaxed> =
        pairs.iter().map(|p| Relaxed { a: p.a, b: p.b, before: p.likeness, after: p.likeness }).collect();
    if n < 2 {
        return out;
    }
    let support = support(a, b, pairs);
    let mut now: Vec<f32> = pairs.iter().map(|p| p.likeness).collect();
    let mut next = now.clone();
    let share = (1.0 - RELAX_WEIGHT) / (n - 1) as f32;
    for _ in 0..RELAX_ROUNDS {
        for (t, (value, row)) in next.iter_mut().zip(support.chunks_exact(n)).enumerate() {
            *value = RELAX_WEIGHT * now[t] + share * dot(row, &now);
        }
        std::mem::swap(&mut now, &mut next);
    }
    for (r, &after) in out.iter_mut().zip(&now) {
        r.after = after;
    }
    let efficiency = |r: &Relaxed| r.after / r.before;
    out.sort_by(|p, q| efficiency(q).total_cmp(&efficiency(p)).then((p.a, p.b).cmp(&(q.a, q.b))));
    out
}

/// Sum of products in eight fixed lanes.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (xs, x_rest) = x.as_chunks::<8>();
    let (ys, y_rest) = y.as_chunks::<8>();
    for (p, q) in xs.iter().zip(ys) {
        for i in 0..8 {
            lanes[i] += p[i] * q[i];
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(p, q)| p * q).sum();
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7])) + rest
}

/// How many pairs make the score: few minutiae, few pairs.
pub(crate) fn pairs_counted(a: usize, b: usize) -> usize {
    let least = a.min(b) as f64;
    let share = 1.0 / (1.0 + libm::exp(-SORT_SLOPE * (least - SORT_MIDDLE)));
    SORT_LEAST + libm::round(SORT_MORE * share) as usize
}

/// Keeps the best pairs by likeness; the order among equals is by minutia.
fn best(pairs: &mut Vec<Pair>, count: usize) {
    let order = |p: &Pair, q: &Pair| q.likeness.total_cmp(&p.likeness).then((p.a, p.b).cmp(&(q.a, q.b)));
    if pairs.len() > count && count > 0 {
        pairs.select_nth_unstable_by(count - 1, order);
        pairs.truncate(count);
    }
    pairs.sort_unstable_by(order);
}

/// Sigmoids of the three differences, in tables.
struct Tables {
    /// By eighths of a pixel.
    distance: [f32; DISTANCE_STEPS],
    /// By 1/256 turns.
    angle: [f32; 256],
    /// By the cosine: index 0 is -1, the last 1.
    cosine: Vec<f32>,
}

/// Eighths of a pixel in the distance table; beyond, the support is below 1/2000.
const DISTANCE_STEPS: usize = 80;
/// Less support than this is none.
const SUPPORT_LEAST: f32 = 5e-4;
/// Steps of the cosine table between its least value and 1.
const COSINE_STEPS: usize = 512;
/// Least cosine in the table; below it the support is nil.
const COSINE_LEAST: f32 = 0.5;

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let sigmoid = |v: f64, [middle, slope]: [f64; 2]| 1.0 / (1.0 + libm::exp(-slope * (v - middle)));
        Tables {
            distance: std::array::from_fn(|i| sigmoid(i as f64 / 8.0, RELAX_DISTANCE) as f32),
            angle: std::array::from_fn(|i| {
                let off = f64::from((i as u8 as i8).unsigned_abs()) * 2.0 * PI / 256.0;
                sigmoid(off, RELAX_ANGLE) as f32
            }),
            cosine: (0..=COSINE_STEPS)
                .map(|i| {
                    let least = f64::from(COSINE_LEAST);
                    let cosine = least + (1.0 - least) * i as f64 / COSINE_STEPS as f64;
                    sigmoid(libm::acos(cosine), RELAX_ANGLE) as f32
                })
                .collect(),
        }
    })
}

/// rho(t, k) for all pairs t, k, row by row; zero on the diagonal and where nothing is left of it.
/// Distance and angle are the same both ways, only the radial angle is not.
fn support(a: &[Pose], b: &[Pose], pairs: &[Pair]) -> Vec<f32> {
    let tables = tables();
    let n = pairs.len();
    let mut out = vec![0.0f32; n * n];
    let ends: Vec<(&Pose, &Pose)> =
        pairs.iter().map(|p| (&a[usize::from(p.a)], &b[usize::from(p.b)])).collect();
    for (t, &(at, bt)) in ends.iter().enumerate() {
        for (k, &(ak, bk)) in ends.iter().enumerate().skip(t + 1) {
            let turn_a = at.angle.wrapping_sub(ak.angle);
            let turn_b = bt.angle.wrapping_sub(bk.angle);
            let by_angle = tables.angle[usize::from(turn_a.wrapping_sub(turn_b))];
            if by_angle < SUPPORT_LEAST {
                continue;
            }
            let (ax, ay) = (ak.x - at.x, ak.y - at.y);
            let (bx, by) = (bk.x - bt.x, bk.y - bt.y);
            let (da, db) = ((ax * ax + ay * ay).sqrt(), (bx * bx + by * by).sqrt());
            let Some(&by_distance) = tables.distance.get(((da - db).abs() * 8.0 + 0.5) as usize) else {
                continue;
            };
            let both = by_angle * by_distance;
            let length = (da * db).max(1e-3);
            out[t * n + k] = both * radial(tables, at.angle, bt.angle, (ax, ay), (bx, by), length);
            out[k * n + t] = both * radial(tables, ak.angle, bk.angle, (-ax, -ay), (-bx, -by), length);
        }
    }
    out
}

/// The third sigmoid: how well the directions to the other minutia agree, each seen from its own.
fn radial(tables: &Tables, a: u8, b: u8, (ax, ay): (f32, f32), (bx, by): (f32, f32), length: f32) -> f32 {
    // Turning both into their own frames is turning one by the difference of the angles.
    let (s, c) = turn(a.wrapping_sub(b));
    let cosine = (c * (ax * bx + ay * by) + s * (ay * bx - ax * by)) / length;
    if cosine < COSINE_LEAST {
        return 0.0;
    }
    let place = (cosine - COSINE_LEAST) * (COSINE_STEPS as f32 / (1.0 - COSINE_LEAST)) + 0.5;
    tables.cosine[(place as usize).min(COSINE_STEPS)]
}
