//! A gallery of real fingers hidden among synthetic ones, and how long it takes to build.
//!
//! Invariant: the same order gives the same gallery. Real fingers have the first keys, synthetic ones the following;
//! the impressions enrolled of a synthetic finger are its first.

use std::time::{Duration, Instant};

use authenteon_matcher::{
    Template, TemplateError,
    search::{Finger, Gallery},
};

use super::{engine::Key, generator::Generator, real::Real};
use crate::accuracy::{Progress, in_parallel};

/// Fingers made at a time: few enough for memory.
const BATCH: usize = 4096;

/// What a gallery is filled with.
pub(super) struct Filling<'a> {
    pub(super) real: &'a Real,
    pub(super) generator: &'a Generator,
    /// All fingers.
    pub(super) fingers: usize,
    /// Impressions enrolled of each, where it has so many.
    pub(super) enrol: usize,
    /// That build it.
    pub(super) threads: usize,
}

impl Filling<'_> {
    /// The impressions enrolled of a finger.
    pub(super) fn enrolled(&self, key: Key) -> Result<Vec<Template>, TemplateError> {
        match self.real.fingers.get(key as usize) {
            Some(finger) => Ok(finger.enrolled(self.enrol).cloned().collect()),
            None => {
                let made = self.generator.finger(u64::from(key));
                (0..self.enrol as u64).map(|number| made.impression(number)).collect()
            }
        }
    }

    /// An impression of a synthetic finger that is not enrolled.
    pub(super) fn probe(&self, key: Key) -> Result<Template, TemplateError> {
        self.generator.finger(u64::from(key)).impression(self.enrol as u64)
    }
}

/// A gallery and how long it took.
pub(super) struct Filled {
    pub(super) gallery: Gallery<Key>,
    /// What making the templates took, all cores.
    pub(super) generating: Duration,
    /// From templates to fingers, all cores.
    pub(super) preparing: Duration,
    /// The cylinders of all impressions, on those threads.
    pub(super) sketching: Duration,
    /// From cylinders to a gallery that can be searched, on one.
    pub(super) indexing: Duration,
    /// Growth of the resident memory, where the system tells it (Linux).
    pub(super) resident: Option<u64>,
}

/// Fills a gallery.
///
/// # Errors
/// [`TemplateError`] if the generator made what is no template.
pub(super) fn fill(filling: &Filling<'_>, progress: &dyn Progress) -> Result<Filled, TemplateError> {
    let before = resident();
    let keys: Vec<Key> = (0..filling.fingers as Key).collect();
    progress.begin("filling the gallery", keys.len());
    let (mut generating, mut preparing) = (Duration::ZERO, Duration::ZERO);
    let mut entries = Vec::with_capacity(keys.len());
    for keys in keys.chunks(BATCH) {
        let started = Instant::now();
        let templates = in_parallel(keys, progress, |&key| filling.enrolled(key));
        let templates = templates.into_iter().collect::<Result<Vec<_>, _>>()?;
        generating += started.elapsed();
        let started = Instant::now();
        let fingers = in_parallel(&templates, &(), |templates| Finger::new(templates));
        preparing += started.elapsed();
        entries.extend(keys.iter().copied().zip(fingers));
    }
    let mut gallery = Gallery::new();
    gallery.extend(entries);
    progress.begin("building the index", gallery.unsketched());
    let (mut sketching, mut indexing) = (Duration::ZERO, Duration::ZERO);
    while let Some(mut batch) = gallery.batch() {
        let started = Instant::now();
        batch.sketch(filling.threads, || true);
        sketching += started.elapsed();
        let impressions = batch.impressions();
        let started = Instant::now();
        gallery.place(batch.build());
        indexing += started.elapsed();
        progress.advance(impressions);
    }
    let grown = before.zip(resident()).map(|(before, after)| after.saturating_sub(before));
    Ok(Filled { gallery, generating, preparing, sketching, indexing, resident: grown })
}

/// Resident memory of this program, bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
