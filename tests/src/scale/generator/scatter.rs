//! Where the minutiae of a finger lie and which way they run: a point process that keeps them apart, more of them where
//! the ridges turn sharply, each along the ridge, and near ones more often the same way than not.

use authenteon_matcher::MinutiaKind;

use super::field::Field;
use crate::synthetic::random::Stream;

/// A minutia of the finger: pixels from the middle of the pad, y up; direction in radians.
#[derive(Clone, Copy)]
pub(crate) struct Planted {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) direction: f32,
    pub(crate) kind: MinutiaKind,
    /// How clearly it is seen, in deviations.
    pub(crate) clarity: f32,
}

/// None is nearer to another than the first, pixels; from the second on nothing is in the way.
const APART: (f32, f32) = (10.2, 11.8);
/// How many times more minutiae there are at a core or delta.
const KNOT: f32 = 0.5;
/// Deviation of a minutia's direction from the ridges' around it, radians, and of the few that swerve more.
const SWERVE: f32 = 0.02;
const SWERVE_MORE: f32 = 0.22;
const SWERVING: f32 = 0.04;
/// Share of minutiae that are endings.
const ENDINGS: f32 = 0.62;
/// Its deviation from finger to finger.
const ENDINGS_SPREAD: f32 = 0.12;
/// How far neighbours have a say in which way a minutia runs, pixels.
const SAY_REACH: f32 = 70.0;
/// Over which distance the spreading of the ridges is looked at, pixels.
const SPREAD_OVER: f32 = 12.0;
/// How much of what a lone dislocation bends a minutia does, from where on, and how far that reaches, pixels.
const BENDS: f32 = 0.4;
const BENDS_FROM: f32 = 17.0;
const BENDS_REACH: f32 = 40.0;
/// Candidates for each minutia wanted, at most.
const PATIENCE: usize = 8;

/// What the minutiae of one finger are like.
#[derive(Clone, Copy)]
pub(crate) struct Scatter {
    /// Half axes of the ellipse around the middle of the pad that they lie in, pixels.
    pub(crate) reach: (f32, f32),
    /// How many on 10,000 square pixels.
    pub(crate) density: f32,
    /// How much neighbours have to say about which way a minutia runs.
    pub(crate) say: f32,
    /// How surely more ridges begin where they spread: 1 as many as the spreading needs.
    pub(crate) spread: f32,
}

/// Scatters them.
pub(crate) fn scatter(
    field: &Field,
    Scatter { reach: (across, along), density, say, spread }: Scatter,
    stream: &mut Stream,
) -> Vec<Planted> {
    let wanted = density * core::f32::consts::PI * across * along / 10_000.0;
    let wanted = libm::roundf(wanted).max(1.0) as usize;
    let endings = ENDINGS + ENDINGS_SPREAD * stream.bell();
    let mut out: Vec<Planted> = Vec::with_capacity(wanted);
    // For each its direction as a vector, by which neighbours are asked.
    let mut ways: Vec<(f32, f32)> = Vec::with_capacity(wanted);
    for _ in 0..wanted * PATIENCE {
        if out.len() == wanted {
            break;
        }
        let (u, v) = (stream.range(-1.0, 1.0), stream.range(-1.0, 1.0));
        let (x, y) = (u * across, v * along);
        if u * u + v * v > 1.0 {
            continue;
        }
        let chance = (1.0 + KNOT * field.knot(x, y)) / (1.0 + KNOT);
        if stream.unit() > chance || stream.unit() > free(&out, x, y) {
            continue;
        }
        let swerve = if stream.unit() < SWERVING { SWERVE_MORE } else { SWERVE };
        let plain = field.angle(x, y);
        let ridge = plain + swerve * stream.bell();
        let (cos, sin) = (libm::cosf(ridge), libm::sinf(ridge));
        let said: f32 = out.iter().zip(&ways).map(|(m, way)| said(m, *way, (x, y), (cos, sin), say)).sum();
        // Ridges that spread by so much make room for so many new ones; all there are share them.
        let new = spreading(field, (x, y), plain, (cos, sin)) / field.period(x, y);
        let odds = said + spread * 2.0 * (new * 10_000.0 / density).clamp(-1.5, 1.5);
        let ahead = stream.unit() < 1.0 / (1.0 + libm::expf(-odds));
        let (direction, way) =
            if ahead { (ridge, (cos, sin)) } else { (ridge + core::f32::consts::PI, (-cos, -sin)) };
        let kind = if stream.unit() < endings { MinutiaKind::Ending } else { MinutiaKind::Bifurcation };
        out.push(Planted { x, y, direction, kind, clarity: stream.bell() });
        ways.push(way);
    }
    bend(&mut out, &ways, field.period(0.0, 0.0));
    out
}

/// How much the ridges turn towards the left of a place, radians a pixel: positive where they spread ahead.
fn spreading(field: &Field, (x, y): (f32, f32), plain: f32, (cos, sin): (f32, f32)) -> f32 {
    let turned = field.angle(x - SPREAD_OVER * sin, y + SPREAD_OVER * cos) - plain;
    let pi = core::f32::consts::PI;
    (turned - pi * libm::roundf(turned / pi)) / SPREAD_OVER
}

/// Turns each minutia as the others bend the ridges around them: the one that begins pushes its neighbours apart.
fn bend(all: &mut [Planted], ways: &[(f32, f32)], period: f32) {
    let most = 4.0 * BENDS_REACH * BENDS_REACH;
    let mut turns = vec![0.0f32; all.len()];
    for (at, (one, way)) in all.iter().zip(ways).enumerate() {
        for (other, (two, two_way)) in all.iter().zip(ways).enumerate().take(at) {
            let (dx, dy) = (two.x - one.x, two.y - one.y);
            let squared = dx * dx + dy * dy;
            if squared > most {
                continue;
            }
            let fades = 1.0 - squared / most;
            let strength = fades * fades / squared.max(BENDS_FROM * BENDS_FROM);
            // How far each lies to the left of the other's way.
            turns[other] += strength * (way.0 * dy - way.1 * dx);
            turns[at] += strength * (two_way.1 * dx - two_way.0 * dy);
        }
    }
    for (m, turn) in all.iter_mut().zip(turns) {
        m.direction += BENDS * period / core::f32::consts::TAU * turn;
    }
}

/// The chance that nothing near is in the way.
fn free(all: &[Planted], x: f32, y: f32) -> f32 {
    let (least, most) = APART;
    let squared = |m: &Planted| (m.x - x) * (m.x - x) + (m.y - y) * (m.y - y);
    let nearest = all.iter().map(squared).fold(most * most, f32::min);
    ((nearest.sqrt() - least) / (most - least)).clamp(0.0, 1.0)
}

/// What a neighbour says for running that way, in logarithms of odds, as found on real prints: rather the same way beside
/// and behind it, the other way close by, most of all ahead, where a short ridge has its other end.
fn said(m: &Planted, way: (f32, f32), (x, y): (f32, f32), (cos, sin): (f32, f32), say: f32) -> f32 {
    let (dx, dy) = (x - m.x, y - m.y);
    let squared = dx * dx + dy * dy;
    if squared > SAY_REACH * SAY_REACH {
        return 0.0;
    }
    let ahead = (way.0 * dx + way.1 * dy) / squared.sqrt().max(1.0);
    let odds = match squared {
        near if near < 20.0 * 20.0 && ahead > 0.85 => -1.2,
        near if near < 20.0 * 20.0 => -0.25,
        near if near < 35.0 * 35.0 => say * (0.68 - 0.56 * ahead * ahead - 0.45 * ahead),
        _ => say * (0.40 - 0.45 * ahead),
    };
    odds * (way.0 * cos + way.1 * sin)
}
