//! Where the finger is: blocks with strong gradients, closed, the largest piece, holes filled,
//! opened. The answer is a mask on the block grid.

use super::{
    grid::{Grid, smooth_edge},
    plane::Plane,
};
use crate::params::{MASK_FLOOR, MASK_SHARE, MASK_SIGMA};

/// The blocks that show ridges.
pub(crate) fn segment(image: &Plane<f32>) -> Plane<bool> {
    let energy = smooth_edge(&activity(image), MASK_SIGMA);
    let mut sorted = energy.data.clone();
    sorted.sort_by(f32::total_cmp);
    let strong = sorted[(sorted.len() - 1) * 95 / 100];
    let threshold = (strong * MASK_SHARE).max(MASK_FLOOR);
    let raw = energy.map(|e| e >= threshold);
    let closed = erode(&dilate(&raw));
    let filled = fill_holes(&largest(&closed));
    largest(&dilate(&erode(&filled)))
}

/// Mean gradient magnitude of each block.
fn activity(image: &Plane<f32>) -> Plane<f32> {
    let grid = Grid::over(image.width, image.height);
    let mut out = Plane::filled(grid.width, grid.height, 0.0f32);
    let mut sums = vec![0.0f32; image.width];
    for cy in 0..grid.height {
        sums.fill(0.0);
        let mut rows = 0.0f32;
        for y in grid.rows(cy) {
            if y == 0 || y + 1 >= image.height {
                continue;
            }
            rows += 1.0;
            let (above, here, below) = (image.row(y - 1), image.row(y), image.row(y + 1));
            let inner = sums[1..].iter_mut().zip(here).zip(&here[2..]).zip(&above[1..]).zip(&below[1..]);
            for ((((sum, &west), &east), &north), &south) in inner {
                let (gx, gy) = (east - west, south - north);
                *sum += (gx * gx + gy * gy).sqrt();
            }
        }
        for cx in 0..grid.width {
            let columns = grid.columns(cx);
            let n = rows * columns.len() as f32;
            out.set(cx, cy, if n > 0.0 { sums[columns].iter().sum::<f32>() / n } else { 0.0 });
        }
    }
    out
}

fn neighbours(mask: &Plane<bool>, x: usize, y: usize, outside: bool) -> impl Iterator<Item = bool> + '_ {
    let (x, y) = (x as i32, y as i32);
    [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
        .into_iter()
        .map(move |(dx, dy)| mask.get(x + dx, y + dy).unwrap_or(outside))
}

fn each(mask: &Plane<bool>, f: impl Fn(usize, usize) -> bool) -> Plane<bool> {
    let mut out = mask.clone();
    for y in 0..mask.height {
        for x in 0..mask.width {
            out.set(x, y, f(x, y));
        }
    }
    out
}

/// Grows by one block; the outside does not grow in.
pub(crate) fn dilate(mask: &Plane<bool>) -> Plane<bool> {
    each(mask, |x, y| neighbours(mask, x, y, false).any(|v| v))
}

/// Shrinks by one block; the image border does not shrink it.
pub(crate) fn erode(mask: &Plane<bool>) -> Plane<bool> {
    each(mask, |x, y| neighbours(mask, x, y, true).all(|v| v))
}

/// Labels of 4-connected pieces of `wanted` cells, and their sizes.
fn pieces(mask: &Plane<bool>, wanted: bool) -> (Plane<usize>, Vec<usize>) {
    let mut labels = Plane::filled(mask.width, mask.height, usize::MAX);
    let mut sizes = Vec::new();
    let mut queue = Vec::new();
    for start in 0..mask.data.len() {
        if mask.data[start] != wanted || labels.data[start] != usize::MAX {
            continue;
        }
        let label = sizes.len();
        sizes.push(0);
        labels.data[start] = label;
        queue.push(start);
        while let Some(at) = queue.pop() {
            sizes[label] += 1;
            let (x, y) = ((at % mask.width) as i32, (at / mask.width) as i32);
            for (dx, dy) in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
                if mask.get(x + dx, y + dy) == Some(wanted) {
                    let next = (y + dy) as usize * mask.width + (x + dx) as usize;
                    if labels.data[next] == usize::MAX {
                        labels.data[next] = label;
                        queue.push(next);
                    }
                }
            }
        }
    }
    (labels, sizes)
}

/// Only the largest piece; of equal ones the first.
fn largest(mask: &Plane<bool>) -> Plane<bool> {
    let (labels, sizes) = pieces(mask, true);
    let Some(best) = (0..sizes.len()).max_by_key(|&i| (sizes[i], std::cmp::Reverse(i))) else {
        return mask.clone();
    };
    labels.map(|l| l == best)
}

/// Fills what is enclosed.
fn fill_holes(mask: &Plane<bool>) -> Plane<bool> {
    let (labels, sizes) = pieces(mask, false);
    let mut open = vec![false; sizes.len()];
    for y in 0..mask.height {
        for x in 0..mask.width {
            let edge = x == 0 || y == 0 || x + 1 == mask.width || y + 1 == mask.height;
            let label = labels.at(x, y);
            if edge && label != usize::MAX {
                open[label] = true;
            }
        }
    }
    labels.map(|l| l == usize::MAX || !open[l])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_image_has_no_finger() {
        assert!(!segment(&Plane::filled(200, 200, 250.0f32)).data.iter().any(|&m| m));
    }

    #[test]
    fn stripes_on_paper_are_found_and_holes_filled() {
        let mut image = Plane::filled(240, 240, 250.0f32);
        for y in 56..184 {
            for x in 56..184 {
                let hole = (112..128).contains(&x) && (112..128).contains(&y);
                if (x / 4) % 2 == 0 && !hole {
                    image.set(x, y, 20.0);
                }
            }
        }
        let mask = segment(&image);
        assert!(mask.at(15, 15), "hole in the middle is filled");
        assert!(!mask.at(1, 1) && !mask.at(28, 28));
        let area = mask.data.iter().filter(|&&m| m).count();
        assert!((200..400).contains(&area), "{area}");
    }
}
