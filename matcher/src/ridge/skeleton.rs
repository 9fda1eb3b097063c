//! Ridges thinned to one pixel, connected as they were (Zhang and Suen's conditions by table, then
//! corners taken off), and what a skeleton's pixels are.

use std::sync::LazyLock;

use crate::plane::Plane;

/// The eight neighbours, clockwise from the top.
pub(crate) const NEIGHBOURS: [(i32, i32); 8] =
    [(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)];

/// Which neighbourhoods lose their centre: bits 0 and 1 in the two passes of Zhang and Suen, bit 2
/// for a corner that connects nothing.
static TABLE: LazyLock<[u8; 256]> = LazyLock::new(|| {
    let mut table = [0; 256];
    for (code, entry) in table.iter_mut().enumerate() {
        let on = |n: usize| code >> (n % 8) & 1 == 1;
        let count = (0..8).filter(|&n| on(n)).count();
        let crossings = (0..8).filter(|&n| !on(n) && on(n + 1)).count();
        if (2..=6).contains(&count) && crossings == 1 {
            let (north, east, south, west) = (on(0), on(2), on(4), on(6));
            if !(east && south && (north || west)) {
                *entry |= 1;
            }
            if !(north && west && (east || south)) {
                *entry |= 2;
            }
        }
        // A corner: two neighbours at right angles and nothing beyond them that hangs on the centre.
        for n in [0, 2, 4, 6] {
            if on(n) && on(n + 2) && !on(n + 4) && !on(n + 5) && !on(n + 6) {
                *entry |= 4;
            }
        }
    }
    table
});

/// Thins the set pixels. The outermost row and column are never set.
pub(crate) fn thinned(mut set: Plane<bool>) -> Plane<bool> {
    let (w, h) = (set.width, set.height);
    for x in 0..w {
        set.set(x, 0, false);
        set.set(x, h - 1, false);
    }
    for y in 0..h {
        set.set(0, y, false);
        set.set(w - 1, y, false);
    }
    let table = &*TABLE;
    let mut alive: Vec<usize> = (0..set.data.len()).filter(|&at| set.data[at]).collect();
    let mut doomed = Vec::new();
    loop {
        let before = alive.len();
        for pass in [1, 2] {
            doomed.clear();
            doomed.extend(alive.iter().copied().filter(|&at| table[code(&set, at)] & pass != 0));
            for &at in &doomed {
                set.data[at] = false;
            }
            alive.retain(|&at| set.data[at]);
        }
        if alive.len() == before {
            break;
        }
    }
    // One at a time: each corner taken off changes its neighbours' neighbourhoods.
    for at in alive {
        if table[code(&set, at)] & 4 != 0 {
            set.data[at] = false;
        }
    }
    set
}

/// The neighbourhood as bits, clockwise from the top. `at` must not lie on the plane's edge.
fn code(set: &Plane<bool>, at: usize) -> usize {
    let w = set.width;
    let bit = |at: usize, n: usize| usize::from(set.data[at]) << n;
    bit(at - w, 0)
        | bit(at - w + 1, 1)
        | bit(at + 1, 2)
        | bit(at + w + 1, 3)
        | bit(at + w, 4)
        | bit(at + w - 1, 5)
        | bit(at - 1, 6)
        | bit(at - w - 1, 7)
}

/// How many branches leave a skeleton's pixel: 1 at an end, 2 along a line, 3 or more at a fork.
pub(crate) fn branches(set: &Plane<bool>, at: usize) -> usize {
    let code = code(set, at);
    (0..8).filter(|&n| code >> n & 1 == 0 && code >> ((n + 1) % 8) & 1 == 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thick_bar_becomes_a_line_with_two_ends() {
        let mut set = Plane::filled(60, 20, false);
        for y in 7..12 {
            for x in 5..55 {
                set.set(x, y, true);
            }
        }
        let line = thinned(set);
        let on: Vec<usize> = (0..line.data.len()).filter(|&at| line.data[at]).collect();
        assert_eq!(on.iter().filter(|&&at| branches(&line, at) == 1).count(), 2);
        assert!(on.iter().all(|&at| branches(&line, at) <= 2));
        assert!(on.len() > 40);
    }

    #[test]
    fn a_fork_keeps_one_pixel_of_three_branches() {
        let mut set = Plane::filled(80, 80, false);
        for t in 0..30 {
            for thick in 0..4 {
                set.set(40 + thick, 40 + t, true);
                set.set(40 - t + thick, 40 - t, true);
                set.set(40 + t + thick, 40 - t, true);
            }
        }
        let line = thinned(set);
        let forks = (0..line.data.len()).filter(|&at| line.data[at] && branches(&line, at) >= 3).count();
        assert_eq!(forks, 1);
    }
}
