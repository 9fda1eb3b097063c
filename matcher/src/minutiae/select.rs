//! Which candidates become minutiae: inside the finger, not on its border, not facing pairs of a
//! broken line, not crowds; and how good each is.

use super::{Candidate, Minutia};
use crate::{
    image::{grid::Grid, plane::Plane},
    params::{BORDER, CELL, CROWD_SIGMA, FACING_DISTANCE, QUALITY_FLOOR},
    ridge::orientation::Orientation,
    template::Template,
};

/// Filters, grades and rounds the candidates.
pub(crate) fn select(
    candidates: Vec<Candidate>,
    mask: &Plane<bool>,
    orientation: &Orientation,
    clarity: &Plane<f32>,
    size: (usize, usize),
) -> Vec<Minutia> {
    let mut kept: Vec<Candidate> = candidates.into_iter().filter(|c| inside(c, mask)).collect();
    drop_facing(&mut kept);
    grade(&mut kept, orientation, clarity, size);
    kept.retain(|c| c.quality >= QUALITY_FLOOR);
    kept.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.y.total_cmp(&b.y)).then(a.x.total_cmp(&b.x)));
    kept.truncate(Template::MAX_MINUTIAE);
    kept.iter().map(|c| round(c, size)).collect()
}

fn covered(mask: &Plane<bool>, x: f32, y: f32) -> bool {
    x >= 0.0 && y >= 0.0 && mask.get(x as i32 / CELL as i32, y as i32 / CELL as i32) == Some(true)
}

/// The minutia and a point on its outer side are both on the finger: where the finger ends, every
/// ridge does.
fn inside(c: &Candidate, mask: &Plane<bool>) -> bool {
    covered(mask, c.x, c.y)
        && covered(mask, c.x - BORDER * c.dx, c.y - BORDER * c.dy)
        && covered(mask, c.x - 0.5 * BORDER * c.dy, c.y + 0.5 * BORDER * c.dx)
        && covered(mask, c.x + 0.5 * BORDER * c.dy, c.y - 0.5 * BORDER * c.dx)
}

/// Two minutiae with opposite directions, each behind the other: a line that was torn.
fn drop_facing(list: &mut Vec<Candidate>) {
    let mut gone = vec![false; list.len()];
    for i in 0..list.len() {
        for j in i + 1..list.len() {
            let (a, b) = (&list[i], &list[j]);
            let (x, y) = (b.x - a.x, b.y - a.y);
            let distance2 = x * x + y * y;
            if distance2 > FACING_DISTANCE * FACING_DISTANCE {
                continue;
            }
            if a.dx * b.dx + a.dy * b.dy < -0.7 {
                gone[i] = true;
                gone[j] = true;
            }
        }
    }
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        !gone[at - 1]
    });
}

fn grade(list: &mut [Candidate], orientation: &Orientation, clarity: &Plane<f32>, (w, h): (usize, usize)) {
    let grid = Grid::over(w, h);
    let crowd: Vec<f32> = list
        .iter()
        .map(|a| {
            let sum: f32 = list
                .iter()
                .map(|b| {
                    let (x, y) = (a.x - b.x, a.y - b.y);
                    libm::expf(-(x * x + y * y) / (2.0 * CROWD_SIGMA * CROWD_SIGMA))
                })
                .sum();
            libm::expf(-std::f32::consts::LN_2 * (sum - 1.0).max(0.0))
        })
        .collect();
    for (c, crowd) in list.iter_mut().zip(crowd) {
        let coherence = grid.interpolate(&orientation.coherence, c.x, c.y);
        let clear = grid.interpolate(clarity, c.x, c.y);
        c.quality *= crowd * (0.5 + 0.5 * coherence).min(1.0) * clear.clamp(0.0, 1.0).sqrt();
    }
}

fn round(c: &Candidate, (w, h): (usize, usize)) -> Minutia {
    let place = |v: f32, side: usize| ((v * 10.0 + 0.5).max(0.0) as u16).min((side * 10 - 1) as u16);
    // Screen y runs down, the angle counter-clockwise: negate.
    let turns = libm::atan2f(-c.dy, c.dx) / std::f32::consts::TAU + 1.0;
    Minutia {
        x: place(c.x, w),
        y: place(c.y, h),
        angle: ((turns * 256.0 + 0.5) as u32 % 256) as u8,
        kind: c.kind,
        quality: (c.quality.clamp(0.0, 1.0) * 100.0 + 0.5) as u8,
    }
}
