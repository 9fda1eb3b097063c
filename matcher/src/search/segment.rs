//! A part of the gallery as the search sees it: sketches side by side, and the index of their keys.
//!
//! Invariant: nothing of it changes once it is built; who is removed is known beside it (`index.rs`). A posting names an
//! impression of its segment and where the cylinder stands, so that a hit needs no look at the sketch.

use std::sync::Arc;

use super::{
    finger::Finger,
    hash::keys,
    sketch::{Cut, Sketch},
};
use crate::{params::HASH_TABLES, simd::fetch};

/// Impressions of a segment at most: as many as a posting can tell apart, and few enough that what a search counts of them
/// stays in the cache of a core.
pub(crate) const LARGEST: usize = 1 << Posting::IMPRESSION;

/// A cylinder in the index: impression, angle and place, in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting(u32);

impl Posting {
    const IMPRESSION: u32 = 13;
    /// Angles are kept in 1/64 turns.
    pub(crate) const ANGLE_STEP: u32 = 4;
    /// And places in this many steps of a sketch.
    pub(crate) const PLACE_STEP: i32 = 4;

    pub(crate) fn new(impression: usize, cut: &Cut) -> Self {
        let place = |at: i8| (i32::from(at) + 128) as u32 / Self::PLACE_STEP as u32;
        Self(
            impression as u32
                | (u32::from(cut.angle) / Self::ANGLE_STEP) << 13
                | place(cut.x) << 19
                | place(cut.y) << 25,
        )
    }

    pub(crate) fn impression(self) -> usize {
        self.0 as usize & (LARGEST - 1)
    }

    /// Which of the angles it is that postings tell apart.
    pub(crate) fn angle_step(self) -> usize {
        (self.0 >> 13 & 63) as usize
    }

    /// The place in steps of a posting: 32 is the middle of the sketch.
    pub(crate) fn steps(self) -> (u32, u32) {
        (self.0 >> 19 & 63, self.0 >> 25 & 63)
    }

    /// The middle of the angles that it stands for, 1/256 turns.
    #[cfg(test)]
    pub(crate) fn angle(self) -> u8 {
        (self.angle_step() as u32 * Self::ANGLE_STEP + Self::ANGLE_STEP / 2) as u8
    }
}

/// A finger of a segment.
pub(crate) type Entry<K> = (K, Arc<Finger>);

/// Fingers with their sketches, ready to be searched.
pub(crate) struct Segment<K> {
    /// In the order of their sketches.
    pub(crate) entries: Vec<Entry<K>>,
    /// Which finger an impression is of.
    pub(crate) finger_of: Vec<u16>,
    sketches: Vec<Sketch>,
    index: Index,
}

impl<K> Segment<K> {
    /// Of these fingers, each with the sketches of its impressions; as many impressions as fit in.
    pub(crate) fn new(fingers: Vec<(Entry<K>, Arc<[Sketch]>)>) -> Self {
        let (mut entries, mut finger_of, mut sketches) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, views) in fingers {
            let fit = views.get(..LARGEST - sketches.len()).unwrap_or(&views);
            finger_of.extend(fit.iter().map(|_| entries.len() as u16));
            sketches.extend_from_slice(fit);
            entries.push(entry);
        }
        sketches.shrink_to_fit();
        let index = Index::new(&sketches);
        Self { entries, finger_of, sketches, index }
    }

    /// Impressions in it.
    pub(crate) fn impressions(&self) -> usize {
        self.finger_of.len()
    }

    /// The sketch of an impression.
    pub(crate) fn sketch(&self, impression: usize) -> Option<&Sketch> {
        self.sketches.get(impression)
    }

    /// The sketches of all.
    pub(crate) fn sketches(&self) -> &[Sketch] {
        &self.sketches
    }

    pub(crate) fn postings(&self, table: usize, key: u32) -> &[Posting] {
        self.index.of(table, key)
    }

    /// Has the place of a list come from memory, which is soon asked for.
    pub(crate) fn fetch_place(&self, table: usize, key: u32) {
        fetch(self.index.starts.get(list(table, key)..).unwrap_or_default());
    }

    /// Bytes of the sketches, and of the index.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let sketches = size_of_val(self.sketches.as_slice()) + size_of_val(self.finger_of.as_slice());
        (sketches, size_of_val(self.index.starts.as_slice()) + size_of_val(self.index.postings.as_slice()))
    }
}

/// Bits of a key that choose a list. Keys share one when these are the same: with a list for each impression of a full segment
/// that adds half a hit to an impression, and fewer would drown the true ones.
const LIST: u32 = Posting::IMPRESSION;

/// Postings by table and key.
struct Index {
    /// Where a list begins, table after table, and at last where the last ends.
    starts: Vec<u32>,
    postings: Vec<Posting>,
}

impl Index {
    fn new(sketches: &[Sketch]) -> Self {
        let lists = HASH_TABLES << LIST;
        let mut hashed: Vec<([u32; HASH_TABLES], Posting)> = sketches
            .iter()
            .enumerate()
            .flat_map(|(impression, sketch)| sketch.cuts().map(move |cut| (impression, cut)))
            .filter_map(|(impression, cut)| {
                let posting = Posting::new(impression, &cut);
                keys(&cut).map(|keys| (keys, posting))
            })
            .collect();
        // In each list in the order of the angles: those that are turned too far stand together.
        hashed.sort_by_key(|(_, posting)| posting.angle_step());
        // Counted, then put into their places.
        let mut starts = vec![0u32; lists + 1];
        for (keys, _) in &hashed {
            for (table, key) in keys.iter().enumerate() {
                starts[list(table, *key) + 1] += 1;
            }
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut postings = vec![Posting(0); hashed.len() * HASH_TABLES];
        for (keys, posting) in &hashed {
            for (table, key) in keys.iter().enumerate() {
                let place = &mut next[list(table, *key)];
                postings[*place as usize] = *posting;
                *place += 1;
            }
        }
        Self { starts, postings }
    }

    fn of(&self, table: usize, key: u32) -> &[Posting] {
        let list = list(table, key);
        let at = |list: usize| self.starts.get(list).map_or(0, |at| *at as usize);
        self.postings.get(at(list)..at(list + 1)).unwrap_or_default()
    }
}

fn list(table: usize, key: u32) -> usize {
    (table << LIST) + (key >> (u32::BITS - LIST)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::sketch::WORDS;

    fn cuts() -> impl Strategy<Value = Vec<Cut>> {
        let cut = any::<([u64; WORDS], u8, i8, i8)>().prop_map(|(words, angle, x, y)| {
            let words = words.map(|word| word & word.rotate_left(17) & (u64::MAX >> 1));
            Cut { words, ones: words.iter().map(|w| w.count_ones()).sum::<u32>() as u8, angle, x, y }
        });
        prop::collection::vec(cut.prop_filter("bits", |cut| cut.ones > 0), 0..24)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_cylinder_is_found_by_each_of_its_keys(views in prop::collection::vec(cuts(), 1..40)) {
            let finger = || Arc::new(Finger::new(&[]));
            let fingers = views.iter().enumerate().map(|(key, cuts)| ((key, finger()), [Sketch::of(cuts.iter().copied())].into()));
            let segment = Segment::new(fingers.collect());
            prop_assert_eq!(segment.impressions(), views.len());
            for (impression, cuts) in views.iter().enumerate() {
                prop_assert_eq!(&segment.sketch(impression).unwrap().cuts().collect::<Vec<_>>(), cuts);
                for cut in cuts {
                    for (table, key) in keys(cut).unwrap().into_iter().enumerate() {
                        let found = segment.postings(table, key).contains(&Posting::new(impression, cut));
                        prop_assert!(found);
                    }
                }
            }
        }

        #[test]
        fn a_posting_tells_impression_angle_and_place_about_right(
            impression in 0..LARGEST, angle in any::<u8>(), x in any::<i8>(), y in any::<i8>(),
        ) {
            let posting = Posting::new(impression, &Cut { angle, x, y, ..Cut::default() });
            prop_assert_eq!(posting.impression(), impression);
            prop_assert!((posting.angle().wrapping_sub(angle) as i8).unsigned_abs() <= 2);
            let place = |steps: u32| steps as i32 * Posting::PLACE_STEP - 128 + Posting::PLACE_STEP / 2;
            let (u, v) = (place(posting.steps().0), place(posting.steps().1));
            prop_assert!((u - i32::from(x)).abs() <= 2 && (v - i32::from(y)).abs() <= 2);
        }
    }
}
