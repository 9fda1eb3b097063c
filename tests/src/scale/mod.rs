//! Identification among many: how long a search takes, what it misses, what it costs in memory, and how far any of that
//! can be believed.
//!
//! Real fingers are hidden among synthetic ones ([`Generator`]) that are tested for being like them; the cascade is
//! compared with the exhaustive comparison on the same probes, and with two published methods. False accepts are never
//! claimed from synthetic fingers: they come from real pairs and the calibration ([`Reach`]).
//! Invariant: the same order gives the same gallery, probes and misses, whatever the threads do.

mod contest;
mod engine;
mod fill;
mod generator;
mod growth;
mod likeness;
mod misses;
mod peer;
mod reach;
mod real;
mod report;
mod roof;
mod search;
mod sweep;

use std::time::Instant;

use authenteon_matcher::{Prepared, Template, TemplateError, compare};

pub use self::{
    contest::{Contest, PeerFigures},
    engine::force,
    generator::{Generator, Made},
    growth::{growth, growth_plot},
    likeness::{ChanceRatio, Compared, Label},
    misses::Misses,
    reach::{Allowed, Reach, SetTail},
    real::{Real, RealFinger},
    report::{Build, Memory, Report, Roof, Strangers},
    search::{Stage, Stages},
    sweep::Cut,
};
use self::{
    contest::{Whole, contest},
    engine::Key,
    fill::{Filled, Filling, fill},
    likeness::{chance_ratios, compare_traits},
    misses::{affordable, misses},
    reach::reach,
    search::{Probe, search_all},
    sweep::sweep,
};
use crate::accuracy::{Progress, all_pairs, in_parallel};

/// Synthetic fingers that are compared with the real ones.
const SAMPLE: usize = 1000;
/// Of these, those that real probes are compared with for chance matches.
const CHANCE: usize = 300;
/// Impressions of each real finger that take part in that.
const CHANCE_IMPRESSIONS: usize = 3;
/// Searches for fingers that nobody enrolled, at most.
const STRANGERS: usize = 100;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Order {
    /// Fingers of the gallery, real ones included.
    pub fingers: usize,
    /// Impressions enrolled of each.
    pub enrol: usize,
    /// Threads of a search.
    pub threads: usize,
    /// Searches for enrolled fingers where no real probes are given; no more are made for strangers.
    pub searches: usize,
    /// Probes that are compared with everybody; where none is said, as many as take some minutes.
    pub exhaustive: Option<usize>,
    /// Whether peers, likeness and false accepts are looked at too.
    pub whole: bool,
    /// Whether it is looked where each probe's finger stands after each stage.
    pub sweep: bool,
    /// Name of the instructions in use.
    pub kernel: String,
    /// Of the synthetic fingers.
    pub seed: u64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// More real fingers than the gallery is to have.
    #[error("the probes are of {real} fingers and the gallery has {fingers}: take --gallery {real} or more")]
    Small {
        /// Real fingers.
        real: usize,
        /// Fingers of the gallery.
        fingers: usize,
    },
    /// Nothing is left to search for.
    #[error("every impression is enrolled and none is left as a probe: take a smaller --enrol")]
    NoProbe,
    /// The generator made what is no template.
    #[error("the generator failed: {0}")]
    Template(#[from] TemplateError),
}

/// Measures.
///
/// # Errors
/// [`ScaleError`] when the order cannot be carried out.
pub fn measure(order: &Order, real: &Real, progress: &dyn Progress) -> Result<Report, ScaleError> {
    if real.fingers.len() > order.fingers {
        return Err(ScaleError::Small { real: real.fingers.len(), fingers: order.fingers });
    }
    let sets: Vec<(&str, usize)> =
        real.sets.iter().map(|(name, fingers)| (name.as_str(), *fingers)).collect();
    let generator = Generator::new(order.seed, &sets);
    let filling = Filling {
        real,
        generator: &generator,
        fingers: order.fingers,
        enrol: order.enrol,
        threads: order.threads,
    };
    let probes = probes(&filling, order)?;
    let Filled { gallery, generating, preparing, sketching, indexing, resident } = fill(&filling, progress)?;
    let impressions = gallery.impressions();
    let [templates, cylinders, index, prepared] =
        engine::bytes(&gallery).map(|bytes| bytes as f64 / impressions.max(1) as f64);
    let searched = search_all(&gallery, &probes, order.threads, "searching", progress);
    let strangers = strangers(&filling, order.searches.min(STRANGERS))?;
    let not_found = search_all(&gallery, &strangers, order.threads, "searching for strangers", progress);
    let most = order.exhaustive.unwrap_or_else(|| affordable(impressions));
    let misses = misses(&gallery, &probes, &searched.found, most, progress);
    let sweep = order.sweep.then(|| sweep(&gallery, &probes, order.threads, progress));
    let cylinders_ms = cylinders_ms(&probes);
    let whole = Whole { impressions, search_ms: searched.p50, threads: order.threads };
    let peer = if order.whole { Some(contest(&filling, &probes, whole, progress)?) } else { None };
    let (likeness, chance) =
        if order.whole { likeness(&filling, progress)? } else { (Vec::new(), Vec::new()) };
    let untested = if real.fingers.is_empty() {
        "no real prints were given (--probes)"
    } else {
        "likeness was not tested (--brief, or a smaller size of a plot)"
    };
    let label = Label::of(&likeness, &chance, untested);
    let nobody = Real::default();
    let seconds = (preparing + sketching + indexing).as_secs_f64();
    Ok(Report {
        gallery: gallery.fingers(),
        templates_per_s_build: impressions as f64 / seconds.max(1e-9),
        bytes_per_template: templates + cylinders + index + prepared,
        search_ms_p50: searched.p50,
        search_ms_p99: searched.p99,
        stages: searched.stages,
        miss_cascade: misses.cascade,
        miss_exhaustive: misses.exhaustive,
        peer,
        label: label.text(),
        label_failed: label.failed().to_vec(),
        impressions,
        enrol: order.enrol,
        threads: order.threads,
        kernel: order.kernel.clone(),
        probes: if real.fingers.is_empty() { "synthetic" } else { "real" },
        failed: real.failures.len(),
        build: Build {
            generating_s: generating.as_secs_f64(),
            preparing_s: preparing.as_secs_f64(),
            sketching_s: sketching.as_secs_f64(),
            indexing_s: indexing.as_secs_f64(),
            cylinders_ms,
        },
        bytes: Memory {
            templates,
            cylinders,
            index,
            prepared,
            resident: resident.map(|bytes| bytes as f64 / impressions.max(1) as f64),
        },
        misses,
        sweep: sweep.unwrap_or_default(),
        strangers: Strangers {
            searches: strangers.len(),
            search_ms_p50: not_found.p50,
            search_ms_p99: not_found.p99,
        },
        fitted_on: generator.fitted_on(),
        likeness,
        chance,
        reach: reach(impressions, if order.whole { real } else { &nobody }, progress),
        roof: roof::roof(),
    })
}

/// The real impressions that are not enrolled; where there is no real finger, impressions of synthetic ones.
fn probes(filling: &Filling<'_>, order: &Order) -> Result<Vec<Probe>, ScaleError> {
    let real = filling.real;
    let mut probes = Vec::new();
    for (key, finger) in real.fingers.iter().enumerate() {
        let of = finger.probes(order.enrol).map(|t| Probe { key: key as Key, template: t.cloned() });
        probes.extend(of);
    }
    if real.fingers.is_empty() {
        // Spread evenly over the gallery.
        let count = order.searches.min(order.fingers);
        for number in 0..count {
            let key = (number * order.fingers / count) as Key;
            probes.push(Probe { key, template: Some(filling.probe(key)?) });
        }
    }
    if probes.is_empty() { Err(ScaleError::NoProbe) } else { Ok(probes) }
}

/// Impressions of fingers that are not in the gallery.
fn strangers(filling: &Filling<'_>, count: usize) -> Result<Vec<Probe>, TemplateError> {
    let first = filling.fingers as Key;
    let one = |key: Key| Ok(Probe { key, template: Some(filling.probe(key)?) });
    (first..first + count as Key).map(one).collect()
}

/// Milliseconds that the cylinders of a template take, over the probes.
fn cylinders_ms(probes: &[Probe]) -> f64 {
    let templates: Vec<&Template> = probes.iter().filter_map(|p| p.template.as_ref()).take(200).collect();
    let started = Instant::now();
    for template in &templates {
        std::hint::black_box(Prepared::new(template));
    }
    1000.0 * started.elapsed().as_secs_f64() / templates.len().max(1) as f64
}

/// The tests of whether the synthetic fingers are like the real ones; nothing where there are no real ones.
fn likeness(
    filling: &Filling<'_>,
    progress: &dyn Progress,
) -> Result<(Vec<Compared>, Vec<ChanceRatio>), TemplateError> {
    let real: Vec<&Template> = filling.real.fingers.iter().filter_map(|f| f.enrolled(1).next()).collect();
    if real.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let first = filling.real.fingers.len() as u64;
    let numbers: Vec<u64> = (first..first + SAMPLE as u64).collect();
    progress.begin("comparing real with synthetic", numbers.len());
    let synthetic = in_parallel(&numbers, progress, |&number| filling.generator.finger(number).impression(0));
    let synthetic = synthetic.into_iter().collect::<Result<Vec<Template>, _>>()?;
    let traits = compare_traits(&real, &synthetic.iter().collect::<Vec<_>>());

    let prepared: Vec<(usize, Prepared)> = filling
        .real
        .fingers
        .iter()
        .enumerate()
        .flat_map(|(number, f)| f.enrolled(CHANCE_IMPRESSIONS).map(move |t| (number, Prepared::new(t))))
        .collect();
    let strangers: Vec<Prepared> = synthetic.iter().take(CHANCE).map(Prepared::new).collect();
    let mut pairs = all_pairs(prepared.len());
    pairs.retain(|&(a, b)| prepared[a].0 != prepared[b].0);
    progress.begin("chance matches", pairs.len() + prepared.len() * strangers.len());
    let among = in_parallel(&pairs, progress, |&(a, b)| compare(&prepared[a].1, &prepared[b].1).get());
    let with: Vec<(usize, usize)> =
        (0..prepared.len()).flat_map(|a| (0..strangers.len()).map(move |b| (a, b))).collect();
    let beside = in_parallel(&with, progress, |&(a, b)| compare(&prepared[a].1, &strangers[b]).get());
    Ok((traits, chance_ratios(&among, &beside)))
}
