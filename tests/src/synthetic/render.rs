//! From skin to grey levels: which parts of the ridges touch the glass, and what the reader sees.
//!
//! A ridge touches where its height, pressed down, exceeds the glass: towards the border of the
//! contact and on dry skin only the highest grains do, so ridges thin out into dots there, as on real
//! readers, while wet skin closes the valleys.

use super::{
    conditions::{Conditions, Press},
    distortion::Distortion,
    map::{Map, smoothstep},
    master::Master,
    random::{Purpose, Stream},
};

/// Half the width of the step from untouched to touched, in units of ridge height.
const SOFTNESS: f32 = 0.42;
/// What the reader shows where nothing touches.
const PAPER: f32 = 254.0;

/// Where nothing touches any more, as eccentricity.
const FADES_TO: f32 = 1.07;

/// The grey levels of one impression.
pub(crate) fn render(
    master: &Master,
    press: &Press,
    way: &Distortion<'_>,
    conditions: &Conditions,
    seed: u64,
    number: u64,
) -> Vec<u8> {
    let (width, height) = (conditions.width as usize, conditions.height as usize);
    let mut surface = Stream::new(seed, Purpose::Surface, number);
    let patches = Map::patches(width, height, 42.0, &mut surface);
    let shading = Map::patches(width, height, 70.0, &mut surface);
    let grain = Map::grain(width, height, 2, &mut surface);
    let rim = Map::patches(width, height, 18.0, &mut surface);
    let wear = Map::patches(width, height, 48.0, &mut surface);
    let mut blots = blots(width, height, press.blots, &mut surface);
    for (blot, rim) in blots.data.iter_mut().zip(&rim.data) {
        *blot *= (0.75 + 0.6 * rim).clamp(0.0, 1.6);
    }
    let touch = Map::from_fn(width, height, |x, y| {
        let stiff = way.stiff(x, y);
        let off = way.eccentricity(stiff) + 0.035 * rim.nearest(x, y);
        if off > FADES_TO {
            return 0.0;
        }
        let (sx, sy) = way.skin(stiff);
        if !master.covers(sx, sy) {
            return 0.0;
        }
        let fade = smoothstep(press.fades_from, FADES_TO, off);
        let unevenness = 0.75 * master.grain.nearest(sx, sy) + 0.65 * grain.nearest(x, y);
        // Skin is not worn evenly, and what is smudged is rough.
        let roughness =
            press.roughness * (1.0 + 0.65 * wear.nearest(x, y)).max(0.25) + 0.35 * blots.nearest(x, y).abs();
        let raised = master.pattern.sample(sx, sy)
            + press.thickness
            + press.patches * patches.nearest(x, y)
            + blots.nearest(x, y)
            - roughness * (1.0 + 0.3 * fade) * unevenness
            - press.pores * master.pores.sample(sx, sy)
            - press.creases * master.creases.sample(sx, sy)
            - 2.4 * fade;
        let depth =
            (press.ink * (1.0 - 0.25 * off * off) * (1.0 + 0.10 * shading.nearest(x, y))).clamp(0.3, 1.0);
        depth * smoothstep(-SOFTNESS, SOFTNESS, raised)
    });
    // The lens is not perfectly sharp.
    let mut seen = touch.blurred(1);
    scatter_dirt(&mut seen, press.dirt, &mut surface);
    let mut sensor = Stream::new(seed, Purpose::Sensor, number);
    seen.data
        .iter()
        .map(|&dark| {
            // Glass without a finger is quiet, ridges are not.
            let noise = press.sensor_noise * (0.12 + 1.1 * dark) * sensor.normal();
            (PAPER * (1.0 - dark) + noise).clamp(0.0, 255.0) as u8
        })
        .collect()
}

/// Spots of moisture, where valleys close, and of grease or dents, where ridges do not touch.
fn blots(width: usize, height: usize, count: usize, stream: &mut Stream) -> Map {
    let mut map = Map::zero(width, height);
    for _ in 0..count {
        let (x, y) = (stream.range(0.15, 0.85) * width as f32, stream.range(0.1, 0.9) * height as f32);
        let (radius, flat) = (stream.range(9.0, 30.0), stream.range(0.5, 1.0));
        let strength = if stream.unit() < 0.5 { -1.0 } else { 1.0 } * stream.range(0.5, 1.2);
        for (at, cell) in map.data.iter_mut().enumerate() {
            let (dx, dy) = ((at % width) as f32 - x, ((at / width) as f32 - y) / flat);
            let far = dx * dx + dy * dy;
            if far < 4.0 * radius * radius {
                *cell += strength * smoothstep(4.0, 0.4, far / (radius * radius));
            }
        }
    }
    map
}

/// Faint specks on the glass.
fn scatter_dirt(seen: &mut Map, count: usize, stream: &mut Stream) {
    for _ in 0..count {
        let (x, y) = (stream.below(seen.width - 4) + 2, stream.below(seen.height - 4) + 2);
        let dark = stream.range(0.05, 0.3);
        let (w, h) = (1 + stream.below(3), 1 + stream.below(3));
        for cy in y - h / 2..=y + h / 2 {
            for cx in x - w / 2..=x + w / 2 {
                let cell = &mut seen.data[cy * seen.width + cx];
                *cell = cell.max(dark * stream.range(0.4, 1.0));
            }
        }
    }
}
