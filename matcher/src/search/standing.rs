//! Where a finger stands after each stage of a search, if all impressions went through all of them: what the sizes of the
//! shortlists are chosen by, and why somebody was not found. No search calls it.
//!
//! Invariant: what stands there is what a search sees, by the same kernels.

use super::{
    Gallery,
    alignment::Laid,
    likeness::Probe,
    parallel::map,
    segment::Segment,
    sketch::{Sketch, sketch},
    votes::{Ballot, Tally, Votes},
};
use crate::{
    compare::Prepared,
    simd::{aligned, nearest, support},
};

/// Shares of all impressions that a stage puts before the best one of a finger, 0 to 1; of those that it takes for as good half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// By votes.
    pub votes: f64,
    /// As the votes lay the probe on them.
    pub alignment: f64,
    /// By the likeness of whole sketches.
    pub likeness: f64,
}

/// What an impression has from each stage.
type Values = [f32; 3];

impl<K: Clone + Ord + Send + Sync> Gallery<K> {
    /// Where a finger stands for a probe. None when it is not there, or not built yet: see [`Self::build`].
    #[must_use]
    pub fn standing(&self, probe: &Prepared, key: &K, threads: usize) -> Option<Standing> {
        let sketch = sketch(probe);
        let (ballot, laid, probe) = (Ballot::new(sketch.cuts()), Laid::new(sketch), Probe::new(sketch));
        let parts = map(threads, 1, &self.index.parts, |part| {
            let finger = part.segment.entries.binary_search_by(|(k, _)| k.cmp(key)).ok();
            let finger = finger.filter(|finger| !part.is_dead(*finger));
            let values = values(&part.segment, &ballot, &laid, &probe);
            let mut best: Option<Values> = None;
            for (values, of) in values.iter().zip(&part.segment.finger_of) {
                if finger == Some(usize::from(*of)) {
                    let best = best.get_or_insert(*values);
                    *best = std::array::from_fn(|stage| best[stage].max(values[stage]));
                }
            }
            (values, best)
        });
        let best = parts.iter().find_map(|(_, best)| *best)?;
        let all = parts.iter().map(|(values, _)| values.len()).sum::<usize>().max(1) as f64;
        let before = |stage: usize| {
            let each = parts.iter().flat_map(|(values, _)| values).map(|values| values[stage]);
            let (mut more, mut same) = (0.0, 0.0);
            each.for_each(|value| {
                more += f64::from(u8::from(value > best[stage]));
                same += f64::from(u8::from(value == best[stage]));
            });
            (more + (same - 1.0) / 2.0) / all
        };
        Some(Standing { votes: before(0), alignment: before(1), likeness: before(2) })
    }
}

fn values<K>(segment: &Segment<K>, ballot: &Ballot, laid: &Laid, probe: &Probe) -> Vec<Values> {
    let mut tallies = vec![Tally::default(); segment.impressions()];
    for voted in Votes::with(|votes| votes.of(ballot, segment)) {
        tallies[usize::from(voted.impression)] = voted.tally;
    }
    let these: Vec<(&Sketch, Tally)> = segment.sketches().iter().zip(tallies).collect();
    let mut alike = Vec::with_capacity(these.len());
    aligned(laid, &these, &mut alike);
    let each = these.iter().zip(alike).map(|((sketch, tally), alike)| {
        // Nobody is laid on the probe without votes.
        let alike = if tally.votes > 0 { f32::from(alike) } else { 0.0 };
        [f32::from(tally.votes), alike, support(probe, sketch, &nearest(probe, sketch))]
    });
    each.collect()
}
