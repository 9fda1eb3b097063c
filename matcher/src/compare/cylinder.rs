//! Minutia cylinder codes in bits: what stands around a minutia, in its own frame
//! (Cappelli, Ferrara, Maltoni, PAMI 2010; bit version; Ns = 8, Nd = 6).
//!
//! Invariant: bits outside the mask are zero; corners of the 8 x 8 grid, farther than R, are never
//! in the mask.

use std::sync::LazyLock;

use crate::minutiae::Minutia;

/// Cells across the base.
const SIDE: usize = 8;
/// Cells up: directions.
pub(super) const LAYERS: usize = 6;
/// Radius R.
const RADIUS: f32 = 70.0;
/// Deviation of the spatial contribution.
const SIGMA_S: f32 = 28.0 / 3.0;
/// Deviation of the directional contribution.
const SIGMA_D: f32 = 2.0 * std::f32::consts::PI / 9.0;
/// How far beyond the hull of the minutiae a cell may lie.
const OMEGA: f32 = 50.0;
/// Contribution at which a bit is set.
const MU: f32 = 0.005;
/// Share of cells that a cylinder needs.
const LEAST_CELLS: f32 = 0.75;
/// Minutiae that a cylinder needs around it.
const LEAST_NEIGHBOURS: usize = 2;

/// One minutia and what stands around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cylinder {
    /// Pixels.
    pub(super) x: f32,
    pub(super) y: f32,
    /// 1/256 turns, y down.
    pub(super) angle: u8,
    /// A layer a word, a cell a bit.
    pub(super) bits: [u64; LAYERS],
    /// Cells that count.
    pub(super) mask: u64,
}

/// Places of the cells in the minutia's frame, in pixels; `None` beyond R.
static CELLS: LazyLock<[Option<(f32, f32)>; SIDE * SIDE]> = LazyLock::new(|| {
    std::array::from_fn(|n| {
        let at = |i: usize| (i as f32 - (SIDE as f32 - 1.0) / 2.0) * (2.0 * RADIUS / SIDE as f32);
        let (u, v) = (at(n % SIDE), at(n / SIDE));
        (libm::sqrtf(u * u + v * v) <= RADIUS).then_some((u, v))
    })
});

/// The directional contribution by difference of directions, in 1/256 turns.
static DIRECTIONAL: LazyLock<[[f32; LAYERS]; 256]> = LazyLock::new(|| {
    let step = std::f32::consts::TAU / LAYERS as f32;
    let half = |v: f32| libm::erff(v / (std::f32::consts::SQRT_2 * SIGMA_D));
    std::array::from_fn(|difference| {
        std::array::from_fn(|k| {
            let phi = -std::f32::consts::PI + (k as f32 + 0.5) * step;
            let turns = difference as f32 / 256.0 - phi / std::f32::consts::TAU;
            let alpha = (turns - libm::rintf(turns)) * std::f32::consts::TAU;
            0.5 * (half(alpha + step / 2.0) - half(alpha - step / 2.0))
        })
    })
});

/// The cylinders of all minutiae that have enough around them.
pub(super) fn cylinders(minutiae: &[Minutia]) -> Vec<Cylinder> {
    let points: Vec<(f32, f32, u8)> = minutiae
        .iter()
        // y runs down, so angles turn the other way round.
        .map(|m| (f32::from(m.x) / 10.0, f32::from(m.y) / 10.0, m.angle.wrapping_neg()))
        .collect();
    let hull = hull(&points);
    (0..points.len()).filter_map(|at| cylinder(&points, at, &hull)).collect()
}

fn cylinder(points: &[(f32, f32, u8)], at: usize, hull: &[(f32, f32)]) -> Option<Cylinder> {
    let (x, y, angle) = points[at];
    let reach = RADIUS + 3.0 * SIGMA_S;
    let near: Vec<(f32, f32, u8)> = points
        .iter()
        .enumerate()
        .filter(|(other, p)| *other != at && square(p.0 - x, p.1 - y) <= reach * reach)
        .map(|(_, p)| *p)
        .collect();
    if near.len() < LEAST_NEIGHBOURS {
        return None;
    }
    let turn = f32::from(angle) / 256.0 * std::f32::consts::TAU;
    let (cos, sin) = (libm::cosf(turn), libm::sinf(turn));
    let peak = 1.0 / (SIGMA_S * libm::sqrtf(std::f32::consts::TAU));
    let (mut bits, mut mask, mut cells) = ([0; LAYERS], 0_u64, 0);
    for (n, cell) in CELLS.iter().enumerate() {
        let Some((u, v)) = cell else { continue };
        cells += 1;
        let (px, py) = (x + cos * u - sin * v, y + sin * u + cos * v);
        if !within(hull, px, py) {
            continue;
        }
        mask |= 1 << n;
        let mut values = [0.0_f32; LAYERS];
        for &(tx, ty, direction) in &near {
            let d2 = square(tx - px, ty - py);
            if d2 > 9.0 * SIGMA_S * SIGMA_S {
                continue;
            }
            let spatial = peak * libm::expf(-d2 / (2.0 * SIGMA_S * SIGMA_S));
            for (value, share) in
                values.iter_mut().zip(&DIRECTIONAL[usize::from(angle.wrapping_sub(direction))])
            {
                *value += spatial * share;
            }
        }
        for (layer, value) in bits.iter_mut().zip(values) {
            *layer |= u64::from(value >= MU) << n;
        }
    }
    let enough = mask.count_ones() as f32 >= LEAST_CELLS * cells as f32;
    enough.then_some(Cylinder { x, y, angle, bits, mask })
}

fn square(dx: f32, dy: f32) -> f32 {
    dx * dx + dy * dy
}

/// Convex hull, counter-clockwise (Andrew's monotone chain).
fn hull(points: &[(f32, f32, u8)]) -> Vec<(f32, f32)> {
    let mut sorted: Vec<(f32, f32)> = points.iter().map(|p| (p.0, p.1)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    sorted.dedup();
    if sorted.len() < 3 {
        return sorted;
    }
    let turn =
        |a: (f32, f32), b: (f32, f32), c: (f32, f32)| (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0);
    let half = |points: &mut dyn Iterator<Item = (f32, f32)>| {
        let mut chain: Vec<(f32, f32)> = Vec::new();
        for p in points {
            while chain.len() >= 2 && turn(chain[chain.len() - 2], chain[chain.len() - 1], p) <= 0.0 {
                chain.pop();
            }
            chain.push(p);
        }
        chain.pop();
        chain
    };
    let mut lower = half(&mut sorted.iter().copied());
    lower.extend(half(&mut sorted.iter().rev().copied()));
    lower
}

/// Whether a point lies in the hull grown by [`OMEGA`].
fn within(hull: &[(f32, f32)], x: f32, y: f32) -> bool {
    let mut inside = hull.len() >= 3;
    for (n, a) in hull.iter().enumerate() {
        let b = hull[(n + 1) % hull.len()];
        let (ex, ey) = (b.0 - a.0, b.1 - a.1);
        let (px, py) = (x - a.0, y - a.1);
        if ex * py - ey * px < 0.0 {
            inside = false;
        }
        let along = ((px * ex + py * ey) / (ex * ex + ey * ey).max(1e-6)).clamp(0.0, 1.0);
        if square(px - along * ex, py - along * ey) <= OMEGA * OMEGA {
            return true;
        }
    }
    inside
}
