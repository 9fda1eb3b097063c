//! Whether a print is another one again: the same picture, encoded anew, moved, turned, cropped or roughened.
//!
//! Skin stretches otherwise each time it is laid down, and so the minutiae of two impressions of one finger lie some
//! pixels apart under whatever motion is tried. Those of a copy lie on each other. Scales and slants are taken out with
//! the motion: who copies can make them for nothing. Minutiae that one print has more do not make it less of a copy:
//! they can be added and left out for nothing, too. Invariant: which print is which does not matter, nor where either
//! lies, but for rounding.

use super::{
    Prepared,
    consolidate::{Rigid, angle_off, best_rigid},
    cylinder::Pose,
    local_pairs,
};
use crate::params::{
    COPY_NARROWING, COPY_PRIOR, COPY_REACH, COPY_SAMENESS, COPY_TURN, COPY_TURN_FIRST, LOCAL_LEAST,
    OVERLAP_MARGIN,
};

/// The share of the minutiae, where two prints overlap, that lie on each other: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Sameness(f32);

impl Sameness {
    /// Nothing lies on anything.
    pub const NONE: Self = Self(0.0);

    /// The share.
    #[must_use]
    pub fn get(self) -> f32 {
        self.0
    }

    /// Whether one print is a copy of the other.
    #[must_use]
    pub fn is_copy(self) -> bool {
        self.0 >= COPY_SAMENESS
    }
}

/// How far a print is the same as another one.
#[must_use]
pub fn sameness(probe: &Prepared, reference: &Prepared) -> Sameness {
    let (relaxed, local) = local_pairs(probe, reference);
    if local < LOCAL_LEAST {
        return Sameness::NONE;
    }
    best_rigid(probe, reference, &relaxed).map_or(Sameness::NONE, |rigid| lying(probe, reference, &rigid))
}

/// The share that lies on each other after the motion was narrowed to what does.
fn lying(probe: &Prepared, reference: &Prepared, rigid: &Rigid) -> Sameness {
    let (a, b) = (&probe.poses, &reference.poses);
    let mut map = Map::of(rigid);
    for reach in COPY_NARROWING {
        let near = near(a, b, &map, rigid.angle, reach, COPY_TURN_FIRST);
        map = Map::fit(a, b, &near).unwrap_or(map);
    }
    let near = near(a, b, &map, rigid.angle, COPY_REACH, COPY_TURN);
    let on_each_other: f32 = near
        .iter()
        .map(|pair| {
            let fit = 1.0 - pair.distance2 / (COPY_REACH * COPY_REACH);
            (a[pair.a].quality * b[pair.b].quality).sqrt() * fit
        })
        .sum();
    let margin2 = OVERLAP_MARGIN * OVERLAP_MARGIN;
    let of_a = a.iter().filter(|p| {
        let (x, y) = rigid.apply(p);
        reference.hull.outside2(x, y) <= margin2
    });
    let of_b = b.iter().filter(|q| {
        let (x, y) = rigid.undo(q);
        probe.hull.outside2(x, y) <= margin2
    });
    let (of_a, of_b): (f32, f32) = (of_a.map(|p| p.quality).sum(), of_b.map(|q| q.quality).sum());
    Sameness((on_each_other / (of_a.min(of_b) + COPY_PRIOR)).min(1.0))
}

/// Moves, turns, scales and slants the probe onto the reference: x' = m[0] x + m[1] y + m[2], y' likewise.
#[derive(Clone, Copy)]
struct Map([f32; 6]);

impl Map {
    fn of(rigid: &Rigid) -> Self {
        Self([rigid.cos, -rigid.sin, rigid.x, rigid.sin, rigid.cos, rigid.y])
    }

    fn apply(&self, p: &Pose) -> (f32, f32) {
        let m = &self.0;
        (m[0] * p.x + m[1] * p.y + m[2], m[3] * p.x + m[4] * p.y + m[5])
    }

    /// The least squares of the pairs; none when they are few or lie along a line.
    fn fit(a: &[Pose], b: &[Pose], pairs: &[Near]) -> Option<Self> {
        let n = pairs.len() as f32;
        if pairs.len() < 4 {
            return None;
        }
        let mut mean = [0.0f32; 4];
        for pair in pairs {
            let (p, q) = (&a[pair.a], &b[pair.b]);
            for (m, v) in mean.iter_mut().zip([p.x, p.y, q.x, q.y]) {
                *m += v / n;
            }
        }
        let (mut xx, mut xy, mut yy) = (0.0f32, 0.0f32, 0.0f32);
        let [mut xu, mut yu, mut xv, mut yv] = [0.0f32; 4];
        for pair in pairs {
            let (p, q) = (&a[pair.a], &b[pair.b]);
            let (x, y, u, v) = (p.x - mean[0], p.y - mean[1], q.x - mean[2], q.y - mean[3]);
            xx += x * x;
            xy += x * y;
            yy += y * y;
            xu += x * u;
            yu += y * u;
            xv += x * v;
            yv += y * v;
        }
        let (det, spread) = (xx * yy - xy * xy, xx + yy);
        if det <= 1e-3 * spread * spread {
            return None;
        }
        let m = [
            (xu * yy - yu * xy) / det,
            (yu * xx - xu * xy) / det,
            (xv * yy - yv * xy) / det,
            (yv * xx - xv * xy) / det,
        ];
        let [x, y, u, v] = mean;
        Some(Self([m[0], m[1], u - m[0] * x - m[1] * y, m[2], m[3], v - m[2] * x - m[3] * y]))
    }
}

/// Two minutiae near each other.
struct Near {
    a: usize,
    b: usize,
    /// Squared distance, pixels.
    distance2: f32,
}

/// Pairs each minutia with at most one, nearest first.
fn near(a: &[Pose], b: &[Pose], map: &Map, angle: u8, reach: f32, turn: u8) -> Vec<Near> {
    let mut near = Vec::new();
    for (i, p) in a.iter().enumerate() {
        let (x, y) = map.apply(p);
        let facing = p.angle.wrapping_add(angle);
        for (j, q) in b.iter().enumerate() {
            let distance2 = (x - q.x) * (x - q.x) + (y - q.y) * (y - q.y);
            if distance2 <= reach * reach && angle_off(facing, q.angle) <= turn {
                near.push(Near { a: i, b: j, distance2 });
            }
        }
    }
    near.sort_by(|p, q| p.distance2.total_cmp(&q.distance2).then((p.a, p.b).cmp(&(q.a, q.b))));
    let (mut used_a, mut used_b) = (vec![false; a.len()], vec![false; b.len()]);
    near.retain(|pair| {
        let free = !used_a[pair.a] && !used_b[pair.b];
        used_a[pair.a] |= free;
        used_b[pair.b] |= free;
        free
    });
    near
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Minutia, MinutiaKind, Template};

    /// Forty minutiae all over an impression.
    fn minutiae(seed: u32) -> Vec<Minutia> {
        (0..40_u32)
            .map(|n| {
                let spread = |step: u32, range: u32| ((n + 1) * step * (seed * 2 + 3) % range) as u16;
                Minutia {
                    x: 600 + spread(977, 2600),
                    y: 600 + spread(1409, 2800),
                    angle: spread(89, 256) as u8,
                    kind: if n % 2 == 0 { MinutiaKind::Ending } else { MinutiaKind::Bifurcation },
                    quality: 70,
                }
            })
            .collect()
    }

    fn prepared(minutiae: Vec<Minutia>) -> Prepared {
        Prepared::new(&Template::from_minutiae(420, 420, minutiae).unwrap())
    }

    /// Turned about the middle, scaled, and moved.
    fn moved(minutiae: &[Minutia], turn: i16, scale: f64, by: (f64, f64)) -> Vec<Minutia> {
        let angle = f64::from(turn) / 256.0 * std::f64::consts::TAU;
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        let put = |m: &Minutia| {
            let (x, y) = (f64::from(m.x) - 2000.0, f64::from(m.y) - 2000.0);
            // Angles are counter-clockwise, and y runs down.
            let x_there = scale * (cos * x + sin * y) + 2000.0 + by.0;
            let y_there = scale * (cos * y - sin * x) + 2000.0 + by.1;
            let inside = (0.0..4190.0).contains(&x_there) && (0.0..4190.0).contains(&y_there);
            let there = Minutia {
                x: x_there as u16,
                y: y_there as u16,
                angle: m.angle.wrapping_add(turn as u8),
                ..*m
            };
            inside.then_some(there)
        };
        minutiae.iter().filter_map(put).collect()
    }

    #[test]
    fn a_print_is_the_same_as_itself_and_not_as_another() {
        let (one, other) = (prepared(minutiae(1)), prepared(minutiae(2)));
        assert!(sameness(&one, &one).is_copy());
        assert!(!sameness(&one, &other).is_copy());
    }

    #[test]
    fn skin_that_stretched_by_three_pixels_makes_another_impression() {
        let wave = |m: &Minutia| {
            let by = |at: u16, phase: f64| 30.0 * libm::sin(f64::from(at) / 350.0 + phase);
            let (x, y) = (f64::from(m.x) + by(m.y, 0.0), f64::from(m.y) + by(m.x, 1.0));
            Minutia { x: x as u16, y: y as u16, ..*m }
        };
        let one = minutiae(1);
        let stretched = one.iter().map(wave).collect();
        let (one, stretched) = (prepared(one), prepared(stretched));
        assert!(crate::compare(&stretched, &one).get() > 50.0, "it is the same finger");
        assert!(!sameness(&stretched, &one).is_copy(), "{:?}", sameness(&stretched, &one));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_copy_is_one_however_it_is_moved_turned_scaled_and_thinned(
            seed in 1_u32..5, turn in -20_i16..20, scale in 0.94..1.06_f64,
            x in -300.0..300.0_f64, y in -300.0..300.0_f64, gone in 0_usize..12,
        ) {
            let (original, mut copy) = (minutiae(seed), moved(&minutiae(seed), turn, scale, (x, y)));
            copy.drain(..gone);
            let (original, copy) = (prepared(original), prepared(copy));
            let (there, back) = (sameness(&copy, &original), sameness(&original, &copy));
            prop_assert!(there.is_copy() && back.is_copy(), "{there:?} {back:?}");
        }
    }
}
