//! Under which conditions a finger is pressed down, and what one press comes to.
//!
//! [`Conditions`] are distributions, the difficulty of a whole set; [`Press`] is what was drawn from
//! them for one impression. Invariant: a press depends on the stream, the conditions and the finger's
//! own traits alone.

use super::{master::Master, random::Stream};

/// Difficulty of a set of impressions. The default is meant to be as hard as FVC2002 DB1: an optical
/// reader, volunteers, and now and then somebody told to exaggerate.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Width of the reader's image in pixels at 500 dpi.
    pub width: u32,
    /// Height of the reader's image in pixels at 500 dpi.
    pub height: u32,
    /// Deviation of the finger's turn on the reader, in degrees.
    pub rotation: f32,
    /// Deviation of its place on the reader, in pixels.
    pub shift: f32,
    /// Deviation of the place on the finger that touches first, in pixels.
    pub roll: f32,
    /// Plastic distortion of the skin: 0 none, 1 as found, 2 exaggerated.
    pub distortion: f32,
    /// Mean moisture: negative dry, positive wet, in deviations of what is found.
    pub moisture: f32,
    /// Deviation of moisture and pressure between impressions, 1 as found.
    pub spread: f32,
    /// Grain, patches, scratches and dirt: 0 none, 1 as found.
    pub noise: f32,
    /// Share of impressions that go wrong: far off, far turned, hardly touching, very dry or wet.
    pub mishaps: f32,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            width: 388,
            height: 374,
            rotation: 10.0,
            shift: 26.0,
            roll: 31.0,
            distortion: 1.0,
            moisture: 0.0,
            spread: 1.0,
            noise: 1.0,
            mishaps: 0.2,
        }
    }
}

impl Conditions {
    /// Somebody who takes care, on a clean reader: what an enrolment should look like.
    #[must_use]
    pub fn good() -> Self {
        Self {
            rotation: 5.0,
            shift: 9.0,
            roll: 8.0,
            distortion: 0.6,
            moisture: 0.1,
            spread: 0.45,
            noise: 0.55,
            mishaps: 0.0,
            ..Self::default()
        }
    }

    /// Unattended, in a hurry, with all skins and weathers.
    #[must_use]
    pub fn hard() -> Self {
        Self {
            rotation: 14.0,
            shift: 26.0,
            roll: 24.0,
            distortion: 1.5,
            moisture: -0.2,
            spread: 1.25,
            noise: 1.35,
            mishaps: 0.35,
            ..Self::default()
        }
    }
}

/// One press of a finger on the reader.
#[derive(Clone, Debug)]
pub(crate) struct Press {
    /// The finger's turn, radians, counter-clockwise as seen.
    pub(crate) turn: f32,
    /// Where the middle of the contact lies on the reader.
    pub(crate) place: (f32, f32),
    /// Where it lies on the finger.
    pub(crate) contact: (f32, f32),
    /// Half width and half height of the contact, in pixels.
    pub(crate) reach: (f32, f32),
    /// How the skin was dragged: sideways in pixels, and turned in radians.
    pub(crate) drag: (f32, f32, f32),
    /// How far the skin gives here and there besides, in pixels.
    pub(crate) give: f32,
    /// Share of the contact that sticks to the glass while the rest is dragged.
    pub(crate) stuck: f32,
    /// Thickness of ridges: 0 as wide as the valleys, positive wider.
    pub(crate) thickness: f32,
    /// Strength of the skin's grain: how much ridges are broken up.
    pub(crate) roughness: f32,
    /// Strength of dry and wet patches.
    pub(crate) patches: f32,
    /// Smudges and spots that hardly touch: how many.
    pub(crate) blots: usize,
    /// How visible pores are.
    pub(crate) pores: f32,
    /// How visible folds are.
    pub(crate) creases: f32,
    /// Where the contact begins to fade, as eccentricity.
    pub(crate) fades_from: f32,
    /// How dark ridges get, 0 to 1.
    pub(crate) ink: f32,
    /// Noise of the reader, grey levels.
    pub(crate) sensor_noise: f32,
    /// Scratches and specks of dirt.
    pub(crate) dirt: usize,
}

impl Press {
    /// Draws a press of this finger.
    pub(crate) fn draw(stream: &mut Stream, conditions: &Conditions, master: &Master) -> Self {
        let c = conditions;
        let mishap = stream.unit() < c.mishaps;
        let which = stream.below(4);
        let wrong = |kind: usize| mishap && which == kind;
        let sign = if stream.unit() < 0.5 { -1.0 } else { 1.0 };

        let moisture = c.moisture
            + c.spread * (master.moisture + 0.75 * stream.normal_within(2.2))
            + if wrong(0) { 1.5 * sign } else { 0.0 };
        let dry = (-moisture).max(0.0);
        let wet = moisture.max(0.0);
        let pressure = c.spread * stream.normal_within(2.2) - if wrong(1) { 2.6 } else { 0.0 };

        let turn = c.rotation * stream.normal_within(2.6) + if wrong(2) { 22.0 * sign } else { 0.0 };
        let off = if wrong(3) { 2.4 } else { 1.0 };
        let place = (
            0.5 * c.width as f32 + c.shift * off * stream.normal_within(2.2),
            0.5 * c.height as f32 + 8.0 + 1.3 * c.shift * off * stream.normal_within(2.2),
        );
        let (mx, my) = super::master::MIDDLE;
        let contact = (
            mx + 0.8 * c.roll * off * stream.normal_within(2.2),
            my + 22.0 + 1.4 * c.roll * off * stream.normal_within(2.2),
        );
        let width = master.size * (124.0 + 11.0 * pressure);
        let height = master.size * (188.0 + 19.0 * pressure);
        Self {
            turn: turn.to_radians(),
            place,
            contact,
            reach: (width.clamp(82.0, 160.0), height.clamp(105.0, 235.0)),
            drag: (
                c.distortion * 11.0 * stream.normal_within(2.2),
                c.distortion * 11.0 * stream.normal_within(2.2),
                c.distortion * 0.09 * stream.normal_within(2.2),
            ),
            give: c.distortion * stream.range(1.2, 2.4),
            stuck: stream.range(0.25, 0.6),
            thickness: (0.02 + 0.30 * moisture + 0.10 * pressure).clamp(-0.62, 0.62),
            roughness: (c.noise * (0.24 + 0.30 * dry + 0.06 * wet + 0.14 * libm::fabsf(stream.normal())))
                .min(0.8),
            patches: c.noise * (0.22 + 0.09 * libm::fabsf(stream.normal())),
            blots: (c.noise * 2.2 * libm::fabsf(stream.normal_within(2.5))) as usize,
            pores: stream.range(0.2, 1.0) * (1.0 + 0.4 * wet),
            creases: 2.2 * stream.range(0.5, 1.0) * (1.0 - 0.25 * wet.min(2.0)),
            fades_from: stream.range(0.80, 0.96),
            ink: (0.88 + 0.06 * pressure - 0.15 * dry + 0.05 * stream.normal_within(2.0)).clamp(0.5, 1.0),
            sensor_noise: c.noise * stream.range(2.0, 5.0),
            dirt: (c.noise * stream.range(0.0, 9.0)) as usize,
        }
    }
}
