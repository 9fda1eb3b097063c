//! The peers and the cascade on one small gallery: how long a comparison takes, and who misses what.

use std::time::{Duration, Instant};

use authenteon_matcher::{
    Prepared, Template, TemplateError,
    search::{Finger, Gallery},
};
use serde::Serialize;

use super::{
    engine::{self, Key},
    fill::Filling,
    peer::{Cylinders, Edges, Peer},
    search::Probe,
};
use crate::accuracy::{Progress, in_parallel};

/// Impressions of the small gallery, and probes searched in it.
const IMPRESSIONS: usize = 1000;
const PROBES: usize = 60;
/// How long a comparison is timed.
const TIMED: Duration = Duration::from_millis(600);

/// One method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerFigures {
    /// What it is.
    pub what: &'static str,
    /// Microseconds a comparison, one thread.
    pub us_per_comparison: f64,
    /// Milliseconds of a search of the whole gallery: extrapolated from that, as if all threads helped without loss.
    pub search_ms_extrapolated: f64,
    /// That over the median of our search.
    pub ratio: f64,
    /// Percent of the probes that it misses at rank 1 in the small gallery.
    pub miss: f64,
}

/// All methods on the same probes and gallery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contest {
    /// Impressions of the small gallery.
    pub impressions: usize,
    /// Probes.
    pub probes: usize,
    /// Percent of them that the cascade misses in it.
    pub miss_ours: f64,
    /// Scalar LSS over all.
    pub lss: PeerFigures,
    /// Edges over all.
    pub edges: PeerFigures,
}

/// What the whole gallery is like: its impressions, our median search in milliseconds, and on how many threads.
#[derive(Clone, Copy)]
pub(super) struct Whole {
    pub(super) impressions: usize,
    pub(super) search_ms: f64,
    pub(super) threads: usize,
}

/// Has them compete.
///
/// # Errors
/// [`TemplateError`] if the generator made what is no template.
pub(super) fn contest(
    filling: &Filling<'_>,
    probes: &[Probe],
    whole: Whole,
    progress: &dyn Progress,
) -> Result<Contest, TemplateError> {
    let probes: Vec<&Probe> = {
        let usable: Vec<&Probe> = probes.iter().filter(|probe| probe.template.is_some()).collect();
        let step = usable.len().div_ceil(PROBES).max(1);
        usable.into_iter().step_by(step).collect()
    };
    // Fingers of probes first, then those that follow the real ones.
    let fingers = (IMPRESSIONS / filling.enrol).max(1);
    let mut keys: Vec<Key> =
        (0..filling.real.fingers.len() as Key).chain(probes.iter().map(|p| p.key)).collect();
    keys.extend(filling.real.fingers.len() as Key..filling.fingers as Key);
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|key| seen.insert(*key));
    keys.truncate(fingers.max(filling.real.fingers.len() + probes.len()));
    let enrolled: Vec<(Key, Vec<Template>)> = keys
        .into_iter()
        .map(|key| Ok((key, filling.enrolled(key)?)))
        .collect::<Result<_, TemplateError>>()?;

    let mut gallery = Gallery::new();
    gallery.extend(enrolled.iter().map(|(key, templates)| (*key, Finger::new(templates))));
    gallery.build(whole.threads);
    let missed = |found: Option<Key>, probe: &Probe| u32::from(found != Some(probe.key));
    let ours: u32 = probes
        .iter()
        .filter_map(|probe| Some((probe, Prepared::new(probe.template.as_ref()?))))
        .map(|(probe, prepared)| {
            let found = engine::search(&gallery, &prepared, whole.threads, &mut |_, _| ());
            missed(found.first().map(|candidate| candidate.key), probe)
        })
        .sum();
    Ok(Contest {
        impressions: gallery.impressions(),
        probes: probes.len(),
        miss_ours: 100.0 * f64::from(ours) / probes.len().max(1) as f64,
        lss: measure::<Cylinders>(&enrolled, &probes, whole, progress),
        edges: measure::<Edges>(&enrolled, &probes, whole, progress),
    })
}

fn measure<P: Peer>(
    enrolled: &[(Key, Vec<Template>)],
    probes: &[&Probe],
    whole: Whole,
    progress: &dyn Progress,
) -> PeerFigures {
    let flat: Vec<(Key, &Template)> =
        enrolled.iter().flat_map(|(key, templates)| templates.iter().map(|t| (*key, t))).collect();
    let gallery = in_parallel(&flat, &(), |(key, template)| (*key, P::enrol(template)));
    let ready = in_parallel(probes, &(), |probe| probe.template.as_ref().map(|t| (probe.key, P::probe(t))));
    let ready: Vec<(Key, P::Probe)> = ready.into_iter().flatten().collect();
    let seconds = seconds_per_comparison(&gallery, &ready);
    progress.begin(&format!("peer {}", P::NAME), ready.len());
    let missed: u32 = in_parallel(&ready, progress, |(key, probe)| {
        let mut best = (f64::NEG_INFINITY, None);
        for (other, print) in &gallery {
            let score = print.score(probe);
            if score > best.0 {
                best = (score, Some(*other));
            }
        }
        u32::from(best.1 != Some(*key))
    })
    .into_iter()
    .sum();
    let search_ms = 1000.0 * seconds * whole.impressions as f64 / whole.threads.max(1) as f64;
    PeerFigures {
        what: P::WHAT,
        us_per_comparison: 1e6 * seconds,
        search_ms_extrapolated: search_ms,
        ratio: if whole.search_ms > 0.0 { search_ms / whole.search_ms } else { 0.0 },
        miss: 100.0 * f64::from(missed) / ready.len().max(1) as f64,
    }
}

/// Every probe in turn with a part of the gallery, until the time is over.
fn seconds_per_comparison<P: Peer>(gallery: &[(Key, P)], probes: &[(Key, P::Probe)]) -> f64 {
    /// Between two looks at the clock.
    const PART: usize = 50;
    let started = Instant::now();
    let (mut made, mut sum) = (0usize, 0.0);
    for (round, part) in gallery.chunks(PART).cycle().enumerate() {
        let Some((_, probe)) = probes.get(round % probes.len().max(1)) else { return 0.0 };
        sum += part.iter().map(|(_, print)| print.score(probe)).sum::<f64>();
        made += part.len();
        if started.elapsed() >= TIMED {
            break;
        }
    }
    std::hint::black_box(sum);
    started.elapsed().as_secs_f64() / made.max(1) as f64
}
