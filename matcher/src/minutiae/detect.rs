//! Ends and forks of a skeleton, with the direction that their branches give and how far those go.
//!
//! Invariant: every candidate lies at least [`BORDER`] inside the mask.

use crate::{
    minutiae::MinutiaKind,
    params::{BORDER, CELL, TRACK, TRACK_LEAST},
    plane::Plane,
    ridge::skeleton::{NEIGHBOURS, branches},
};

/// A minutia before anything is rounded: pixels, radians (y down), quality 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) angle: f32,
    pub(crate) kind: MinutiaKind,
    pub(crate) quality: f32,
}

/// What lies at the far end of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Far {
    /// Nothing within the track's length.
    Open,
    /// The line ends.
    End,
    /// Another fork.
    Fork,
}

/// A branch followed away from its start.
struct Track {
    /// Pixels followed.
    length: usize,
    /// Where it got to.
    to: (f32, f32),
    far: Far,
}

/// All candidates of one skeleton.
pub(crate) fn candidates(skeleton: &Plane<bool>, depth: &Plane<f32>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for y in 1..skeleton.height - 1 {
        for x in 1..skeleton.width - 1 {
            let at = y * skeleton.width + x;
            if !skeleton.data[at] || depth.at(x / CELL, y / CELL) < BORDER {
                continue;
            }
            let candidate = match branches(skeleton, at) {
                1 => ending(skeleton, at),
                3 => fork(skeleton, at),
                _ => None,
            };
            found.extend(candidate);
        }
    }
    found
}

fn ending(skeleton: &Plane<bool>, at: usize) -> Option<Candidate> {
    let start = neighbours(skeleton, at).next()?;
    let track = follow(skeleton, at, start);
    if track.length < TRACK_LEAST {
        return None;
    }
    let (x, y) = place(skeleton, at);
    Some(Candidate {
        x,
        y,
        angle: libm::atan2f(track.to.1 - y, track.to.0 - x),
        kind: MinutiaKind::Ending,
        quality: trust(&track),
    })
}

fn fork(skeleton: &Plane<bool>, at: usize) -> Option<Candidate> {
    let (x, y) = place(skeleton, at);
    let mut tracks: Vec<(f32, Track)> = separate_neighbours(skeleton, at)
        .into_iter()
        .map(|start| {
            let track = follow(skeleton, at, start);
            (libm::atan2f(track.to.1 - y, track.to.0 - x), track)
        })
        .collect();
    if tracks.len() != 3 || tracks.iter().any(|(_, t)| t.length < TRACK_LEAST) {
        return None;
    }
    tracks.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The two branches with the narrowest gap enclose what ends here on the other skeleton.
    let gap = |n: usize| {
        let (from, to) = (tracks[n].0, tracks[(n + 1) % 3].0);
        if to >= from { to - from } else { to - from + std::f32::consts::TAU }
    };
    let narrowest = (0..3).min_by(|a, b| gap(*a).total_cmp(&gap(*b)))?;
    let quality = tracks.iter().map(|(_, t)| trust(t)).fold(1.0, f32::min);
    Some(Candidate {
        x,
        y,
        angle: tracks[narrowest].0 + gap(narrowest) / 2.0,
        kind: MinutiaKind::Bifurcation,
        quality,
    })
}

/// A long branch is a ridge; a short one that ends in a fork or an end is a spur, a bridge or a pore.
fn trust(track: &Track) -> f32 {
    match track.far {
        Far::Open => 1.0,
        Far::End | Far::Fork => (track.length as f32 / TRACK as f32).min(1.0),
    }
}

fn place(skeleton: &Plane<bool>, at: usize) -> (f32, f32) {
    ((at % skeleton.width) as f32, (at / skeleton.width) as f32)
}

fn neighbours(skeleton: &Plane<bool>, at: usize) -> impl Iterator<Item = usize> + '_ {
    let w = skeleton.width as isize;
    // Straight before diagonal, so that a track does not skip a corner.
    [0, 2, 4, 6, 1, 3, 5, 7]
        .into_iter()
        .map(move |n: usize| (at as isize + NEIGHBOURS[n].1 as isize * w + NEIGHBOURS[n].0 as isize) as usize)
        .filter(|&to| skeleton.data[to])
}

/// One neighbour for every run of neighbours: adjacent ones belong to one branch.
fn separate_neighbours(skeleton: &Plane<bool>, at: usize) -> Vec<usize> {
    let w = skeleton.width as isize;
    let to = |n: usize| {
        let (dx, dy) = NEIGHBOURS[n % 8];
        (at as isize + dy as isize * w + dx as isize) as usize
    };
    let on = |n: usize| skeleton.data[to(n)];
    let mut starts = Vec::new();
    for n in 0..8 {
        if on(n + 1) && !on(n) {
            // Within the run prefer the straight neighbour.
            let straight = if (n + 1) % 2 == 0 || !on(n + 2) { n + 1 } else { n + 2 };
            starts.push(to(straight));
        }
    }
    starts
}

/// Follows a line from `at` over `next` until it ends, forks, or the track is long enough.
fn follow(skeleton: &Plane<bool>, at: usize, next: usize) -> Track {
    let (w, h) = (skeleton.width, skeleton.height);
    let touches = |a: usize, b: usize| (a % w).abs_diff(b % w) <= 1 && (a / w).abs_diff(b / w) <= 1;
    let (mut before, mut here) = (at, next);
    let mut length = 1;
    let far = loop {
        let (x, y) = (here % w, here / w);
        if x == 0 || y == 0 || x + 1 == w || y + 1 == h {
            break Far::Open;
        }
        let kind = branches(skeleton, here);
        if kind >= 3 && !touches(here, at) {
            break Far::Fork;
        }
        if length == TRACK {
            break Far::Open;
        }
        // Onward: not back, and not sideways to where the track just was.
        let onward = neighbours(skeleton, here)
            .filter(|&to| to != before && to != at && !(length == 1 && touches(to, at)))
            .find(|&to| !touches(to, before))
            .or_else(|| neighbours(skeleton, here).find(|&to| to != before && to != at && !touches(to, at)));
        match onward {
            Some(to) => {
                before = here;
                here = to;
                length += 1;
            }
            None => break Far::End,
        }
    };
    Track { length, to: place(skeleton, here), far }
}
