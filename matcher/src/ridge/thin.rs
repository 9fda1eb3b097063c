//! Thinning after Guo and Hall, 64 pixels at a time: both of its passes are Boolean functions of
//! the eight neighbours, evaluated on whole words. The result is one pixel wide, 8-connected, and
//! as connected as what went in.

use super::bits::Bits;

/// Thins until nothing changes.
pub(crate) fn thin(bits: &mut Bits) {
    // A ridge half as wide as the picture would take that many rounds; fingers take eight.
    for _ in 0..64 {
        let first = pass(bits, false);
        let second = pass(bits, true);
        if !first && !second {
            break;
        }
    }
}

/// Neighbours of 64 pixels in the middle of three words: west, same, east.
struct Shifted {
    west: u64,
    same: u64,
    east: u64,
}

fn shifted(row: &[u64], i: usize) -> Shifted {
    let before = if i > 0 { row[i - 1] } else { 0 };
    let after = row.get(i + 1).copied().unwrap_or(0);
    Shifted { west: row[i] << 1 | before >> 63, same: row[i], east: row[i] >> 1 | after << 63 }
}

/// One pass over the picture; true when a pixel went. All decisions see the picture as it was.
fn pass(bits: &mut Bits, second: bool) -> bool {
    let stride = bits.stride;
    let empty = vec![0u64; stride];
    let mut above = empty.clone();
    let mut here = empty.clone();
    let mut changed = false;
    for y in 0..bits.height {
        here.copy_from_slice(&bits.words[y * stride..(y + 1) * stride]);
        for i in 0..stride {
            if here[i] == 0 {
                continue;
            }
            let below = if y + 1 < bits.height {
                &bits.words[(y + 1) * stride..(y + 2) * stride]
            } else {
                &empty[..]
            };
            let (a, h, b) = (shifted(&above, i), shifted(&here, i), shifted(below, i));
            let gone = h.same & removable(&a, &h, &b, second);
            if gone != 0 {
                bits.words[y * stride + i] &= !gone;
                changed = true;
            }
        }
        std::mem::swap(&mut above, &mut here);
    }
    changed
}

/// Where Guo and Hall's conditions hold. Names follow the paper: p2 is north, then clockwise.
fn removable(above: &Shifted, here: &Shifted, below: &Shifted, second: bool) -> u64 {
    let (p9, p2, p3) = (above.west, above.same, above.east);
    let (p8, p4) = (here.west, here.east);
    let (p7, p6, p5) = (below.west, below.same, below.east);
    let crossings = exactly_one([!p2 & (p3 | p4), !p4 & (p5 | p6), !p6 & (p7 | p8), !p8 & (p9 | p2)]);
    let n1 = [p9 | p2, p3 | p4, p5 | p6, p7 | p8];
    let n2 = [p2 | p3, p4 | p5, p6 | p7, p8 | p9];
    // min(n1, n2) is 2 or 3.
    let enough = at_least_two(n1) & at_least_two(n2);
    let few = !(n1[0] & n1[1] & n1[2] & n1[3]) | !(n2[0] & n2[1] & n2[2] & n2[3]);
    let side = if second { (p2 | p3 | !p5) & p4 } else { (p6 | p7 | !p9) & p8 };
    crossings & enough & few & !side
}

fn exactly_one([a, b, c, d]: [u64; 4]) -> u64 {
    (a ^ b ^ c ^ d) & !((a & b) | (c & d))
}

fn at_least_two([a, b, c, d]: [u64; 4]) -> u64 {
    (a & b) | (c & d) | ((a | b) & (c | d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::plane::Plane;
    use proptest::prelude::*;

    /// The same, a pixel at a time, as the paper writes it.
    fn naive_pass(bits: &mut Bits, second: bool) -> bool {
        let before = bits.clone();
        let mut changed = false;
        for (x, y) in before.ones() {
            let p = |dx: i32, dy: i32| before.get(x + dx, y + dy);
            let (p2, p3, p4, p5) = (p(0, -1), p(1, -1), p(1, 0), p(1, 1));
            let (p6, p7, p8, p9) = (p(0, 1), p(-1, 1), p(-1, 0), p(-1, -1));
            let c = [!p2 & (p3 | p4), !p4 & (p5 | p6), !p6 & (p7 | p8), !p8 & (p9 | p2)];
            let n1 = [p9 | p2, p3 | p4, p5 | p6, p7 | p8].iter().filter(|&&v| v).count();
            let n2 = [p2 | p3, p4 | p5, p6 | p7, p8 | p9].iter().filter(|&&v| v).count();
            let m = if second { (p2 | p3 | !p5) & p4 } else { (p6 | p7 | !p9) & p8 };
            if c.iter().filter(|&&v| v).count() == 1 && (2..=3).contains(&n1.min(n2)) && !m {
                bits.set(x, y, false);
                changed = true;
            }
        }
        changed
    }

    proptest! {
        #[test]
        fn words_thin_as_single_pixels_do(width in 1usize..150, seed in any::<u64>()) {
            let mut state = seed | 1;
            let mut noise = Plane::filled(width, 20, false);
            for v in &mut noise.data {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *v = state >> 61 < 5;
            }
            let mut fast = Bits::of(&noise, |v| v);
            let mut slow = fast.clone();
            for second in [false, true, false, true] {
                prop_assert_eq!(pass(&mut fast, second), naive_pass(&mut slow, second));
                prop_assert_eq!(&fast, &slow);
            }
        }
    }

    #[test]
    fn a_bar_becomes_a_line() {
        let mut bar = Plane::filled(130, 30, false);
        for y in 10..17 {
            for x in 10..120 {
                bar.set(x, y, true);
            }
        }
        let mut bits = Bits::of(&bar, |v| v);
        thin(&mut bits);
        for x in 20..110 {
            assert_eq!((0..30).filter(|&y| bits.get(x, y)).count(), 1, "column {x}");
        }
    }
}
