//! The measurement on a set of prints.

use std::{collections::BTreeMap, time::Duration};

use authenteon_hal::Dpi;
use authenteon_matcher::{Fmr, Prepared, Sameness, Template, compare, sameness};

use super::{Kind, Picture, kinds};
use crate::{
    accuracy::{Progress, Stopwatch, in_parallel},
    sets::{Set, SetError, load_at},
};

/// What real pairs of one finger come to.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    /// Pairs of two impressions of one finger.
    pub pairs: usize,
    /// Those that are taken for copies.
    pub alarms: usize,
    /// Impressions, each as a probe after all others of its finger.
    pub probes: usize,
    /// Those that are taken for a copy of any.
    pub probes_alarmed: usize,
    /// Fingers.
    pub fingers: usize,
    /// Those with any alarm.
    pub fingers_alarmed: usize,
    /// The samenesses of all pairs, ascending.
    pub samenesses: Vec<f32>,
    /// The greatest of two impressions that were taken one after the other.
    pub successive: f32,
}

/// What is caught of samples that are presented again in one way.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The way.
    pub name: &'static str,
    /// Whether the check is made for it.
    pub claimed: bool,
    /// Samples presented again, of which anything was left.
    pub presented: usize,
    /// Those that would be accepted without the check.
    pub matching: usize,
    /// Of these, those that are taken for copies.
    pub caught: usize,
}

/// What the check costs beside what a decision takes anyway; of one impression of the same finger each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Preparing an impression and comparing a probe with it, as a verification does with each that is enrolled.
    pub comparison: Duration,
    /// Preparing an impression and seeing whether the probe is a copy of it.
    pub check: Duration,
}

/// A set measured.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Its name.
    pub set: String,
    /// Pairs that are no replays.
    pub alarms: Alarms,
    /// Replays.
    pub caught: Vec<Caught>,
    /// On this machine, on one thread.
    pub cost: Cost,
}

struct Print<'a> {
    finger: &'a str,
    picture: Picture,
    template: Template,
    prepared: Prepared,
}

/// Measures a set; every so-manyth print is presented again.
///
/// # Errors
/// [`SetError`] when an image cannot be read.
pub fn measure(set: &Set, every: usize, progress: &dyn Progress) -> Result<Replayed, SetError> {
    progress.begin(&format!("{}: extracting", set.name), set.prints.len());
    let dpi = Dpi::new(set.dpi)
        .map_err(|why| SetError::Image { path: set.name.clone().into(), source: why.into() })?;
    let pictures = set
        .prints
        .iter()
        .map(|print| Ok((print.finger.as_str(), Picture::from(load_at(&print.path, dpi)?))))
        .collect::<Result<Vec<_>, SetError>>()?;
    let prints = in_parallel(&pictures, progress, |(finger, picture)| {
        let template = picture.template()?;
        let prepared = Prepared::new(&template);
        Some(Print { finger, picture: picture.clone(), template, prepared })
    });
    let prints: Vec<Print<'_>> = prints.into_iter().flatten().collect();
    let again: Vec<&Print<'_>> = prints.iter().step_by(every.max(1)).collect();
    let kinds = kinds();
    progress.begin(&format!("{}: presenting again", set.name), kinds.len());
    let caught = kinds.iter().map(|kind| {
        let caught = presented_again(kind, &again);
        progress.advance(1);
        caught
    });
    let caught = caught.collect();
    Ok(Replayed { set: set.name.clone(), alarms: alarms(&prints), caught, cost: cost(&prints) })
}

/// Over successive impressions of each finger, so often that the clock can tell.
fn cost(prints: &[Print<'_>]) -> Cost {
    const ROUNDS: u32 = 5;
    let pairs: Vec<_> = prints.windows(2).filter(|pair| pair[0].finger == pair[1].finger).collect();
    let timed = |work: &dyn Fn(&Prepared, &Prepared)| {
        let watch = Stopwatch::start();
        for _ in 0..ROUNDS {
            for pair in &pairs {
                work(&pair[0].prepared, &Prepared::new(&pair[1].template));
            }
        }
        watch.elapsed() / (ROUNDS * pairs.len().max(1) as u32)
    };
    Cost {
        comparison: timed(&|probe, reference| {
            std::hint::black_box(compare(probe, reference));
        }),
        check: timed(&|probe, reference| {
            std::hint::black_box(sameness(probe, reference));
        }),
    }
}

fn alarms(prints: &[Print<'_>]) -> Alarms {
    let mut fingers: BTreeMap<&str, Vec<&Print<'_>>> = BTreeMap::new();
    for print in prints {
        fingers.entry(print.finger).or_default().push(print);
    }
    let mut out = Alarms { fingers: fingers.len(), probes: prints.len(), ..Alarms::default() };
    for impressions in fingers.values() {
        let mut alarmed = vec![false; impressions.len()];
        for (i, one) in impressions.iter().enumerate() {
            for (j, other) in impressions.iter().enumerate().skip(i + 1) {
                let found: Sameness = sameness(&other.prepared, &one.prepared);
                out.pairs += 1;
                out.alarms += usize::from(found.is_copy());
                alarmed[i] |= found.is_copy();
                alarmed[j] |= found.is_copy();
                out.samenesses.push(found.get());
                if j == i + 1 {
                    out.successive = out.successive.max(found.get());
                }
            }
        }
        out.probes_alarmed += alarmed.iter().filter(|alarm| **alarm).count();
        out.fingers_alarmed += usize::from(alarmed.contains(&true));
    }
    out.samenesses.sort_by(f32::total_cmp);
    out
}

fn presented_again(kind: &Kind, prints: &[&Print<'_>]) -> Caught {
    let needed = Fmr::new(1e-4).map(Fmr::score);
    let found = in_parallel(prints, &(), |print| {
        let again = Prepared::new(&(kind.of)(&print.picture, &print.template)?);
        let matches = needed.is_some_and(|needed| compare(&again, &print.prepared) >= needed);
        Some((matches, sameness(&again, &print.prepared).is_copy()))
    });
    let found: Vec<(bool, bool)> = found.into_iter().flatten().collect();
    Caught {
        name: kind.name,
        claimed: kind.claimed,
        presented: found.len(),
        matching: found.iter().filter(|(matches, _)| *matches).count(),
        caught: found.iter().filter(|(matches, copy)| *matches && *copy).count(),
    }
}
