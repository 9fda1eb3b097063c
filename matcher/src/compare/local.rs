//! Local similarity sort with relaxation (LSS-R): the best pairs of cylinders support each other when
//! their places relate alike in both prints.

use std::sync::LazyLock;

use super::cylinder::{Cylinder, LAYERS};

/// Cells that both cylinders must know: 60 % of the 52 within R.
const LEAST_COMMON: u32 = 31;
/// Iterations of the relaxation.
const ROUNDS: usize = 5;
/// Weight of the old value in a round.
const INERTIA: f32 = 0.5;

/// Square roots of bit counts: 6 layers of at most 64 bits.
static ROOTS: LazyLock<[f32; LAYERS * 64 + 1]> =
    LazyLock::new(|| std::array::from_fn(|n| libm::sqrtf(n as f32)));

/// Z(v; mu, tau): the sigmoid that fades a contribution out.
fn sigmoid(v: f32, mu: f32, tau: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-tau * (v - mu)))
}

/// Support by difference of angles, in 1/256 turns, 0 to 128.
static ANGLE_SUPPORT: LazyLock<[f32; 129]> = LazyLock::new(|| {
    std::array::from_fn(|d| {
        sigmoid(d as f32 / 256.0 * std::f32::consts::TAU, std::f32::consts::PI / 12.0, -30.0)
    })
});

/// Similarity of two cylinders, 0 to 1.
fn gamma(a: &Cylinder, b: &Cylinder) -> f32 {
    if angle_distance(a.angle, b.angle) > 64 {
        return 0.0;
    }
    let common = a.mask & b.mask;
    if common.count_ones() < LEAST_COMMON {
        return 0.0;
    }
    let (mut na, mut nb, mut different) = (0, 0, 0);
    for (la, lb) in a.bits.iter().zip(&b.bits) {
        na += (la & common).count_ones();
        nb += (lb & common).count_ones();
        different += ((la ^ lb) & common).count_ones();
    }
    if na + nb == 0 {
        return 0.0;
    }
    1.0 - ROOTS[different as usize] / (ROOTS[na as usize] + ROOTS[nb as usize])
}

fn angle_distance(a: u8, b: u8) -> u8 {
    let d = a.wrapping_sub(b);
    d.min(d.wrapping_neg())
}

/// One cylinder of each print, taken for the same.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) probe: usize,
    pub(super) reference: usize,
    pub(super) similarity: f32,
}

/// LSS-R, 0 to 1.
pub(super) fn similarity(probe: &[Cylinder], reference: &[Cylinder]) -> f32 {
    let least = probe.len().min(reference.len());
    if least < 2 {
        return 0.0;
    }
    let pairs = best_pairs(probe, reference, least);
    if pairs.len() < 2 {
        return 0.0;
    }
    let relaxed = relaxed(probe, reference, &pairs);
    // Those that lost least in the relaxation are the ones that fit.
    let mut ranked: Vec<(f32, f32)> =
        pairs.iter().zip(&relaxed).map(|(p, now)| (now / p.similarity, *now)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let taken = pair_count(least);
    ranked.iter().take(taken).map(|(_, now)| now).sum::<f32>() / taken as f32
}

/// nP: how many pairs speak for two prints of which the smaller has `least` cylinders.
fn pair_count(least: usize) -> usize {
    let sigmoid = 1.0 / (1.0 + libm::expf(-0.4 * (least as f32 - 20.0)));
    4 + libm::rintf(8.0 * sigmoid) as usize
}

fn best_pairs(probe: &[Cylinder], reference: &[Cylinder], count: usize) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(probe.len() * reference.len());
    for (p, a) in probe.iter().enumerate() {
        for (r, b) in reference.iter().enumerate() {
            let similarity = gamma(a, b);
            if similarity > 0.0 {
                pairs.push(Pair { probe: p, reference: r, similarity });
            }
        }
    }
    let order = |a: &Pair, b: &Pair| {
        b.similarity.total_cmp(&a.similarity).then((a.probe, a.reference).cmp(&(b.probe, b.reference)))
    };
    if pairs.len() > count {
        pairs.select_nth_unstable_by(count - 1, order);
        pairs.truncate(count);
    }
    pairs.sort_unstable_by(order);
    pairs
}

fn relaxed(probe: &[Cylinder], reference: &[Cylinder], pairs: &[Pair]) -> Vec<f32> {
    let n = pairs.len();
    let mut support = vec![0.0_f32; n * n];
    for (t, a) in pairs.iter().enumerate() {
        for (k, b) in pairs.iter().enumerate() {
            if t != k {
                support[t * n + k] = compatibility(
                    (&probe[a.probe], &reference[a.reference]),
                    (&probe[b.probe], &reference[b.reference]),
                );
            }
        }
    }
    let mut now: Vec<f32> = pairs.iter().map(|p| p.similarity).collect();
    for _ in 0..ROUNDS {
        let before = now.clone();
        for (t, value) in now.iter_mut().enumerate() {
            let row = &support[t * n..(t + 1) * n];
            let helped: f32 = row.iter().zip(&before).map(|(s, b)| s * b).sum();
            *value = INERTIA * before[t] + (1.0 - INERTIA) * helped / (n - 1) as f32;
        }
    }
    now
}

/// rho: how alike two pairs relate in both prints, 0 to 1.
fn compatibility(t: (&Cylinder, &Cylinder), k: (&Cylinder, &Cylinder)) -> f32 {
    let turned = |m: &Cylinder, n: &Cylinder| m.angle.wrapping_sub(n.angle);
    let d2 = angle_distance(turned(t.0, k.0), turned(t.1, k.1));
    let by_direction = ANGLE_SUPPORT[usize::from(d2)];
    if by_direction < 1e-3 {
        return 0.0;
    }
    let distance = |m: &Cylinder, n: &Cylinder| {
        let (dx, dy) = (n.x - m.x, n.y - m.y);
        libm::sqrtf(dx * dx + dy * dy)
    };
    let d1 = (distance(t.0, k.0) - distance(t.1, k.1)).abs();
    if d1 > 10.0 {
        return 0.0;
    }
    let radial = |m: &Cylinder, n: &Cylinder| m.angle.wrapping_sub(bearing(n.x - m.x, n.y - m.y));
    let d3 = angle_distance(radial(t.0, k.0), radial(t.1, k.1));
    sigmoid(d1, 5.0, -1.6) * by_direction * ANGLE_SUPPORT[usize::from(d3)]
}

/// Direction of a vector in 1/256 turns.
fn bearing(dx: f32, dy: f32) -> u8 {
    let turns = libm::atan2f(dy, dx) / std::f32::consts::TAU;
    (libm::rintf(turns * 256.0) as i32 & 0xFF) as u8
}
