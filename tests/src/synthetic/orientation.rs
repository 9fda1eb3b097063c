//! The orientation field: the zero-pole model of Sherlock and Monro, where each core adds and each
//! delta takes half the angle under which it is seen, with that angle bent in the way of Vizcaya
//! and Gerhardt (here by a short Fourier series in place of their piecewise lines, so that the
//! field has no kinks) over a background that arches round the fingertip.
//!
//! Angles are radians, counter-clockwise as seen, of the ridge; only their value modulo pi counts.

use super::{
    class::{Class, Singularity},
    map::{Map, smoothstep},
    random::Stream,
};

/// One finger's field as a function of the point, in pixels from the pad's middle, y up.
pub(crate) struct Orientation {
    points: Vec<(Singularity, Bend)>,
    class: Class,
    /// How strongly ridges arch round the tip, radians per 100 pixels sideways.
    tip: f32,
    /// Height of an arch's hill as a slope.
    hill: f32,
    hill_y: f32,
    hill_width: f32,
    /// The whole field's turn.
    turn: f32,
    /// Slow random swing of the field: what the model does not say.
    swing: Map,
    swing_gain: f32,
}

/// Correction of the angle under which a singular point is seen: `a sin + b cos` of once and twice it.
#[derive(Clone, Copy)]
struct Bend([f32; 4]);

impl Bend {
    fn draw(core: bool, stream: &mut Stream) -> Self {
        // Below a core ridges run side by side for long, above it they bend sharply; a delta's legs
        // are steeper than the plain model's.
        let mean = if core { -0.50 } else { 0.35 };
        let [a, b, d, e] = [0.14, 0.13, 0.09, 0.06].map(|size| size * stream.normal_within(2.0));
        Self([a, mean + b, d, e])
    }

    fn of(self, angle: f32) -> f32 {
        let (s, c) = (libm::sinf(angle), libm::cosf(angle));
        let [a, b, d, e] = self.0;
        // At the point itself every term would leave a step behind; opposite sides must agree.
        angle + a * s + b * c + d * 2.0 * s * c + e * (c * c - s * s)
    }
}

impl Orientation {
    /// Cell of the map of swings, in pixels of the finger.
    const SWING_CELL: f32 = 8.0;

    pub(crate) fn new(class: Class, points: Vec<Singularity>, stream: &mut Stream) -> Self {
        let points = points.into_iter().map(|p| (p, Bend::draw(p.core, stream))).collect();
        Self {
            points,
            class,
            tip: 0.42 + 0.07 * stream.normal_within(2.0),
            hill: stream.range(0.75, 1.35),
            hill_y: stream.range(-40.0, 20.0),
            hill_width: stream.range(120.0, 160.0),
            turn: 0.05 * stream.normal_within(2.0),
            swing: Map::patches(72, 96, 13.0, stream),
            swing_gain: 0.09,
        }
    }

    /// The ridge's angle at a point.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let mut angle = self.turn;
        for (point, bend) in &self.points {
            let seen = bend.of(libm::atan2f(y - point.y, x - point.x));
            angle += if point.core { 0.5 * seen } else { -0.5 * seen };
        }
        // Ridges follow the outline of the tip above, and lie level towards the joint.
        let up = smoothstep(-190.0, 170.0, y);
        let side = (x / 100.0).clamp(-2.0, 2.0);
        angle -= self.tip * side * up;
        if self.class == Class::Arch {
            let rise = smoothstep(-200.0, self.hill_y, y) * (1.0 - 0.75 * smoothstep(self.hill_y, 190.0, y));
            let across = (x / self.hill_width).clamp(-1.0, 1.0);
            angle -= libm::atanf(self.hill * rise * libm::sinf(core::f32::consts::PI * across));
        }
        let (sx, sy) = (x / Self::SWING_CELL + 36.0, 48.0 - y / Self::SWING_CELL);
        angle + self.swing_gain * self.swing.sample(sx, sy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{class::singularities, random::Purpose};

    /// Half turns of the field round a circle.
    fn turns(field: &Orientation, x: f32, y: f32, radius: f32) -> i32 {
        let around = |k: i32| {
            let a = k as f32 * core::f32::consts::TAU / 360.0;
            field.at(x + radius * libm::cosf(a), y + radius * libm::sinf(a))
        };
        let mut sum = 0.0;
        for k in 0..360 {
            let mut step = around(k + 1) - around(k);
            while step > core::f32::consts::FRAC_PI_2 {
                step -= core::f32::consts::PI;
            }
            while step < -core::f32::consts::FRAC_PI_2 {
                step += core::f32::consts::PI;
            }
            sum += step;
        }
        libm::roundf(sum / core::f32::consts::PI) as i32
    }

    #[test]
    fn the_field_turns_once_round_a_core_back_round_a_delta_and_not_round_both() {
        let mut stream = Stream::new(5, Purpose::Orientation, 0);
        let points = singularities(Class::LeftLoop, &mut stream);
        let (core, delta) = (points[0], points[1]);
        let field = Orientation::new(Class::LeftLoop, points, &mut stream);
        assert_eq!(turns(&field, core.x, core.y, 12.0), 1);
        assert_eq!(turns(&field, delta.x, delta.y, 12.0), -1);
        assert_eq!(turns(&field, 0.0, 0.0, 260.0), 0);
    }
}
