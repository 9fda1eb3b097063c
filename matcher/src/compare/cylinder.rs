//! Minutia cylinders (Cappelli, Ferrara, Maltoni 2010) in bits: around each minutia a disc of 8x8
//! cells in 6 layers of relative direction says where its neighbours are and which way they run.
//!
//! Works in the minutia's own frame, so it does not change when the print is moved or turned.
//! Axes here are mathematical: y runs up, angles counter-clockwise; the template's y is negated
//! once, in [`Pose::of`]. Negating y without the angle, or the other way about, ruins everything.

use crate::{
    minutiae::{Minutia, MinutiaKind},
    params::{
        CYLINDER_HULL_MARGIN, CYLINDER_MIN_NEIGHBOURS, CYLINDER_RADIUS, CYLINDER_SIGMA_ANGLE,
        CYLINDER_SIGMA_SPACE, CYLINDER_THRESHOLD, CYLINDER_VALID_SHARE,
    },
};
use std::sync::OnceLock;

/// Cells on a side.
const SIDE: usize = 8;
/// Layers of relative direction.
pub(crate) const LAYERS: usize = 6;

/// Layers that are summed: a power of two, those beyond the last add nothing.
const LANES: usize = 8;

/// A minutia in pixels, y up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pose {
    pub(crate) x: f32,
    pub(crate) y: f32,
    /// 1/256 turns, counter-clockwise.
    pub(crate) angle: u8,
    pub(crate) kind: MinutiaKind,
    /// 0 to 1.
    pub(crate) quality: f32,
}

impl Pose {
    pub(crate) fn of(m: &Minutia) -> Self {
        Self {
            x: f32::from(m.x) / 10.0,
            y: -f32::from(m.y) / 10.0,
            angle: m.angle,
            kind: m.kind,
            quality: f32::from(m.quality) / 100.0,
        }
    }
}

/// The bits of one minutia. Invariant: bits outside `valid` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cylinder {
    pub(crate) layers: [u64; LAYERS],
    pub(crate) valid: u64,
    /// Which minutia.
    pub(crate) minutia: u16,
    /// The minutia's angle.
    pub(crate) angle: u8,
}

/// Sine and cosine of each of 256 turns.
pub(crate) type Turns = [(f32, f32); 256];

/// All of them.
pub(crate) fn turns() -> &'static Turns {
    static TABLE: OnceLock<Turns> = OnceLock::new();
    TABLE.get_or_init(|| {
        std::array::from_fn(|i| {
            let a = i as f64 * std::f64::consts::TAU / 256.0;
            (libm::sin(a) as f32, libm::cos(a) as f32)
        })
    })
}

/// Sine and cosine of 1/256 turns.
pub(crate) fn turn(angle: u8) -> (f32, f32) {
    turns()[usize::from(angle)]
}

/// What a neighbour adds to a cell, by squared distance, and to a layer, by relative angle.
struct Tables {
    /// And nothing beyond the reach.
    space: [f32; SPACE_LEN + 1],
    layer: [[f32; LANES]; 256],
}

/// Steps of the space table to a square pixel.
const SPACE_STEPS: f32 = 4.0;

/// Steps that are within the reach, three sigmas.
const SPACE_LEN: usize = (9.0 * CYLINDER_SIGMA_SPACE * CYLINDER_SIGMA_SPACE * SPACE_STEPS) as usize + 1;

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let sigma = f64::from(CYLINDER_SIGMA_SPACE);
        let space = std::array::from_fn(|i| {
            if i == SPACE_LEN {
                return 0.0;
            }
            let d2 = i as f64 / f64::from(SPACE_STEPS);
            let density = 1.0 / (sigma * libm::sqrt(std::f64::consts::TAU));
            (density * libm::exp(-d2 / (2.0 * sigma * sigma))) as f32
        });
        let width = std::f64::consts::TAU / LAYERS as f64;
        let spread = f64::from(CYLINDER_SIGMA_ANGLE) * std::f64::consts::SQRT_2;
        let layer = std::array::from_fn(|i| {
            let relative = i as f64 * std::f64::consts::TAU / 256.0;
            std::array::from_fn(|k| {
                if k >= LAYERS {
                    return 0.0;
                }
                let centre = -std::f64::consts::PI + (k as f64 + 0.5) * width;
                let off = wrap(relative - centre);
                let edge = |e: f64| libm::erf((off + e) / spread);
                (0.5 * (edge(width / 2.0) - edge(-width / 2.0))) as f32
            })
        });
        Tables { space, layer }
    })
}

/// An angle brought to -pi..pi.
fn wrap(a: f64) -> f64 {
    a - std::f64::consts::TAU * libm::round(a / std::f64::consts::TAU)
}

/// The cylinders of all minutiae that have enough neighbours, by the best instructions that this processor has.
pub(crate) fn build(poses: &[Pose], hull: &Hull) -> Vec<Cylinder> {
    crate::simd::cylinders(poses, hull)
}

/// The same as it is compiled where it is called; `reached` says of each layer which cells reach the threshold.
#[inline(always)]
pub(crate) fn build_with(
    poses: &[Pose],
    hull: &Hull,
    reached: impl Fn(&Sums) -> [u64; LAYERS],
) -> Vec<Cylinder> {
    let sides = hull.sides();
    let mut near = Vec::with_capacity(poses.len());
    let mut cylinders = Vec::with_capacity(poses.len());
    for index in 0..poses.len() {
        cylinders.extend(one(poses, index, &sides, &mut near, &reached));
    }
    cylinders
}

/// A neighbour in the minutia's own frame: where it is, and what it adds to each layer.
type Near = (f32, f32, &'static [f32; LANES]);

#[inline(always)]
fn one(
    poses: &[Pose],
    index: usize,
    hull: &Sides,
    near: &mut Vec<Near>,
    reached: &impl Fn(&Sums) -> [u64; LAYERS],
) -> Option<Cylinder> {
    let tables = tables();
    let m = &poses[index];
    let (s, c) = turn(m.angle);
    let far = CYLINDER_RADIUS + 3.0 * CYLINDER_SIGMA_SPACE;
    near.clear();
    for (i, t) in poses.iter().enumerate() {
        let (dx, dy) = (t.x - m.x, t.y - m.y);
        if i != index && dx * dx + dy * dy <= far * far {
            let layer = &tables.layer[usize::from(m.angle.wrapping_sub(t.angle))];
            near.push((c * dx + s * dy, -s * dx + c * dy, layer));
        }
    }
    if near.len() < CYLINDER_MIN_NEIGHBOURS {
        return None;
    }
    let hull = hull.around(m.x, m.y);
    let mut valid = DISC;
    if !hull.all_near {
        let mut cells = DISC;
        while cells != 0 {
            let cell = cells.trailing_zeros() as usize;
            cells &= cells - 1;
            let (u, v) = (centre(cell % SIDE), centre(cell / SIDE));
            if !hull.near(m.x + c * u - s * v, m.y + s * u + c * v) {
                valid &= !(1 << cell);
            }
        }
        if (valid.count_ones() as f32) < CYLINDER_VALID_SHARE * DISC.count_ones() as f32 {
            return None;
        }
    }
    let layers = reached(&sums(near)).map(|layer| layer & valid);
    Some(Cylinder { layers, valid, minutia: index as u16, angle: m.angle })
}

/// Width of a cell in pixels.
const STEP: f32 = 2.0 * CYLINDER_RADIUS / SIDE as f32;

/// Where the middle of a cell's row or column is.
const fn centre(place: usize) -> f32 {
    (place as f32 - (SIDE as f32 - 1.0) / 2.0) * STEP
}

/// The cells within the radius.
const DISC: u64 = {
    let mut mask = 0;
    let mut cell = 0;
    while cell < SIDE * SIDE {
        let (u, v) = (centre(cell % SIDE), centre(cell / SIDE));
        if u * u + v * v <= CYLINDER_RADIUS * CYLINDER_RADIUS {
            mask |= 1 << cell;
        }
        cell += 1;
    }
    mask
};

/// What the neighbours add to each cell, by layer.
pub(crate) type Sums = [[f32; LANES]; SIDE * SIDE];

/// Rows and columns that a neighbour can reach at most.
const BLOCK: usize = 4;
const _: () = assert!(
    2.0 * 3.0 * CYLINDER_SIGMA_SPACE + 1.0 < BLOCK as f32 * STEP,
    "no neighbour reaches more rows or columns than a block has"
);

/// The first of the rows or columns that a neighbour there may reach; all that are inside and that it does reach are in the block
/// from there on.
#[inline(always)]
fn first_reached(at: f32) -> usize {
    // Half a pixel more than the reach, for what rounding does.
    let first = (at - (3.0 * CYLINDER_SIGMA_SPACE + 0.5)) / STEP + (SIDE as f32 - 1.0) / 2.0;
    // Casts to a narrow integer are the cheap ones; the least row or column is 0 whatever is cut off.
    ((first + 1.0).max(0.0) as i32).min((SIDE - BLOCK) as i32) as usize
}

/// What the neighbours add to each cell, in the order of the neighbours. Without a branch: what a block has that is out of reach
/// gets nothing added.
#[inline(always)]
fn sums(near: &[Near]) -> Sums {
    let space = &tables().space;
    let mut sums = [[0.0; LANES]; SIDE * SIDE];
    // By numbers, not by iterators: those may be compiled without the caller's instructions, and called.
    let mut across = [0.0; BLOCK];
    for &(x, y, layer) in near {
        let (left, top) = (first_reached(x), first_reached(y));
        for (column, across) in across.iter_mut().enumerate() {
            let off = x - centre(left + column);
            *across = off * off;
        }
        for row in top..top + BLOCK {
            let off = y - centre(row);
            let along = off * off;
            for column in 0..BLOCK {
                let step = ((across[column] + along) * SPACE_STEPS + 0.5) as i32;
                let space = space[(step as usize).min(SPACE_LEN)];
                let cell = &mut sums[(row * SIDE + left + column) % (SIDE * SIDE)];
                for lane in 0..LANES {
                    cell[lane] += space * layer[lane];
                }
            }
        }
    }
    sums
}

/// Of each layer the cells whose sums reach the threshold.
pub(crate) fn reached(sums: &Sums) -> [u64; LAYERS] {
    let mut layers = [0; LAYERS];
    for (cell, sums) in sums.iter().enumerate() {
        for (layer, &sum) in layers.iter_mut().zip(sums) {
            *layer |= u64::from(sum >= CYLINDER_THRESHOLD) << cell;
        }
    }
    layers
}

/// The convex hull of the minutiae, counter-clockwise.
#[derive(Clone)]
pub(crate) struct Hull {
    corners: Vec<(f32, f32)>,
}

impl Hull {
    pub(crate) fn of(poses: &[Pose]) -> Self {
        let mut points: Vec<(f32, f32)> = poses.iter().map(|p| (p.x, p.y)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        points.dedup();
        if points.len() < 3 {
            return Self { corners: points };
        }
        let mut corners: Vec<(f32, f32)> = Vec::new();
        for pass in 0..2 {
            let base = corners.len();
            let mut side = |p: (f32, f32)| {
                while corners.len() >= base + 2 {
                    let (a, b) = (corners[corners.len() - 2], corners[corners.len() - 1]);
                    if (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0) > 0.0 {
                        break;
                    }
                    corners.pop();
                }
                corners.push(p);
            };
            if pass == 0 {
                points.iter().copied().for_each(&mut side);
            } else {
                points.iter().rev().copied().for_each(&mut side);
            }
            corners.pop();
        }
        Self { corners }
    }

    /// Bytes of the corners in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.corners.capacity() * size_of::<(f32, f32)>()
    }

    /// Made ready to be asked about many points.
    fn sides(&self) -> Sides<'_> {
        let next = self.corners.iter().cycle().skip(1);
        let sides = self.corners.iter().zip(next).map(|(a, b)| {
            let along = (b.0 - a.0, b.1 - a.1);
            let length2 = along.0 * along.0 + along.1 * along.1;
            Side { from: *a, along, length2 }
        });
        Sides { hull: self, sides: sides.collect() }
    }

    /// How far outside the hull a point lies, squared; zero inside.
    pub(crate) fn outside2(&self, x: f32, y: f32) -> f32 {
        let n = self.corners.len();
        let mut inside = n >= 3;
        let mut least = f32::INFINITY;
        for i in 0..n {
            let (a, b) = (self.corners[i], self.corners[(i + 1) % n]);
            let (ex, ey) = (b.0 - a.0, b.1 - a.1);
            let (px, py) = (x - a.0, y - a.1);
            if ex * py - ey * px < 0.0 {
                inside = false;
            }
            let length2 = ex * ex + ey * ey;
            let t = if length2 > 0.0 { ((px * ex + py * ey) / length2).clamp(0.0, 1.0) } else { 0.0 };
            let (qx, qy) = (px - t * ex, py - t * ey);
            least = least.min(qx * qx + qy * qy);
        }
        if inside { 0.0 } else { least }
    }
}

/// The squared margin.
const MARGIN2: f32 = CYLINDER_HULL_MARGIN * CYLINDER_HULL_MARGIN;
/// Squared distances at which a point is near, and at which it is not, whatever rounding does.
const SURELY_NEAR2: f32 = 0.99 * MARGIN2;
const SURELY_FAR2: f32 = 1.01 * MARGIN2;

/// A side of a hull.
#[derive(Clone, Copy)]
struct Side {
    from: (f32, f32),
    along: (f32, f32),
    length2: f32,
}

/// A hull made ready to be asked about many points.
struct Sides<'a> {
    hull: &'a Hull,
    sides: Vec<Side>,
}

impl Side {
    /// Whether a point is on the inner side, farther from the line than this.
    fn is_inside_by(&self, distance: f32, x: f32, y: f32) -> bool {
        let cross = self.along.0 * (y - self.from.1) - self.along.1 * (x - self.from.0);
        cross > 0.0 && cross * cross > distance * distance * self.length2
    }
}

/// A pixel, more than what rounding does.
const SURELY: f32 = 1.0;

impl Sides<'_> {
    /// What there is to ask about the cells of a cylinder there.
    fn around(&self, x: f32, y: f32) -> Around<'_> {
        // The part of the hull around it that is whole reaches as far as is missing to the outermost cell.
        let whole = CYLINDER_RADIUS - CYLINDER_HULL_MARGIN + SURELY;
        let corners = self.sides.len() >= 3;
        let all_near = corners && self.sides.iter().all(|side| side.is_inside_by(whole, x, y));
        // Of a side that is farther no cell is on the other side.
        let reached = |side: &&Side| !side.is_inside_by(CYLINDER_RADIUS + SURELY, x, y);
        let sides = if all_near { Vec::new() } else { self.sides.iter().filter(reached).copied().collect() };
        Around { hull: self.hull, corners, all_near, sides }
    }
}

/// The sides of a hull that cells of one cylinder may be outside of.
struct Around<'a> {
    hull: &'a Hull,
    /// Whether it has an inside.
    corners: bool,
    all_near: bool,
    sides: Vec<Side>,
}

impl Around<'_> {
    /// Whether a point of the cylinder is inside or within the margin. Most points are told without a division.
    fn near(&self, x: f32, y: f32) -> bool {
        if self.all_near {
            return true;
        }
        if self.corners {
            let mut inside = true;
            for Side { from, along, length2 } in &self.sides {
                let (px, py) = (x - from.0, y - from.1);
                let cross = along.0 * py - along.1 * px;
                if cross < 0.0 {
                    inside = false;
                    // Squared distance from the side's line, times the length of the side squared.
                    let off2 = cross * cross;
                    if off2 > SURELY_FAR2 * length2 {
                        return false;
                    }
                    let foot = px * along.0 + py * along.1;
                    if off2 < SURELY_NEAR2 * length2 && foot >= 0.0 && foot <= *length2 {
                        return true;
                    }
                }
            }
            if inside {
                return true;
            }
        }
        self.hull.outside2(x, y) <= MARGIN2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every neighbour to every cell.
    fn sums_of_all(near: &[(f32, f32, &[f32; LANES])]) -> [[f32; LANES]; SIDE * SIDE] {
        let mut sums = [[0.0; LANES]; SIDE * SIDE];
        for (cell, sums) in sums.iter_mut().enumerate() {
            let (u, v) = (centre(cell % SIDE), centre(cell / SIDE));
            for &(x, y, layer) in near {
                let d2 = (x - u) * (x - u) + (y - v) * (y - v);
                if let Some(&space) = tables().space[..SPACE_LEN].get((d2 * SPACE_STEPS + 0.5) as usize) {
                    for (sum, part) in sums.iter_mut().zip(layer) {
                        *sum += space * part;
                    }
                }
            }
        }
        sums
    }

    proptest! {
        #[test]
        fn cells_that_are_passed_over_are_out_of_reach(
            near in proptest::collection::vec((-110.0f32..110.0, -110.0f32..110.0, any::<u8>()), 0..40),
        ) {
            let near: Vec<_> =
                near.iter().map(|&(x, y, angle)| (x, y, &tables().layer[usize::from(angle)])).collect();
            prop_assert_eq!(sums(&near), sums_of_all(&near));
        }

        #[test]
        fn a_point_is_near_the_hull_if_it_is_inside_or_within_the_margin(
            corners in proptest::collection::vec((0.0f32..300.0, 0.0f32..300.0), 3..30),
            x in -120.0f32..420.0,
            y in -120.0f32..420.0,
            from in (0.0f32..CYLINDER_RADIUS, any::<u8>()),
        ) {
            let pose = |&(x, y): &(f32, f32)| Pose { x, y, angle: 0, kind: MinutiaKind::Ending, quality: 1.0 };
            let hull = Hull::of(&corners.iter().map(pose).collect::<Vec<_>>());
            // Asked for cylinders around the point and beside it.
            let (sine, cosine) = turn(from.1);
            let (beside_x, beside_y) = (x + from.0 * cosine, y + from.0 * sine);
            for (around_x, around_y) in [(x, y), (beside_x, beside_y)] {
                let near = hull.sides().around(around_x, around_y).near(x, y);
                prop_assert_eq!(near, hull.outside2(x, y) <= MARGIN2);
            }
        }
    }
}
