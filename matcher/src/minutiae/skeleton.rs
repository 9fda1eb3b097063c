//! Walking on a skeleton: what a pixel is (end, line, fork) and where a branch leads.

use crate::ridge::bits::Bits;

/// The eight neighbours, clockwise from north.
const RING: [(i32, i32); 8] = [(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)];

/// A pixel.
pub(crate) type Point = (i32, i32);

/// Why a walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// As far as was asked.
    Far,
    /// The line ends here.
    End,
    /// The line forks here.
    Fork,
}

/// The way walked, without the pixel it started from.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    pub(crate) path: Vec<Point>,
    pub(crate) stop: Stop,
}

/// First pixels of the branches that leave a pixel: one for each run of set neighbours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Branches {
    starts: [Point; 4],
    count: usize,
}

impl Branches {
    /// How many branches leave: 1 at an end, 2 on a line, 3 or 4 at a fork.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn starts(&self) -> &[Point] {
        &self.starts[..self.count]
    }
}

/// How many branches leave a pixel; see [`branches`].
pub(crate) fn branch_count(bits: &Bits, (x, y): Point) -> usize {
    let ring = bits.around(x, y);
    // A run begins where a set neighbour follows an unset one.
    (ring & !ring.rotate_left(1)).count_ones() as usize
}

/// The branches at a pixel. A pixel with all neighbours set has none.
pub(crate) fn branches(bits: &Bits, (x, y): Point) -> Branches {
    let ring = bits.around(x, y);
    let mut out = Branches::default();
    let mut begins = ring & !ring.rotate_left(1);
    while begins != 0 {
        let first = begins.trailing_zeros() as usize;
        begins &= begins - 1;
        // Of the run, the first pixel that shares a side with the middle, if there is one.
        let second = (first + 1) % 8;
        let chosen = if first % 2 == 1 && ring >> second & 1 == 1 { second } else { first };
        let (dx, dy) = RING[chosen];
        out.starts[out.count] = (x + dx, y + dy);
        out.count += 1;
    }
    out
}

/// Follows a branch from `from` through `first` for at most `limit` pixels.
pub(crate) fn walk(bits: &Bits, from: Point, first: Point, limit: usize) -> Walk {
    let mut path = Vec::with_capacity(limit);
    let (mut before, mut at) = (from, first);
    loop {
        path.push(at);
        if path.len() >= limit {
            return Walk { path, stop: Stop::Far };
        }
        let ways = branches(bits, at);
        if ways.count() >= 3 {
            return Walk { path, stop: Stop::Fork };
        }
        let touches = |p: Point, q: Point| (p.0 - q.0).abs() <= 1 && (p.1 - q.1).abs() <= 1;
        let next = ways.starts().iter().copied().find(|&p| !touches(p, before));
        let Some(next) = next.or_else(|| beyond(bits, before, at)) else {
            return Walk { path, stop: Stop::End };
        };
        if next == from {
            return Walk { path, stop: Stop::End };
        }
        (before, at) = (at, next);
    }
}

/// A neighbour of `at` that is neither `before` nor beside it: found where a run of neighbours
/// begins beside `before` and leads on.
fn beyond(bits: &Bits, before: Point, at: Point) -> Option<Point> {
    RING.iter().map(|(dx, dy)| (at.0 + dx, at.1 + dy)).find(|&(x, y)| {
        bits.get(x, y) && (x, y) != before && ((x - before.0).abs() > 1 || (y - before.1).abs() > 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: &[&str]) -> Bits {
        let mut bits = Bits::new(rows[0].len(), rows.len());
        for (y, row) in rows.iter().enumerate() {
            for (x, c) in row.chars().enumerate() {
                bits.set(x as i32, y as i32, c == '#');
            }
        }
        bits
    }

    #[test]
    fn ends_lines_and_forks_are_told_apart() {
        let bits = drawn(&["#....#", ".#..#.", "..##..", "..#...", "..#..."]);
        assert_eq!(branches(&bits, (0, 0)).count(), 1);
        assert_eq!(branches(&bits, (1, 1)).count(), 2);
        assert_eq!(branches(&bits, (2, 4)).count(), 1);
        let forks = bits.ones().filter(|&p| branches(&bits, p).count() >= 3).count();
        assert_eq!(forks, 1);
    }

    #[test]
    fn a_walk_goes_to_the_end_and_counts_its_pixels() {
        let bits = drawn(&["##....", "..#...", "...#..", "....##"]);
        let way = walk(&bits, (0, 0), (1, 0), 50);
        assert_eq!(way.stop, Stop::End);
        assert_eq!(way.path.last(), Some(&(5, 3)));
        assert_eq!(walk(&bits, (0, 0), (1, 0), 3).stop, Stop::Far);
    }

    #[test]
    fn a_ring_does_not_trap_a_walk() {
        let bits = drawn(&[".##.", "#..#", "#..#", ".##."]);
        assert!(walk(&bits, (1, 0), (2, 0), 1000).path.len() < 20);
    }
}
