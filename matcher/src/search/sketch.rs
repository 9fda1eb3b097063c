//! What a search keeps of an impression beside the template: its best cylinders, cut to the inner cells, so that one takes
//! 32 bytes, with where each stands and which way.
//!
//! Invariant: a place that no cylinder fills has no bits, and is like nothing; such places are the last.

use crate::{
    compare::{
        Prepared,
        cylinder::{Cylinder, LAYERS, Pose},
    },
    params::SKETCH_CYLINDERS,
    simd::fetch,
};

/// Words of a cut cylinder.
pub(crate) const WORDS: usize = 4;
/// Cells that are kept of a layer: the 42 nearest to the minutia, which with six layers fill 252 bits.
pub(crate) const CELLS: u32 = 42;
/// Bits of a cut cylinder that may be set.
pub(crate) const BITS: usize = CELLS as usize * LAYERS;
/// Their places among the 64 of a layer. Of four cells at one distance the last two are left out.
const INNER: u64 = inner();
/// Pixels of a step of a place.
pub(crate) const PLACE_STEP: f32 = 4.0;

/// A cylinder of a sketch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) words: [u64; WORDS],
    /// How many bits are set.
    pub(crate) ones: u8,
    /// The minutia's angle, 1/256 turns.
    pub(crate) angle: u8,
    /// Where it stands, in steps from the middle of the sketch's minutiae.
    pub(crate) x: i8,
    /// The same.
    pub(crate) y: i8,
}

/// What is kept of an impression: its cylinders side by side. A kernel looks at one fact of all of them, or at all words of one,
/// which never lie across two lines of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(32))]
pub(crate) struct Sketch {
    pub(crate) ones: [u8; SKETCH_CYLINDERS],
    pub(crate) angle: [u8; SKETCH_CYLINDERS],
    pub(crate) x: [i8; SKETCH_CYLINDERS],
    pub(crate) y: [i8; SKETCH_CYLINDERS],
    pub(crate) words: [[u64; WORDS]; SKETCH_CYLINDERS],
}

impl Sketch {
    /// Of these cylinders, as many as have place; those without bits are like nothing and have none.
    pub(crate) fn of(cuts: impl IntoIterator<Item = Cut>) -> Self {
        let mut sketch = Self::default();
        for (at, cut) in cuts.into_iter().filter(|cut| cut.ones > 0).take(SKETCH_CYLINDERS).enumerate() {
            (sketch.words[at], sketch.ones[at], sketch.angle[at]) = (cut.words, cut.ones, cut.angle);
            (sketch.x[at], sketch.y[at]) = (cut.x, cut.y);
        }
        sketch
    }

    /// Has all of it come from memory.
    pub(crate) fn fetch(&self) {
        // Two cylinders are as long as what comes at a time.
        for words in self.words.chunks(2) {
            fetch(words);
        }
        self.fetch_facts();
    }

    /// The same of all but the words.
    pub(crate) fn fetch_facts(&self) {
        fetch(&self.ones);
        fetch(&self.x);
        fetch(&self.y[SKETCH_CYLINDERS - 1..]);
    }

    /// Its cylinders.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = Cut> + '_ {
        let each = (0..SKETCH_CYLINDERS).map(|at| Cut {
            words: self.words[at],
            ones: self.ones[at],
            angle: self.angle[at],
            x: self.x[at],
            y: self.y[at],
        });
        each.take_while(|cut| cut.ones > 0)
    }
}

/// The best cylinders of an impression, in the order of their angles: those that a turn leaves out stand together.
pub(crate) fn sketch(prepared: &Prepared) -> Sketch {
    let mut best: Vec<&Cylinder> = prepared.cylinders.iter().collect();
    let worth = |cylinder: &Cylinder| {
        prepared.poses[usize::from(cylinder.minutia)].quality * cylinder.valid.count_ones() as f32
    };
    best.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(a.minutia.cmp(&b.minutia)));
    best.truncate(SKETCH_CYLINDERS);
    best.sort_by_key(|cylinder| (cylinder.angle, cylinder.minutia));
    let poses: Vec<Pose> = best.iter().map(|c| prepared.poses[usize::from(c.minutia)]).collect();
    let middle = |of: fn(&Pose) -> f32| {
        let least = poses.iter().map(of).fold(f32::INFINITY, f32::min);
        let most = poses.iter().map(of).fold(f32::NEG_INFINITY, f32::max);
        (least + most) / 2.0
    };
    let (x, y) = (middle(|pose| pose.x), middle(|pose| pose.y));
    let place = |at: f32, middle: f32| libm::roundf((at - middle) / PLACE_STEP).clamp(-127.0, 127.0) as i8;
    let cuts = best.iter().zip(&poses).map(|(cylinder, pose)| {
        let words = cut(&cylinder.layers);
        let ones = words.iter().map(|word| word.count_ones()).sum::<u32>() as u8;
        Cut { words, ones, angle: cylinder.angle, x: place(pose.x, x), y: place(pose.y, y) }
    });
    Sketch::of(cuts)
}

/// The inner cells of all layers, one after another without gaps.
fn cut(layers: &[u64; LAYERS]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (layer, bits) in layers.iter().enumerate() {
        let bits = u128::from(gather(bits & INNER));
        let at = layer as u32 * CELLS;
        let (word, shift) = ((at / 64) as usize, at % 64);
        let shifted = bits << shift;
        words[word] |= shifted as u64;
        if let Some(next) = words.get_mut(word + 1) {
            *next |= (shifted >> 64) as u64;
        }
    }
    words
}

/// The inner cells of a layer moved together: each row has its own without a gap.
fn gather(bits: u64) -> u64 {
    let mut out = 0;
    let mut filled = 0;
    for row in 0..8 {
        let inner = INNER >> (8 * row) & 0xff;
        let (first, count) = (inner.trailing_zeros(), inner.count_ones());
        if count > 0 {
            out |= (bits >> (8 * row) & 0xff) >> first << filled;
            filled += count;
        }
    }
    out
}

/// The cells nearest to the middle, in rows of which each is a run.
const fn inner() -> u64 {
    let mut mask = 0u64;
    let mut left = CELLS;
    // Squared distances from the middle in half cells are 2, 10, 18, 26, 34, 50, 58.
    let mut distance = 0;
    while left > 0 {
        let mut cell = 0;
        while cell < 64 && left > 0 {
            let (x, y) = ((cell % 8) * 2 - 7, (cell / 8) * 2 - 7);
            // Of the outermost cells only those within their row's run: no corner of the square.
            if x * x + y * y == distance {
                mask |= 1 << cell;
                left -= 1;
            }
            cell += 1;
        }
        distance += 1;
    }
    mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_inner_cells_are_42_of_the_disc_and_a_run_in_each_row() {
        assert_eq!((INNER.count_ones(), INNER & !0x3c7e_ffff_ffff_7e3c), (CELLS, 0));
        for row in 0..8 {
            let inner = INNER >> (8 * row) & 0xff;
            let run = if inner == 0 { 0 } else { inner >> inner.trailing_zeros() };
            assert!((run + 1).is_power_of_two(), "{inner:b}");
        }
    }

    proptest! {
        #[test]
        fn cutting_keeps_every_inner_bit(layers in any::<[u64; LAYERS]>()) {
            let words = cut(&layers);
            let kept: u32 = layers.iter().map(|layer| (layer & INNER).count_ones()).sum();
            prop_assert_eq!(words.iter().map(|word| word.count_ones()).sum::<u32>(), kept);
            prop_assert_eq!(words[WORDS - 1] >> (BITS % 64), 0);
        }

        #[test]
        fn a_sketch_gives_back_its_cylinders(words in prop::collection::vec(any::<([u64; WORDS], u8, u8, i8, i8)>(), 0..30)) {
            let cuts: Vec<Cut> =
                words.into_iter().map(|(words, ones, angle, x, y)| Cut { words, ones, angle, x, y }).collect();
            let with_bits = cuts.iter().filter(|cut| cut.ones > 0).take(SKETCH_CYLINDERS);
            let back: Vec<Cut> = Sketch::of(cuts.iter().copied()).cuts().collect();
            prop_assert_eq!(back, with_bits.copied().collect::<Vec<_>>());
        }
    }
}
