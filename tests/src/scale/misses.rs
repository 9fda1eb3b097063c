//! How many probes miss their finger at rank 1, by the cascade and by comparing with everybody.
//!
//! Comparing with everybody takes seconds a probe in a large gallery, so it is done for a sample: of the probes that the
//! cascade missed as many as may be, of the others the rest, each drawn by a fixed seed. The rate over all probes is the
//! sum of both parts, each with its own weight: what the cascade adds shows among those that it missed.

use authenteon_matcher::{Prepared, search::Gallery};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::Serialize;

use super::{
    engine::{self, Key},
    search::Probe,
};
use crate::accuracy::{Progress, in_parallel};

/// Comparisons that are made unless something else is said: some minutes.
const COMPARISONS: usize = 10_000_000;
/// Fewer probes say nothing.
const LEAST: usize = 10;

/// Rates in percent of the probes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Misses {
    /// Probes.
    pub probes: usize,
    /// Of these, those that gave no template: a miss in both.
    pub without_template: usize,
    /// Missed by the cascade.
    pub cascade: f64,
    /// Missed by comparing with everybody; an estimate unless all were compared.
    pub exhaustive: f64,
    /// The difference: what the cascade adds.
    pub added: f64,
    /// Probes that were compared with everybody.
    pub compared: usize,
    /// Of these, those that the cascade had missed.
    pub compared_missed: usize,
}

/// So many probes may be compared with everybody when nothing else is said.
#[must_use]
pub(crate) fn affordable(impressions: usize) -> usize {
    (COMPARISONS / impressions.max(1)).max(LEAST)
}

/// Compares at most so many probes with everybody; `found` says for which the cascade was right.
pub(super) fn misses(
    gallery: &Gallery<Key>,
    probes: &[Probe],
    found: &[bool],
    most: usize,
    progress: &dyn Progress,
) -> Misses {
    let with = |right: bool| -> Vec<usize> {
        let all = 0..probes.len();
        all.filter(|&at| probes[at].template.is_some() && found[at] == right).collect()
    };
    let (mut missed, mut hit) = (with(false), with(true));
    let (all_missed, all_hit) = (missed.len(), hit.len());
    let without = probes.len() - all_missed - all_hit;
    // Half of the sample at least is for those that were found, as far as there are so many.
    draw(&mut missed, most.saturating_sub(all_hit).max(most.div_ceil(2)));
    draw(&mut hit, most - missed.len().min(most));
    let sample: Vec<usize> = missed.iter().chain(&hit).copied().collect();
    progress.begin("comparing with everybody", sample.len());
    let right = in_parallel(&sample, progress, |&at| {
        let probe = &probes[at];
        let best = probe
            .template
            .as_ref()
            .and_then(|template| engine::exhaustive(gallery, &Prepared::new(template)));
        best == Some(probe.key)
    });
    let (of_missed, of_hit) = right.split_at(missed.len());
    let share = |right: &[bool]| match right.len() {
        0 => 0.0,
        all => right.iter().filter(|right| !**right).count() as f64 / all as f64,
    };
    let wrong = share(of_missed) * all_missed as f64 + share(of_hit) * all_hit as f64;
    let percent = |count: f64| 100.0 * count / probes.len().max(1) as f64;
    let (cascade, exhaustive) = (percent((all_missed + without) as f64), percent(wrong + without as f64));
    Misses {
        probes: probes.len(),
        without_template: without,
        cascade,
        exhaustive,
        added: cascade - exhaustive,
        compared: sample.len(),
        compared_missed: missed.len(),
    }
}

/// Leaves so many of them, drawn by a fixed seed.
fn draw(all: &mut Vec<usize>, most: usize) {
    let mut chance = ChaCha8Rng::from_seed([3; 32]);
    for at in (1..all.len()).rev() {
        let other = ((u64::from(chance.next_u32()) * (at as u64 + 1)) >> 32) as usize;
        all.swap(at, other);
    }
    all.truncate(most);
}

#[cfg(test)]
mod tests {
    use authenteon_matcher::search::Finger;

    use super::*;
    use crate::scale::Generator;

    #[test]
    fn a_draw_is_a_part_of_all_and_the_same_every_time() {
        let draw = |most| {
            let mut all: Vec<usize> = (0..100).collect();
            draw(&mut all, most);
            all
        };
        let (mut all, few) = (draw(200), draw(10));
        assert_eq!(few, draw(10));
        assert_eq!(few[..], all[..10]);
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn with_all_probes_compared_both_rates_are_counted_and_with_few_one_is_weighed() {
        let generator = Generator::new(1, &[]);
        let template = |key: Key, press| generator.finger(u64::from(key)).impression(press).ok();
        let mut gallery = Gallery::new();
        gallery.extend((0..12).filter_map(|key| Some((key, Finger::new(&[template(key, 0)?])))));
        // The last is of nobody here: both miss it. One gave no template.
        let mut probes: Vec<Probe> =
            [0, 1, 2, 3, 4, 5, 99].map(|key| Probe { key, template: template(key, 1) }).into();
        probes.push(Probe { key: 6, template: None });
        // The cascade is said to have missed one that is there.
        let found = [true, true, true, true, true, false, false, false];
        let all = misses(&gallery, &probes, &found, 100, &());
        assert_eq!((all.probes, all.without_template, all.compared, all.compared_missed), (8, 1, 7, 2));
        assert_eq!((all.cascade, all.exhaustive, all.added), (37.5, 25.0, 12.5));
        let few = misses(&gallery, &probes, &found, 4, &());
        assert_eq!((few.compared, few.compared_missed), (4, 2));
        assert_eq!((few.cascade, few.exhaustive), (37.5, 25.0));
        let none = misses(&gallery, &probes, &found, 0, &());
        assert_eq!((none.compared, none.cascade), (0, 37.5));
    }

    #[test]
    fn a_larger_gallery_affords_fewer_probes() {
        assert_eq!([affordable(300), affordable(300_000), affordable(10_000_000)], [33_333, 33, 10]);
    }
}
