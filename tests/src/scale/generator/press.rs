//! One impression of a finger as a template: laid on the reader anew, its skin stretched, some minutiae lost, some found
//! where there are none, all a little off.

use authenteon_matcher::{Minutia, MinutiaKind, Template, TemplateError};

use super::{Made, readers::Reader};
use crate::synthetic::random::{Purpose, Stream};

/// Share of a finger's minutiae that an impression misses in the middle of the contact, and at its border.
const LOST: (f32, f32) = (0.08, 0.20);
/// Those found where there are none, as a share of the others.
const FALSE: f32 = 0.10;
/// Share of those that both skeletons show, an ending and a bifurcation at nearly one place.
const TWINS: f32 = 0.022;
/// Share whose kind is taken for the other.
const MISTAKEN: f32 = 0.12;
/// Deviation of a minutia's place, pixels, and of its direction, radians.
const OFF: f32 = 1.0;
const OFF_TURN: f32 = 0.02;
/// Height and length of the waves that the skin is stretched in, pixels.
const STRETCH: f32 = 2.5;
const STRETCH_LENGTH: f32 = 240.0;
/// Nothing is found nearer to the border of the contact than this, pixels.
const BORDER: f32 = 8.0;
/// No two are nearer to each other, twins apart, pixels.
const APART: f32 = 10.0;
/// How much worse minutiae are at a core or delta, and at the border.
const WORSE_AT_KNOT: f32 = 20.0;
const WORSE_AT_BORDER: f32 = 14.0;
/// How far the middle of the contact is from the middle of the pad, deviations across and along, pixels.
pub(super) const ROLL: (f32, f32) = (9.0, 14.0);

/// Where and how a finger is pressed down.
struct Press {
    cos: f32,
    sin: f32,
    turn: f32,
    /// The middle of the contact on the reader, pixels from the top left, and on the finger, from the pad's middle.
    place: (f32, f32),
    contact: (f32, f32),
    reach: (f32, f32),
    stretch: (f32, f32),
}

/// Deviation of a finger's turn on the reader, radians.
const TURN: f32 = 0.12;

impl Press {
    fn draw(reader: &Reader, stream: &mut Stream) -> Self {
        let turn = TURN * stream.bell();
        let mut about = |mean: (f32, f32), spread: (f32, f32)| {
            (mean.0 + spread.0 * stream.bell(), mean.1 + spread.1 * stream.bell())
        };
        let size = about((1.0, 1.0), reader.reach_spread);
        let place = about(reader.centre, reader.shift);
        let contact = about((0.0, 0.0), ROLL);
        Self {
            cos: libm::cosf(turn),
            sin: libm::sinf(turn),
            turn,
            place,
            contact,
            reach: (reader.reach.0 * size.0, reader.reach.1 * size.1),
            stretch: (stream.range(0.0, core::f32::consts::TAU), stream.range(0.0, core::f32::consts::TAU)),
        }
    }

    /// From the finger, as an offset from the middle of the contact, to the reader.
    fn pixel(&self, x: f32, y: f32) -> (f32, f32) {
        let wave = core::f32::consts::TAU / STRETCH_LENGTH;
        let (dx, dy) = (
            x + STRETCH * libm::sinf(wave * y + self.stretch.0),
            y + STRETCH * libm::sinf(wave * x + self.stretch.1),
        );
        // Rows run down.
        (self.place.0 + self.cos * dx - self.sin * dy, self.place.1 - self.sin * dx - self.cos * dy)
    }

    /// From the reader back to the offset; how the skin is stretched is left out.
    fn offset(&self, px: f32, py: f32) -> (f32, f32) {
        let (dx, dy) = (px - self.place.0, self.place.1 - py);
        (self.cos * dx + self.sin * dy, -self.sin * dx + self.cos * dy)
    }

    /// How far out in the contact less a border an offset is, squared: 1 at its end.
    fn out(&self, (x, y): (f32, f32), border: f32) -> f32 {
        let (u, v) = (x / (self.reach.0 - border), y / (self.reach.1 - border));
        u * u + v * v
    }
}

/// What is found on the reader.
struct Found<'a> {
    press: &'a Press,
    made: &'a Made,
    quality: f32,
    minutiae: Vec<Minutia>,
}

impl Found<'_> {
    /// Whether a place on the reader is that of a minutia of the image.
    fn inside(&self, (px, py): (f32, f32)) -> bool {
        let (width, height) = self.made.reader.size;
        px >= BORDER && py >= BORDER && px < f32::from(width) - BORDER && py < f32::from(height) - BORDER
    }

    fn crowded(&self, (px, py): (f32, f32)) -> bool {
        self.minutiae.iter().any(|m| {
            let (dx, dy) = (px - f32::from(m.x) / 10.0, py - f32::from(m.y) / 10.0);
            dx * dx + dy * dy < APART * APART
        })
    }

    /// Keeps one at a place of the reader; `worse` lessens its quality.
    fn keep(&mut self, (px, py): (f32, f32), direction: f32, kind: MinutiaKind, clarity: f32, worse: f32) {
        let spread = self.made.reader.quality[3];
        self.minutiae.push(Minutia {
            x: (px * 10.0) as u16,
            y: (py * 10.0) as u16,
            angle: steps(direction + self.press.turn),
            kind,
            quality: (self.quality + spread * clarity - worse).clamp(10.0, 99.0) as u8,
        });
    }
}

/// The template of a finger's press.
pub(super) fn press(made: &Made, number: u64) -> Result<Template, TemplateError> {
    let reader = made.reader;
    let mut stream = Stream::new(made.seed, Purpose::TemplatePress, number);
    let press = Press::draw(reader, &mut stream);
    let quality = made.quality + reader.quality[2] * stream.bell();
    let mut found = Found { press: &press, made, quality, minutiae: Vec::with_capacity(96) };
    let worse = |(x, y): (f32, f32), out: f32| {
        let knot = made.field.knot(x + press.contact.0, y + press.contact.1);
        WORSE_AT_KNOT * knot * knot + WORSE_AT_BORDER * out * out
    };
    // Some presses show less than others.
    let poor = reader.poor * libm::fabsf(stream.bell());
    let mut within = 0.0f32;
    for m in &made.minutiae {
        let at = (m.x - press.contact.0, m.y - press.contact.1);
        let out = press.out(at, BORDER);
        if out > 1.0 {
            continue;
        }
        within += 1.0;
        // The clear ones are missed more rarely.
        let lost = (poor + LOST.0 + (LOST.1 - LOST.0) * out) * (1.0 - 0.35 * m.clarity).max(0.1);
        if stream.unit() < lost {
            continue;
        }
        let moved = (at.0 + OFF * stream.bell(), at.1 + OFF * stream.bell());
        let place = press.pixel(moved.0, moved.1);
        if !found.inside(place) {
            continue;
        }
        let kind = if stream.unit() < MISTAKEN { other(m.kind) } else { m.kind };
        let direction = m.direction + OFF_TURN * stream.bell();
        let clarity = 0.6 * m.clarity + 0.8 * stream.bell();
        found.keep(place, direction, kind, clarity, worse(at, out));
        if stream.unit() < TWINS {
            let (far, way) = (stream.range(4.0, 8.0), stream.range(0.0, core::f32::consts::TAU));
            let beside = (place.0 + far * libm::cosf(way), place.1 + far * libm::sinf(way));
            found.keep(beside, direction, other(kind), clarity - 0.5, worse(at, out));
        }
    }
    for _ in 0..libm::roundf(FALSE * within * stream.range(0.0, 2.0)) as usize {
        let (u, v) = (stream.range(-1.0, 1.0), stream.range(-1.0, 1.0));
        let at = (u * press.reach.0, v * press.reach.1);
        let place = press.pixel(at.0, at.1);
        let out = press.out(at, BORDER);
        if out > 1.0 || !found.inside(place) || found.crowded(place) {
            continue;
        }
        let along = made.field.angle(at.0 + press.contact.0, at.1 + press.contact.1);
        let back = if stream.unit() < 0.5 { core::f32::consts::PI } else { 0.0 };
        let kind = if stream.unit() < 0.5 { MinutiaKind::Ending } else { MinutiaKind::Bifurcation };
        let direction = along + back + 0.06 * stream.bell();
        found.keep(place, direction, kind, 0.8 * stream.bell() - 0.8, worse(at, out));
    }
    let flow = |px: f32, py: f32| {
        let at = press.offset(px, py);
        (press.out(at, 0.0) < reader.clear * reader.clear).then(|| {
            let (x, y) = (at.0 + press.contact.0, at.1 + press.contact.1);
            (made.field.angle(x, y) + press.turn, made.field.period(x, y))
        })
    };
    let (width, height) = reader.size;
    Ok(Template::from_minutiae(width, height, found.minutiae)?.with_flow_from(flow))
}

fn other(kind: MinutiaKind) -> MinutiaKind {
    match kind {
        MinutiaKind::Ending => MinutiaKind::Bifurcation,
        MinutiaKind::Bifurcation => MinutiaKind::Ending,
    }
}

/// Radians in 1/256 turns.
fn steps(angle: f32) -> u8 {
    let turns = angle / core::f32::consts::TAU;
    ((turns - libm::floorf(turns)) * 256.0 + 0.5) as u32 as u8
}
