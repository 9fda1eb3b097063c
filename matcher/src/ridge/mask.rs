//! The mask: where there is a finger. GMFS (Cappelli): strong gradients, closed, one piece, opened.
//!
//! Works on cells of [`CELL`] pixels; invariant: the mask is one connected piece without holes.

use crate::{
    params::{BLANK_GRADIENT, CELL, MASK_CLOSING, MASK_OPENING, MASK_SIGMA, MASK_THRESHOLD},
    plane::Plane,
};

/// Gradient magnitude, and where it says "finger". `None` when the image is blank.
pub(crate) fn mask(pixels: &Plane<f32>) -> Option<Plane<bool>> {
    let magnitude = gradient_magnitude(pixels).cell_means(CELL).blurred(MASK_SIGMA / CELL as f32);
    let mut sorted = magnitude.data.clone();
    sorted.sort_by(f32::total_cmp);
    let strong = sorted[sorted.len() * 95 / 100];
    if strong < BLANK_GRADIENT {
        return None;
    }
    let mut mask = magnitude.map(|m| m > strong * MASK_THRESHOLD);
    mask = eroded(&dilated(&mask, MASK_CLOSING), MASK_CLOSING);
    mask = without_holes(&largest_piece(&mask));
    mask = largest_piece(&dilated(&eroded(&mask, MASK_OPENING), MASK_OPENING));
    Some(mask)
}

fn gradient_magnitude(pixels: &Plane<f32>) -> Plane<f32> {
    let (w, h) = (pixels.width, pixels.height);
    let mut out = Plane::filled(w, h, 0.0);
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            let dx = pixels.at(x + 1, y) - pixels.at(x - 1, y);
            let dy = pixels.at(x, y + 1) - pixels.at(x, y - 1);
            out.set(x, y, libm::sqrtf(dx * dx + dy * dy));
        }
    }
    out
}

fn near(mask: &Plane<bool>, reach: usize, wanted: bool, outside: bool) -> Plane<bool> {
    let mut out = mask.map(|_| false);
    let reach = reach as i32;
    for y in 0..mask.height as i32 {
        for x in 0..mask.width as i32 {
            let mut found = false;
            for dy in -reach..=reach {
                for dx in -reach..=reach {
                    // A disc, a little generous so that a reach of one is the 3x3 cross and more.
                    if dx * dx + dy * dy > reach * reach + 1 {
                        continue;
                    }
                    let (nx, ny) = (x + dx, y + dy);
                    let inside = nx >= 0 && ny >= 0 && nx < mask.width as i32 && ny < mask.height as i32;
                    let value = if inside { mask.at(nx as usize, ny as usize) } else { outside };
                    found |= value == wanted;
                }
            }
            out.set(x as usize, y as usize, found);
        }
    }
    out
}

fn dilated(mask: &Plane<bool>, reach: usize) -> Plane<bool> {
    near(mask, reach, true, false)
}

/// The image's edge does not erode: a finger that runs out of the picture goes on.
fn eroded(mask: &Plane<bool>, reach: usize) -> Plane<bool> {
    near(mask, reach, false, true).map(|found| !found)
}

/// Labels the pieces where `mask` is `value`, four-connected; returns labels and sizes by label.
fn pieces(mask: &Plane<bool>, value: bool) -> (Plane<usize>, Vec<usize>) {
    let mut labels = mask.map(|_| usize::MAX);
    let mut sizes = Vec::new();
    let mut stack = Vec::new();
    for start in 0..mask.data.len() {
        if mask.data[start] != value || labels.data[start] != usize::MAX {
            continue;
        }
        let label = sizes.len();
        let mut size = 0;
        labels.data[start] = label;
        stack.push(start);
        while let Some(at) = stack.pop() {
            size += 1;
            let (x, y) = (at % mask.width, at / mask.width);
            let mut visit = |to: usize| {
                if mask.data[to] == value && labels.data[to] == usize::MAX {
                    labels.data[to] = label;
                    stack.push(to);
                }
            };
            if x > 0 {
                visit(at - 1);
            }
            if x + 1 < mask.width {
                visit(at + 1);
            }
            if y > 0 {
                visit(at - mask.width);
            }
            if y + 1 < mask.height {
                visit(at + mask.width);
            }
        }
        sizes.push(size);
    }
    (labels, sizes)
}

fn largest_piece(mask: &Plane<bool>) -> Plane<bool> {
    let (labels, sizes) = pieces(mask, true);
    // The first of equals, so that the choice does not hang on the search's order.
    let best = (0..sizes.len()).max_by_key(|label| (sizes[*label], usize::MAX - label));
    labels.map(|label| Some(label) == best)
}

fn without_holes(mask: &Plane<bool>) -> Plane<bool> {
    let (labels, sizes) = pieces(mask, false);
    let mut at_edge = vec![false; sizes.len()];
    for y in 0..mask.height {
        for x in 0..mask.width {
            let edge = x == 0 || y == 0 || x + 1 == mask.width || y + 1 == mask.height;
            let label = labels.at(x, y);
            if edge && label != usize::MAX {
                at_edge[label] = true;
            }
        }
    }
    labels.map(|label| label == usize::MAX || !at_edge[label])
}

/// Distance of each pixel's cell to the outside of the mask, in pixels, as a chamfer (5, 7) / 5.
/// The image's edge counts as outside.
pub(crate) fn depth(mask: &Plane<bool>) -> Plane<f32> {
    let (w, h) = (mask.width, mask.height);
    // One cell of outside all round.
    let mut cost = Plane::filled(w + 2, h + 2, 0_u32);
    for y in 0..h {
        for x in 0..w {
            if mask.at(x, y) {
                cost.set(x + 1, y + 1, u32::MAX / 2);
            }
        }
    }
    for y in 1..=h {
        for x in 1..=w {
            let best = [
                (cost.at(x - 1, y), 5),
                (cost.at(x, y - 1), 5),
                (cost.at(x - 1, y - 1), 7),
                (cost.at(x + 1, y - 1), 7),
            ];
            relax(&mut cost, x, y, best);
        }
    }
    for y in (1..=h).rev() {
        for x in (1..=w).rev() {
            let best = [
                (cost.at(x + 1, y), 5),
                (cost.at(x, y + 1), 5),
                (cost.at(x + 1, y + 1), 7),
                (cost.at(x - 1, y + 1), 7),
            ];
            relax(&mut cost, x, y, best);
        }
    }
    let mut out = Plane::filled(w, h, 0.0);
    for y in 0..h {
        for x in 0..w {
            // From the cell's centre to the nearest outside cell's border.
            let cells = cost.at(x + 1, y + 1) as f32 / 5.0;
            out.set(x, y, ((cells - 0.5) * CELL as f32).max(0.0));
        }
    }
    out
}

fn relax(cost: &mut Plane<u32>, x: usize, y: usize, ways: [(u32, u32); 4]) {
    let best = ways.iter().fold(cost.at(x, y), |best, (from, step)| best.min(from + step));
    cost.set(x, y, best);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_image_has_no_mask() {
        assert!(mask(&Plane::filled(200, 200, 255.0)).is_none());
    }

    #[test]
    fn a_patch_of_stripes_is_found_and_its_surroundings_are_not() {
        let mut pixels = Plane::filled(200, 200, 250.0);
        for y in 50..150 {
            for x in 50..150 {
                pixels.set(x, y, if (x / 4) % 2 == 0 { 40.0 } else { 220.0 });
            }
        }
        let mask = mask(&pixels).unwrap();
        assert!(mask.at(25, 25));
        assert!(!mask.at(4, 4) && !mask.at(45, 45));
        let depth = depth(&mask);
        assert!(depth.at(25, 25) > 30.0 && depth.at(4, 4) == 0.0);
    }
}
