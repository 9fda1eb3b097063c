//! The finger itself: everything that is the same each time it is pressed down.
//!
//! Invariant: a master depends on its seed alone, and its minutiae are those of its own pattern.
//! Places on it are pixels at 500 dpi from the top left of a sheet of [`WIDTH`] by [`HEIGHT`].

use super::{
    class::{Class, singularities},
    gabor::Bank,
    growth::grow,
    map::{Map, smoothstep},
    orientation::Orientation,
    random::{Purpose, Stream},
    truth::{TrueMinutia, minutiae},
};

/// Width of the sheet.
pub(crate) const WIDTH: usize = 400;
/// Height of the sheet.
pub(crate) const HEIGHT: usize = 560;
/// The pad's middle on the sheet.
pub(crate) const MIDDLE: (f32, f32) = (200.0, 250.0);

/// Pixels from the edge of the skin within which the pattern is not trusted.
const MARGIN: usize = 12;

/// One finger.
pub(crate) struct Master {
    pub(crate) class: Class,
    /// Ridges about 1, valleys about -1.
    pub(crate) pattern: Map,
    /// Where there is skin.
    pub(crate) skin: Vec<bool>,
    /// Unevenness of the skin, mean 0, deviation 1.
    pub(crate) grain: Map,
    /// Pores, 1 in their middle.
    pub(crate) pores: Map,
    /// Folds that take no part in contact, 1 in their middle.
    pub(crate) creases: Map,
    pub(crate) minutiae: Vec<TrueMinutia>,
    /// This skin's own dryness (negative) or moisture, in deviations.
    pub(crate) moisture: f32,
    /// How large this finger is, 1 for a common one.
    pub(crate) size: f32,
}

impl Master {
    /// Grows the finger.
    pub(crate) fn new(seed: u64) -> Self {
        let stream = |purpose| Stream::new(seed, purpose, 0);
        let class = Class::draw(&mut stream(Purpose::Class));
        let mut shape = stream(Purpose::Orientation);
        let points = singularities(class, &mut shape);
        let field = Orientation::new(class, points, &mut shape);

        let skin = outline();
        let kernels = kernels(&field, &skin, &mut stream(Purpose::Period));
        let mut growth = stream(Purpose::Growth);
        // The wider apart the specks, the fewer fronts meet, the fewer minutiae.
        let spacing = growth.range(17.0, 30.0);
        let pattern = grow(&skin, &kernels, WIDTH, HEIGHT, spacing, &mut growth);
        let minutiae = minutiae(&pattern, &skin, MARGIN);

        let mut surface = stream(Purpose::Skin);
        let size = 1.0 + 0.06 * surface.normal_within(2.0);
        let moisture = 0.5 * surface.normal_within(2.0);
        let fine = Map::grain(WIDTH, HEIGHT, 2, &mut surface);
        let coarse = Map::grain(WIDTH, HEIGHT, 7, &mut surface);
        let grain = Map::from_fn(WIDTH, HEIGHT, |x, y| 0.7 * fine.nearest(x, y) + 0.7 * coarse.nearest(x, y));
        let pores = pores(&pattern, &mut surface);
        let creases = creases(&mut surface);
        Self { class, pattern, skin, grain, pores, creases, minutiae, moisture, size }
    }

    /// Whether a place is on the skin.
    pub(crate) fn covers(&self, x: f32, y: f32) -> bool {
        x >= 0.0
            && y >= 0.0
            && x < WIDTH as f32
            && y < HEIGHT as f32
            && self.skin[y as usize * WIDTH + x as usize]
    }
}

/// The finger's outline: a round tip on straight sides, down to beyond the joint.
fn outline() -> Vec<bool> {
    let (mx, my) = MIDDLE;
    let mut skin = vec![false; WIDTH * HEIGHT];
    for (at, cell) in skin.iter_mut().enumerate() {
        let (x, y) = ((at % WIDTH) as f32 - mx, (at / WIDTH) as f32 - my);
        let (u, v) = (x / 188.0, (y / 242.0).min(0.0));
        *cell = u * u + v * v < 1.0;
    }
    skin
}

/// The filter that each place of the skin grows with.
fn kernels(field: &Orientation, skin: &[bool], stream: &mut Stream) -> Vec<u16> {
    let (mx, my) = MIDDLE;
    // 0.46 mm between ridges, a little less on small fingers.
    let period = (9.0 + 0.7 * stream.normal_within(2.2)).clamp(7.4, 10.8);
    let widening = stream.range(0.06, 0.22);
    let swing = Map::patches(WIDTH / 4, HEIGHT / 4, 12.0, stream);
    let mut kernels = vec![0; WIDTH * HEIGHT];
    for (at, cell) in kernels.iter_mut().enumerate().filter(|(at, _)| skin[*at]) {
        let (px, py) = ((at % WIDTH) as f32, (at / WIDTH) as f32);
        let (x, y) = (px - mx, my - py);
        // Ridges stand wider apart towards the joint.
        let low = widening * smoothstep(-20.0, -220.0, y);
        let local = period * (1.0 + low + 0.06 * swing.sample(px / 4.0, py / 4.0));
        *cell = Bank::index(field.at(x, y), local);
    }
    kernels
}

/// Pores along the crests.
fn pores(pattern: &Map, stream: &mut Stream) -> Map {
    let mut map = Map::zero(WIDTH, HEIGHT);
    for _ in 0..6000 {
        let (x, y) = (stream.range(4.0, WIDTH as f32 - 5.0), stream.range(4.0, HEIGHT as f32 - 5.0));
        let depth = stream.range(0.3, 1.0);
        if pattern.nearest(x, y) > 0.75 && map.nearest(x, y) < 0.05 {
            stamp(&mut map, x, y, 1.1, depth);
        }
    }
    map
}

/// Folds: a few thin ones anywhere, and the thick ones at the joint.
fn creases(stream: &mut Stream) -> Map {
    let mut map = Map::zero(WIDTH, HEIGHT);
    // Most fingers have none or two, a few are full of them.
    let count = (libm::fabsf(stream.normal()) * 3.2) as usize;
    for _ in 0..count {
        let (x, y) = (stream.range(60.0, 340.0), stream.range(90.0, 470.0));
        let tilt = 0.35 * stream.normal_within(2.5);
        let length = stream.range(20.0, 110.0);
        let width = stream.range(0.7, 2.1);
        fold(&mut map, (x, y), tilt, length, width, stream);
    }
    let joint = stream.range(470.0, 530.0);
    for _ in 0..3 {
        let (y, width) = (joint + stream.range(-14.0, 14.0), stream.range(2.0, 4.5));
        let tilt = 0.05 * stream.normal_within(2.0);
        fold(&mut map, (200.0, y), tilt, 380.0, width, stream);
    }
    map
}

/// One fold through a place.
fn fold(map: &mut Map, (x, y): (f32, f32), tilt: f32, length: f32, width: f32, stream: &mut Stream) {
    let (mut x, mut y) = (x - 0.5 * length * libm::cosf(tilt), y + 0.5 * length * libm::sinf(tilt));
    let (mut angle, steps) = (tilt, length as usize);
    for step in 0..steps {
        let t = step as f32 / steps as f32;
        // Thin at both ends.
        let here = width * (4.0 * t * (1.0 - t)).min(1.0);
        stamp(map, x, y, here.max(0.4), 1.0);
        angle += 0.05 * stream.normal_within(2.0) - 0.02 * (angle - tilt);
        x += libm::cosf(angle);
        y -= libm::sinf(angle);
    }
}

/// A soft dot; where dots overlap the strongest counts.
fn stamp(map: &mut Map, x: f32, y: f32, radius: f32, strength: f32) {
    let reach = radius * 2.6 + 1.0;
    let low = |v: f32| (v - reach).max(0.0) as usize;
    let high = |v: f32, n: usize| ((v + reach).max(0.0) as usize + 1).min(n);
    for cy in low(y)..high(y, map.height) {
        for cx in low(x)..high(x, map.width) {
            let (dx, dy) = (cx as f32 - x, cy as f32 - y);
            let value = strength * libm::expf(-(dx * dx + dy * dy) / (2.0 * radius * radius));
            let cell = &mut map.data[cy * map.width + cx];
            *cell = cell.max(value);
        }
    }
}
