//! Which way the ridges of a finger run and how far apart they are, as a function of the place, fast enough to be asked
//! for each minutia and each cell of a flow.
//!
//! The same zero-pole model as `synthetic::orientation`, with plane waves for what the model does not say. Places are
//! pixels from the middle of the pad, y up; angles radians of the ridge, counter-clockwise, of which only the value
//! modulo pi counts.

use crate::synthetic::{
    Class,
    class::{Singularity, singularities},
    random::Stream,
};

/// Waves that the field swings with.
const WAVES: usize = 3;
/// How much the period swings with each, as a share.
const SPACING: f32 = 0.05;

/// A core or delta and how the angle under which it is seen is bent.
struct Pole {
    at: Singularity,
    bend: [f32; 4],
}

/// A slow swing of the field, in turns of the wave.
struct Wave {
    x: f32,
    y: f32,
    phase: f32,
    height: f32,
}

/// The ridges of one finger.
pub(crate) struct Field {
    poles: Vec<Pole>,
    /// How strongly ridges arch round the tip, radians per 100 pixels sideways.
    tip: f32,
    /// Slope, height and width of an arch's hill.
    hill: Option<(f32, f32, f32)>,
    turn: f32,
    waves: [Wave; WAVES],
    /// Ridge period in the middle of the pad, pixels.
    period: f32,
    /// How much wider apart ridges are towards the joint, as a share.
    widening: f32,
}

impl Field {
    /// A finger whose ridges lie so far apart on the average over fingers, with this deviation.
    pub(crate) fn draw((mean, spread): (f32, f32), stream: &mut Stream) -> Self {
        let class = Class::draw(stream);
        let poles = singularities(class, stream).into_iter().map(|at| {
            let mean = if at.core { -0.50 } else { 0.35 };
            let [a, b, d, e] = [0.08, 0.08, 0.05, 0.04].map(|size| size * stream.bell());
            Pole { at, bend: [a, mean + b, d, e] }
        });
        let poles = poles.collect();
        let hill = (class == Class::Arch)
            .then(|| (stream.range(0.75, 1.35), stream.range(-40.0, 20.0), stream.range(120.0, 160.0)));
        let waves = std::array::from_fn(|_| {
            let (way, length) = (stream.range(0.0, core::f32::consts::TAU), stream.range(110.0, 260.0));
            Wave {
                x: libm::cosf(way) / length,
                y: libm::sinf(way) / length,
                phase: stream.unit(),
                height: 0.02,
            }
        });
        Self {
            poles,
            tip: 0.36 + 0.05 * stream.bell(),
            hill,
            turn: 0.03 * stream.bell(),
            waves,
            period: (mean + spread * stream.bell()).clamp(6.0, 12.5),
            widening: stream.range(0.06, 0.22),
        }
    }

    /// The ridge's angle at a place.
    pub(crate) fn angle(&self, x: f32, y: f32) -> f32 {
        // Twice the angle as a product of unit vectors, so that one arc tangent is enough for all poles.
        let (mut re, mut im, mut bent) = (1.0f32, 0.0f32, self.turn);
        for Pole { at, bend: [a, b, d, e] } in &self.poles {
            let (dx, dy) = (x - at.x, y - at.y);
            let far = (dx * dx + dy * dy).sqrt().max(1e-3);
            let (c, s) = (dx / far, dy / far);
            let bend = a * s + b * c + d * 2.0 * s * c + e * (c * c - s * s);
            let s = if at.core { s } else { -s };
            bent += if at.core { 0.5 * bend } else { -0.5 * bend };
            (re, im) = (re * c - im * s, re * s + im * c);
        }
        let mut angle = bent + 0.5 * libm::atan2f(im, re);
        angle -= self.tip * (x / 100.0).clamp(-2.0, 2.0) * rise(-190.0, 170.0, y);
        if let Some((slope, middle, width)) = self.hill {
            let up = rise(-200.0, middle, y) * (1.0 - 0.75 * rise(middle, 190.0, y));
            let across = (x / width).clamp(-1.0, 1.0);
            angle -= libm::atanf(slope * up * libm::sinf(core::f32::consts::PI * across));
        }
        let swing = |w: &Wave| w.height * swung(w.x * x + w.y * y + w.phase);
        angle + self.waves.iter().map(swing).sum::<f32>()
    }

    /// The ridges' period at a place, pixels.
    pub(crate) fn period(&self, x: f32, y: f32) -> f32 {
        // It swings with the direction, a quarter of a wave later.
        let swing = |w: &Wave| SPACING * swung(w.x * x + w.y * y + w.phase + 0.25);
        let swings: f32 = self.waves.iter().map(swing).sum();
        self.period * (1.0 + self.widening * (1.0 - rise(-220.0, -20.0, y)) + swings)
    }

    /// How near a place is to a core or delta: 1 at it, 0 far from all.
    pub(crate) fn knot(&self, x: f32, y: f32) -> f32 {
        let near = |p: &Pole| {
            let squared = (x - p.at.x) * (x - p.at.x) + (y - p.at.y) * (y - p.at.y);
            1.0 / (1.0 + squared / (35.0 * 35.0))
        };
        self.poles.iter().map(near).fold(0.0, f32::max)
    }
}

/// Nearly the sine of so many turns, by two parabolas: nobody can tell, and it is asked for by the hundreds a finger.
fn swung(turns: f32) -> f32 {
    /// More turns than there are on any finger, so that what is cut off is below zero.
    const MANY: i32 = 64;
    let t = turns - ((turns + MANY as f32 + 0.5) as i32 - MANY) as f32;
    t * (8.0 - 16.0 * libm::fabsf(t))
}

/// From 0 at `from` to 1 at `to`, smoothly.
fn rise(from: f32, to: f32, at: f32) -> f32 {
    let t = ((at - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::random::Purpose;

    #[test]
    fn the_field_turns_once_round_a_core_and_back_round_a_delta() {
        for seed in 1..40 {
            let field = Field::draw((9.0, 0.8), &mut Stream::new(seed, Purpose::Template, 0));
            for pole in &field.poles {
                // The cores of a tight whorl lie 8 pixels apart.
                let around = |k: i32| {
                    let a = k as f32 * core::f32::consts::TAU / 360.0;
                    field.angle(pole.at.x + 3.0 * libm::cosf(a), pole.at.y + 3.0 * libm::sinf(a))
                };
                let half = core::f32::consts::PI;
                let step = |k| {
                    let step = around(k + 1) - around(k);
                    step - half * libm::roundf(step / half)
                };
                let turns = (0..360).map(step).sum::<f32>() / half;
                assert_eq!(libm::roundf(turns), if pole.at.core { 1.0 } else { -1.0 }, "{seed}");
            }
        }
    }

    #[test]
    fn a_swing_is_nearly_a_sine() {
        for step in -400..400 {
            let turns = step as f32 / 100.0;
            let sine = libm::sinf(core::f32::consts::TAU * turns);
            assert!((swung(turns) - sine).abs() < 0.06, "{turns}");
        }
    }

    #[test]
    fn ridges_are_as_far_apart_as_those_of_fingers_and_wider_towards_the_joint() {
        for seed in 1..40 {
            let field = Field::draw((9.0, 0.8), &mut Stream::new(seed, Purpose::Template, 0));
            assert!((5.0..17.0).contains(&field.period(0.0, 0.0)));
            assert!(field.period(40.0, -230.0) > 0.8 * field.period(40.0, 50.0));
        }
    }
}
