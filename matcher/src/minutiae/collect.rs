//! Ends and forks of one skeleton, with the direction found by following the lines.

use super::{
    Candidate, MinutiaKind,
    skeleton::{Point, Stop, branches, walk},
};
use crate::{
    params::{TRACK_MIN, TRACK_REACH},
    ridge::{bits::Bits, orientation::Orientation},
};

/// The minutiae of one skeleton. `ends` and `forks` say what an end and a fork of these lines is:
/// on the valleys they change places.
pub(crate) fn collect(
    bits: &Bits,
    orientation: &Orientation,
    ends: MinutiaKind,
    forks: MinutiaKind,
) -> Vec<Candidate> {
    let mut out = Vec::new();
    for at in bits.ones() {
        let ways = branches(bits, at);
        let found = match ways.count() {
            1 => end(bits, at, ways.starts()[0], ends),
            3 => fork(bits, at, ways.starts(), forks),
            _ => None,
        };
        out.extend(found.map(|c| straighten(c, orientation)));
    }
    out
}

fn towards(from: Point, to: Point) -> (f32, f32) {
    let (dx, dy) = ((to.0 - from.0) as f32, (to.1 - from.1) as f32);
    let length = (dx * dx + dy * dy).sqrt().max(1e-3);
    (dx / length, dy / length)
}

fn end(bits: &Bits, at: Point, first: Point, kind: MinutiaKind) -> Option<Candidate> {
    let way = walk(bits, at, first, TRACK_REACH);
    if way.path.len() < TRACK_MIN {
        return None;
    }
    let (dx, dy) = towards(at, *way.path.last()?);
    let quality = way.path.len() as f32 / TRACK_REACH as f32;
    Some(Candidate { x: at.0 as f32, y: at.1 as f32, dx, dy, kind, quality })
}

fn fork(bits: &Bits, at: Point, starts: &[Point], kind: MinutiaKind) -> Option<Candidate> {
    let mut arms = [(0.0f32, 0.0f32); 3];
    let mut shortest = TRACK_REACH;
    for (arm, &first) in arms.iter_mut().zip(starts) {
        let way = walk(bits, at, first, TRACK_REACH);
        if way.path.len() < TRACK_MIN {
            return None;
        }
        if way.stop != Stop::Far {
            shortest = shortest.min(way.path.len());
        }
        *arm = towards(at, *way.path.last()?);
    }
    // The two arms with the least angle between them enclose the valley.
    let dot = |i: usize, j: usize| arms[i].0 * arms[j].0 + arms[i].1 * arms[j].1;
    let (i, j, k) = [(0, 1, 2), (0, 2, 1), (1, 2, 0)]
        .into_iter()
        .max_by(|a, b| dot(a.0, a.1).total_cmp(&dot(b.0, b.1)))?;
    let (sx, sy) = (arms[i].0 + arms[j].0, arms[i].1 + arms[j].1);
    let length = (sx * sx + sy * sy).sqrt();
    if length < 0.5 {
        return None;
    }
    let (dx, dy) = (sx / length, sy / length);
    // The third arm leaves on the other side.
    if dx * arms[k].0 + dy * arms[k].1 > -0.2 {
        return None;
    }
    let quality = shortest as f32 / TRACK_REACH as f32;
    Some(Candidate { x: at.0 as f32, y: at.1 as f32, dx, dy, kind, quality })
}

/// Takes the line from the orientation field, a little way along, and keeps the side.
fn straighten(mut c: Candidate, orientation: &Orientation) -> Candidate {
    let (mut sx, mut sy) = (0.0f32, 0.0f32);
    for step in [0.0f32, 4.0, 8.0] {
        let (vx, vy) = orientation.vector(c.x + step * c.dx, c.y + step * c.dy);
        sx += vx;
        sy += vy;
    }
    let angle = 0.5 * libm::atan2f(sy, sx);
    let (s, k) = (libm::sinf(angle), libm::cosf(angle));
    let along = k * c.dx + s * c.dy;
    if along.abs() < 0.5 {
        // The field does not know better (a core or a delta); keep what was followed.
        c.quality *= 0.5;
        return c;
    }
    (c.dx, c.dy) = if along < 0.0 { (-k, -s) } else { (k, s) };
    c
}
