//! Growing the ridges: from a few specks, filtered again and again along the field (Cappelli's
//! SFinGe). Where fronts from different specks meet out of step, ridges end and fork: nobody
//! places the minutiae.

use super::{
    gabor::{Bank, RADIUS, ROW},
    map::Map,
    random::Stream,
};

/// Passes over the finger; growth covers it in about half of them, the rest let it settle.
const PASSES: usize = 16;
/// Gain of a pass: fronts move on, full ridges stay at ±1.
const GAIN: f32 = 4.0;
/// Side of the squares that are left alone while nothing moves near them, in pixels.
const BLOCK: usize = 8;
/// What counts as a move: a pixel's change in one pass.
const STILL: f32 = 0.02;

/// Grows ridges (positive) and valleys (negative) within `skin`, with the kernel that `kernels`
/// names for each pixel, from about one speck to `spacing` squared pixels.
pub(crate) fn grow(
    skin: &[bool],
    kernels: &[u16],
    width: usize,
    height: usize,
    spacing: f32,
    stream: &mut Stream,
) -> Map {
    let bank = Bank::get();
    // A rim as wide as a kernel reaches, so that no tap needs a check.
    let stride = width + RADIUS + ROW;
    let mut now = vec![0.0f32; stride * (height + 2 * RADIUS)];
    let at = |x: usize, y: usize| (y + RADIUS) * stride + x + RADIUS;

    let specks = (width as f32 * height as f32 / (spacing * spacing)) as usize;
    for _ in 0..specks {
        let (x, y) = (stream.below(width - 2), stream.below(height - 2));
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            now[at(x + dx, y + dy)] = 1.0;
        }
    }
    let mut next = now.clone();
    let (columns, rows) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
    let mut restless = specked(&now, columns, rows, width, height, stride);
    for pass in 0..PASSES {
        let last = pass + 1 == PASSES;
        let mut moved = vec![false; columns * rows];
        for (block, moved) in moved.iter_mut().enumerate() {
            let (bx, by) = (block % columns, block / columns);
            let still = !last && !near(&restless, bx, by, columns, rows);
            for y in by * BLOCK..((by + 1) * BLOCK).min(height) {
                for x in bx * BLOCK..((bx + 1) * BLOCK).min(width) {
                    let here = at(x, y);
                    if still || !skin[y * width + x] {
                        next[here] = now[here];
                        continue;
                    }
                    let answer = bank.answer(kernels[y * width + x], &now, y * stride + x, stride);
                    // The last pass keeps the slopes of the ridges: pressure will need them.
                    next[here] = if last { answer } else { (GAIN * answer).clamp(-1.0, 1.0) };
                    *moved |= (next[here] - now[here]).abs() > STILL;
                }
            }
        }
        restless = moved;
        std::mem::swap(&mut now, &mut next);
    }
    Map::from_fn(width, height, |x, y| now[at(x as usize, y as usize)].clamp(-1.2, 1.2))
}

/// Which blocks hold a speck.
fn specked(
    now: &[f32],
    columns: usize,
    rows: usize,
    width: usize,
    height: usize,
    stride: usize,
) -> Vec<bool> {
    let mut specked = vec![false; columns * rows];
    for y in 0..height {
        for x in 0..width {
            if now[(y + RADIUS) * stride + x + RADIUS] != 0.0 {
                specked[y / BLOCK * columns + x / BLOCK] = true;
            }
        }
    }
    specked
}

/// Whether anything moved close enough to a block for it to change.
fn near(restless: &[bool], bx: usize, by: usize, columns: usize, rows: usize) -> bool {
    let reach = RADIUS.div_ceil(BLOCK);
    (by.saturating_sub(reach)..(by + reach + 1).min(rows))
        .any(|y| (bx.saturating_sub(reach)..(bx + reach + 1).min(columns)).any(|x| restless[y * columns + x]))
}
