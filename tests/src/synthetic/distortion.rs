//! Where a pixel of the reader lies on the finger, and back.
//!
//! A finger lies turned and shifted on the glass, and its skin gives: the middle of the contact
//! sticks, the rest is dragged along by the bone, and between them the skin stretches (Cappelli,
//! Maio, Maltoni: "Modelling plastic distortion in fingerprint images", 2001).
//! Invariant: the two ways are each other's inverse to a hundredth of a pixel.

use super::{
    conditions::Press,
    map::{Map, smoothstep},
    master::{HEIGHT, WIDTH},
    random::Stream,
};

/// The way between reader and finger for one press.
pub(crate) struct Distortion<'a> {
    press: &'a Press,
    sin: f32,
    cos: f32,
    twist_sin: f32,
    twist_cos: f32,
    /// The skin's give sideways and along, in cells of [`CELL`] pixels.
    give: [Map; 2],
}

/// Side of a cell of the give, in pixels.
const CELL: f32 = 8.0;

/// Rounds of the search for a place's image; each leaves less than two thirds of the error.
const ROUNDS: usize = 24;

impl<'a> Distortion<'a> {
    pub(crate) fn new(press: &'a Press, stream: &mut Stream) -> Self {
        let (columns, rows) = (WIDTH / CELL as usize + 1, HEIGHT / CELL as usize + 1);
        // Hills as far apart as ten ridges, so that neighbours stay neighbours.
        let mut give = || Map::patches(columns, rows, 11.0, stream);
        Self {
            give: [give(), give()],
            sin: libm::sinf(press.turn),
            cos: libm::cosf(press.turn),
            twist_sin: libm::sinf(press.drag.2),
            twist_cos: libm::cosf(press.drag.2),
            press,
        }
    }

    /// The place on the finger as it would lie under a pixel if skin were stiff.
    pub(crate) fn stiff(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.press.place.0, y - self.press.place.1);
        // Rows run down: a turn counter-clockwise as seen has these signs.
        (
            self.press.contact.0 + self.cos * dx - self.sin * dy,
            self.press.contact.1 + self.sin * dx + self.cos * dy,
        )
    }

    /// How far from the middle of the contact a stiff place is: 1 at its border.
    pub(crate) fn eccentricity(&self, (x, y): (f32, f32)) -> f32 {
        let (u, v) = self.scaled(x, y);
        let (u2, v2) = (u * u, v * v);
        let round = (u2 + v2).sqrt();
        if v <= 0.0 {
            return round;
        }
        // Towards the joint the contact is squarer than an ellipse.
        0.5 * (round + (u2 * u2 + v2 * v2).sqrt().sqrt())
    }

    fn scaled(&self, x: f32, y: f32) -> (f32, f32) {
        let (cx, cy) = self.press.contact;
        ((x - cx) / self.press.reach.0, (y - cy) / self.press.reach.1)
    }

    /// The place of the skin that came to lie on a stiff place.
    pub(crate) fn skin(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let (cx, cy) = self.press.contact;
        let (u, v) = self.scaled(x, y);
        let slip = smoothstep(self.press.stuck, self.press.stuck + 1.0, (u * u + v * v).sqrt());
        let (dx, dy) = (x - cx, y - cy);
        let moved_x = self.twist_cos * dx - self.twist_sin * dy - dx + self.press.drag.0;
        let moved_y = self.twist_sin * dx + self.twist_cos * dy - dy + self.press.drag.1;
        let [give_x, give_y] = &self.give;
        (
            x + slip * moved_x + self.press.give * give_x.sample(x / CELL, y / CELL),
            y + slip * moved_y + self.press.give * give_y.sample(x / CELL, y / CELL),
        )
    }

    /// The pixel (with fractions) on which a place of the skin came to lie.
    pub(crate) fn pixel(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let (sx, sy) = self.unskin((x, y));
        let (dx, dy) = (sx - self.press.contact.0, sy - self.press.contact.1);
        (
            self.press.place.0 + self.cos * dx + self.sin * dy,
            self.press.place.1 - self.sin * dx + self.cos * dy,
        )
    }

    /// The stiff place on which a place of the skin came to lie.
    pub(crate) fn unskin(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let (mut sx, mut sy) = (x, y);
        for _ in 0..ROUNDS {
            let (fx, fy) = self.skin((sx, sy));
            (sx, sy) = (sx + x - fx, sy + y - fy);
        }
        (sx, sy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{conditions::Conditions, master::Master, random::Purpose};

    #[test]
    fn the_way_to_the_skin_and_back_ends_where_it_began_even_under_hard_conditions() {
        let master = Master::new(9);
        for number in 0..20 {
            let mut stream = Stream::new(9, Purpose::Pose, number);
            let press = Press::draw(&mut stream, &Conditions::hard(), &master);
            let way = Distortion::new(&press, &mut stream);
            for (x, y) in [(60.0, 40.0), (200.0, 190.0), (330.0, 120.0), (150.0, 350.0)] {
                let (bx, by) = way.pixel(way.skin(way.stiff(x, y)));
                assert!((bx - x).abs() < 0.01 && (by - y).abs() < 0.01, "{x} {y} became {bx} {by}");
            }
        }
    }
}
