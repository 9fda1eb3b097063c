//! Removes from a skeleton what thinning and noise put there: spurs, bridges between neighbouring
//! lines, and short pieces.

use super::skeleton::{Point, Stop, branch_count, branches, walk};
use crate::{
    params::{BRIDGE_LENGTH, BRIDGE_SLANT, FRAGMENT_LENGTH, SPUR_LENGTH},
    ridge::{bits::Bits, orientation::Orientation},
};

/// Cleans in place.
pub(crate) fn clean(bits: &mut Bits, orientation: &Orientation) {
    fragments(bits);
    bridges(bits, orientation);
    spurs(bits);
    bridges(bits, orientation);
}

fn erase(bits: &mut Bits, points: &[Point]) {
    for &(x, y) in points {
        bits.set(x, y, false);
    }
}

fn with_branches(bits: &Bits, wanted: impl Fn(usize) -> bool) -> Vec<Point> {
    bits.ones().filter(|&p| wanted(branch_count(bits, p))).collect()
}

/// Lines that end on both sides within a short way, and lone pixels.
fn fragments(bits: &mut Bits) {
    for at in with_branches(bits, |n| n <= 1) {
        let ways = branches(bits, at);
        match ways.starts() {
            [] => bits.set(at.0, at.1, false),
            &[first] => {
                let way = walk(bits, at, first, FRAGMENT_LENGTH);
                if way.stop == Stop::End {
                    erase(bits, &way.path);
                    bits.set(at.0, at.1, false);
                }
            }
            _ => {}
        }
    }
}

/// Short branches that end.
fn spurs(bits: &mut Bits) {
    for at in with_branches(bits, |n| n == 1) {
        let &[first] = branches(bits, at).starts() else { continue };
        let way = walk(bits, at, first, SPUR_LENGTH);
        if way.stop == Stop::Fork {
            erase(bits, &way.path[..way.path.len() - 1]);
            bits.set(at.0, at.1, false);
        }
    }
}

/// Short connections of two forks that run across the ridges.
fn bridges(bits: &mut Bits, orientation: &Orientation) {
    for at in with_branches(bits, |n| n >= 3) {
        let ways = branches(bits, at);
        if ways.count() < 3 {
            continue;
        }
        for &first in ways.starts() {
            let way = walk(bits, at, first, BRIDGE_LENGTH);
            if way.stop != Stop::Fork || way.path.len() < 3 {
                continue;
            }
            let Some(&end) = way.path.last() else { continue };
            let (dx, dy) = ((end.0 - at.0) as f32, (end.1 - at.1) as f32);
            let middle = ((end.0 + at.0) as f32 / 2.0, (end.1 + at.1) as f32 / 2.0);
            let length2 = dx * dx + dy * dy;
            let (c, s) = orientation.vector(middle.0, middle.1);
            // cos of twice the angle between the bridge and the ridges.
            let along = ((dx * dx - dy * dy) * c + 2.0 * dx * dy * s) / length2.max(1.0);
            if along < BRIDGE_SLANT {
                erase(bits, &way.path[..way.path.len() - 1]);
                break;
            }
        }
    }
}
