//! Searches against the clock, stage by stage: from a template in memory to ranked candidates.

use std::time::{Duration, Instant};

use authenteon_matcher::{Prepared, Template, search::Gallery};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::engine::{self, Key};
use crate::{accuracy::Progress, load::quantile};

/// Searches before the clock counts: the first ones find nothing in the caches.
const WARM_UP: usize = 5;

/// What is searched for.
#[derive(Clone)]
pub(super) struct Probe {
    /// The finger that it is of.
    pub(super) key: Key,
    /// None where the print gave no template: nobody is found then.
    pub(super) template: Option<Template>,
}

/// Figures of one stage. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Half of the searches took less.
    pub ms_p50: f64,
    /// Of a hundred, 99 took less.
    pub ms_p99: f64,
    /// Searches that had it.
    pub searches: usize,
    /// Impressions that are left after it, on the average.
    pub kept: f64,
    /// The same as percent of the gallery.
    pub penetration: f64,
}

/// Stages by name, in the order of the search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages(pub Vec<(&'static str, Stage)>);

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, stage) in &self.0 {
            map.serialize_entry(name, stage)?;
        }
        map.end()
    }
}

/// Searches, and what they took.
pub(super) struct Searched {
    /// Whether the finger came first, probe by probe.
    pub(super) found: Vec<bool>,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) stages: Stages,
}

/// One stage of one search.
struct Step {
    name: &'static str,
    took: Duration,
    kept: usize,
}

/// Searches for every probe, one after the other, each on so many threads.
pub(super) fn search_all(
    gallery: &Gallery<Key>,
    probes: &[Probe],
    threads: usize,
    what: &str,
    progress: &dyn Progress,
) -> Searched {
    for template in probes.iter().filter_map(|p| p.template.as_ref()).take(WARM_UP) {
        timed(gallery, template, threads);
    }
    progress.begin(what, probes.len());
    let mut times = Vec::with_capacity(probes.len());
    let mut steps: Vec<Step> = Vec::new();
    let mut found = Vec::with_capacity(probes.len());
    for probe in probes {
        let first = probe.template.as_ref().and_then(|template| {
            let (first, took, stages) = timed(gallery, template, threads);
            times.push(took);
            steps.extend(stages);
            first
        });
        found.push(first == Some(probe.key));
        progress.advance(1);
    }
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    Searched { found, p50, p99, stages: stages(steps, gallery.impressions()) }
}

/// Who came first, and how long it took, in all and by stages.
fn timed(gallery: &Gallery<Key>, template: &Template, threads: usize) -> (Option<Key>, Duration, Vec<Step>) {
    let started = Instant::now();
    let probe = Prepared::new(template);
    let mut last = Instant::now();
    let mut steps = vec![Step { name: "prepare", took: last - started, kept: gallery.impressions() }];
    let candidates = engine::search(gallery, &probe, threads, &mut |name, kept| {
        let now = Instant::now();
        steps.push(Step { name, took: now - last, kept });
        last = now;
    });
    (candidates.first().map(|candidate| candidate.key), started.elapsed(), steps)
}

fn stages(steps: Vec<Step>, impressions: usize) -> Stages {
    let mut names: Vec<&'static str> = Vec::new();
    for step in &steps {
        if !names.contains(&step.name) {
            names.push(step.name);
        }
    }
    let stage = |name: &'static str| {
        let of: Vec<&Step> = steps.iter().filter(|step| step.name == name).collect();
        let mut times: Vec<Duration> = of.iter().map(|step| step.took).collect();
        let kept = of.iter().map(|step| step.kept as f64).sum::<f64>() / of.len() as f64;
        let penetration = 100.0 * kept / impressions.max(1) as f64;
        let (ms_p50, ms_p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        (name, Stage { ms_p50, ms_p99, searches: of.len(), kept, penetration })
    };
    Stages(names.into_iter().map(stage).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_come_in_their_order_with_their_own_times() {
        let step = |name, ms, kept| Step { name, took: Duration::from_millis(ms), kept };
        let steps = vec![step("votes", 4, 50), step("bits", 2, 10), step("votes", 8, 30)];
        let found = stages(steps, 1000);
        assert_eq!(found.0.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["votes", "bits"]);
        let votes = &found.0[0].1;
        assert_eq!((votes.searches, votes.kept, votes.penetration), (2, 40.0, 4.0));
        assert_eq!((votes.ms_p50, votes.ms_p99), (4.0, 8.0));
        let json = serde_json::to_string(&found).unwrap();
        assert!(json.starts_with("{\"votes\":{") && json.contains(",\"bits\":{"), "{json}");
    }
}
