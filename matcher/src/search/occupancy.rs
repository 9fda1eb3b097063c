//! How full the lists of the index are to which the keys of a print lead: what a vote costs, and whether synthetic prints are
//! like real ones in it. No search calls it.

use std::sync::Arc;

use super::{
    finger::Finger,
    hash::keys,
    segment::{LARGEST, Segment},
    sketch::{Sketch, sketch},
};
use crate::compare::Prepared;

/// For each of some prints, as many as a segment holds at most, how many cylinders of the others are in a list with one of its:
/// the mean over its keys. None of a print without cylinders.
#[must_use]
pub fn occupancy(prints: &[Prepared]) -> Vec<Option<f64>> {
    let sketches: Vec<Sketch> = prints.iter().take(LARGEST).map(sketch).collect();
    let nobody = Arc::new(Finger::new(&[]));
    let fingers = sketches.iter().enumerate();
    let fingers = fingers.map(|(key, sketch)| ((key, Arc::clone(&nobody)), Arc::from([*sketch])));
    let segment = Segment::new(fingers.collect());
    let of = |(print, sketch): (usize, &Sketch)| {
        let (mut lists, mut others) = (0_u32, 0_usize);
        for (table, key) in
            sketch.cuts().filter_map(|cut| keys(&cut)).flat_map(|keys| keys.into_iter().enumerate())
        {
            let list = segment.postings(table, key);
            lists += 1;
            others += list.iter().filter(|posting| posting.impression() != print).count();
        }
        (lists > 0).then(|| others as f64 / f64::from(lists))
    };
    sketches.iter().enumerate().map(of).collect()
}
