//! Lines one pixel wide from a clean pattern of two tones, for finding the truth in it.
//!
//! Thinning by Guo and Hall (1989); a line keeps its ends, and nothing is torn apart.

/// Two tones. Invariant: the outermost pixels are never set.
#[derive(Clone)]
pub(crate) struct Bits {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) set: Vec<bool>,
}

/// The eight neighbours in a circle, from the one above, clockwise: (dx, dy).
const CIRCLE: [(isize, isize); 8] = [(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)];

impl Bits {
    /// Sets the pixels for which `on` holds, except at the rim.
    pub(crate) fn from_fn(width: usize, height: usize, on: impl Fn(usize) -> bool) -> Self {
        let mut set = vec![false; width * height];
        for y in 1..height - 1 {
            for x in 1..width - 1 {
                set[y * width + x] = on(y * width + x);
            }
        }
        Self { width, height, set }
    }

    fn neighbours(&self, at: usize) -> [usize; 8] {
        CIRCLE.map(|(dx, dy)| at.wrapping_add_signed(dy * self.width as isize + dx))
    }

    /// Set pixels around one, in a circle.
    fn around(&self, at: usize) -> [bool; 8] {
        self.neighbours(at).map(|n| self.set[n])
    }

    /// Thins to lines.
    pub(crate) fn thin(&mut self) {
        let mut live: Vec<usize> = (0..self.set.len()).filter(|&at| self.set[at]).collect();
        loop {
            let before = live.len();
            for odd in [false, true] {
                let gone: Vec<usize> =
                    live.iter().copied().filter(|&at| removable(self.around(at), odd)).collect();
                for &at in &gone {
                    self.set[at] = false;
                }
                live.retain(|&at| self.set[at]);
            }
            if live.len() == before {
                return;
            }
        }
    }

    /// Pixels with one neighbour.
    pub(crate) fn ends(&self) -> Vec<usize> {
        (0..self.set.len()).filter(|&at| self.set[at] && self.degree(at) == 1).collect()
    }

    /// How many separate lines leave a pixel.
    fn degree(&self, at: usize) -> usize {
        let ring = self.around(at);
        (0..8).filter(|&k| !ring[k] && ring[(k + 1) % 8]).count()
    }

    /// The pixels met walking along the line from an end, at most `steps`, and what stopped the walk.
    pub(crate) fn walk(&self, end: usize, steps: usize) -> (Vec<usize>, Stop) {
        let mut path = vec![end];
        while path.len() <= steps {
            let here = path[path.len() - 1];
            let tail = &path[path.len().saturating_sub(4)..];
            // Straight neighbours before slanted ones, so that a walk does not cut corners.
            let ring = self.neighbours(here);
            let step = [0, 2, 4, 6, 1, 3, 5, 7]
                .into_iter()
                .map(|k| ring[k])
                .find(|&n| self.set[n] && !tail.contains(&n));
            let Some(next) = step else { return (path, Stop::End) };
            path.push(next);
            if self.degree(next) >= 3 {
                return (path, Stop::Fork);
            }
        }
        (path, Stop::Steps)
    }
}

/// What ended a walk along a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The line's other end.
    End,
    /// A fork.
    Fork,
    /// The number of steps.
    Steps,
}

/// Guo and Hall's test, with the neighbours p2..p9 in a circle.
fn removable([p2, p3, p4, p5, p6, p7, p8, p9]: [bool; 8], odd: bool) -> bool {
    let one = |b: bool| u8::from(b);
    let crossings =
        one(!p2 && (p3 || p4)) + one(!p4 && (p5 || p6)) + one(!p6 && (p7 || p8)) + one(!p8 && (p9 || p2));
    let n1 = one(p9 || p2) + one(p3 || p4) + one(p5 || p6) + one(p7 || p8);
    let n2 = one(p2 || p3) + one(p4 || p5) + one(p6 || p7) + one(p8 || p9);
    let edge = if odd { (p6 || p7 || !p9) && p8 } else { (p2 || p3 || !p5) && p4 };
    crossings == 1 && (2..=3).contains(&n1.min(n2)) && !edge
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(rows: &[&str]) -> Bits {
        let all: Vec<u8> = rows.iter().flat_map(|r| r.bytes()).collect();
        Bits::from_fn(rows[0].len(), rows.len(), |at| all[at] == b'#')
    }

    #[test]
    fn a_bar_becomes_a_line_with_two_ends() {
        let mut bits = drawing(&[
            "..............",
            ".############.",
            ".############.",
            ".############.",
            "..............",
        ]);
        bits.thin();
        assert_eq!(bits.ends().len(), 2);
        let (path, stop) = bits.walk(bits.ends()[0], 40);
        assert_eq!(stop, Stop::End);
        assert!(path.len() >= 8, "{}", path.len());
    }

    #[test]
    fn a_walk_stops_at_a_fork() {
        let bits = drawing(&[
            "..........",
            "......#...",
            ".....#....",
            ".####.....",
            ".....#....",
            "......#...",
            "..........",
        ]);
        let (path, stop) = bits.walk(31, 40);
        assert_eq!((path.len(), stop), (4, Stop::Fork));
    }
}
