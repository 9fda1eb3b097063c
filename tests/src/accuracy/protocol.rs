//! The protocol: every image once through the extractor, every comparison once through the matcher,
//! genuine when both are of one finger.
//!
//! Extraction runs on one thread and is timed there, decoding left out. Comparisons are timed on one
//! thread over a sample that is spread evenly over all; the scores themselves then come from all
//! cores. Invariant: scores do not depend on the threads.

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use authenteon_matcher::{Prepared, compare};

use super::{
    clock::Stopwatch,
    jobs::{Job, in_parallel, jobs},
    prepare::{Failure, prepare},
    scores::{Comparison, Scores},
};
use crate::sets::{PrintFile, Set, SetError};

/// Comparisons in the timed sample.
const SAMPLE: usize = 4000;

/// Who is told how far a measurement is.
pub trait Progress: Sync {
    /// A stage of so many steps begins.
    fn begin(&self, stage: &str, steps: usize);
    /// Some steps are done.
    fn advance(&self, steps: usize);
}

/// Nobody.
impl Progress for () {
    fn begin(&self, _: &str, _: usize) {}
    fn advance(&self, _: usize) {}
}

/// What was measured on a set.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Name of the set.
    pub name: String,
    /// Images in it.
    pub images: usize,
    /// Fingers in it.
    pub fingers: usize,
    /// Images that gave no template; their comparisons score 0.
    pub failures: Vec<Failure>,
    /// Time in the extractor, all images together, on one thread.
    pub extraction: Duration,
    /// Comparisons in the timed sample, on one thread.
    pub sampled: usize,
    /// Time they took.
    pub comparison: Duration,
    /// All comparisons.
    pub scores: Scores,
    /// Quality of each print by its name, 0 for a failure.
    pub qualities: BTreeMap<String, u8>,
}

/// Measures the matcher on a set whose fingers are enrolled with so many impressions; with one, all
/// pairs are compared.
///
/// # Errors
/// [`SetError`] when an image cannot be read; an image that gives no template is a [`Failure`].
pub fn measure(set: &Set, enrol: NonZeroUsize, progress: &dyn Progress) -> Result<Measured, SetError> {
    let prepared = prepare(set, progress)?;
    let jobs = jobs(&set.prints, enrol);
    let (sampled, comparison) = time_sample(&jobs, &prepared.prints);
    progress.begin(&format!("{}: comparing", set.name), jobs.len());
    let scores = in_parallel(&jobs, progress, |job| score(job, &prepared.prints));
    let scores = jobs.iter().zip(scores).map(|(job, score)| line(&set.prints, job, score)).collect();
    let names = set.prints.iter().map(|print| print.name.clone());
    Ok(Measured {
        name: set.name.clone(),
        images: set.prints.len(),
        fingers: set.fingers(),
        failures: prepared.failures,
        extraction: prepared.extraction,
        sampled,
        comparison,
        scores: Scores(scores),
        qualities: names.zip(prepared.qualities).collect(),
    })
}

fn line(prints: &[PrintFile], job: &Job, score: f64) -> Comparison {
    let names: Vec<&str> = job.references.iter().map(|&at| prints[at].name.as_str()).collect();
    Comparison {
        genuine: job.references.iter().all(|&at| prints[at].finger == prints[job.probe].finger),
        probe: prints[job.probe].name.clone(),
        reference: names.join("+"),
        score,
    }
}

/// The score with the most similar of the enrolled impressions; what gave no template is like nothing.
fn score(job: &Job, prepared: &[Option<Prepared>]) -> f64 {
    let Some(probe) = &prepared[job.probe] else { return 0.0 };
    let views = job.references.iter().filter_map(|&at| prepared[at].as_ref());
    views.map(|view| compare(probe, view).get()).fold(0.0, f64::max)
}

/// How many templates were compared on this thread and how long it took.
fn time_sample(jobs: &[Job], prepared: &[Option<Prepared>]) -> (usize, Duration) {
    let real: Vec<(&Prepared, &Prepared)> = jobs
        .iter()
        .flat_map(|job| job.references.iter().map(move |&reference| (job.probe, reference)))
        .filter_map(|(probe, reference)| Some((prepared[probe].as_ref()?, prepared[reference].as_ref()?)))
        .collect();
    let sample: Vec<_> = real.iter().step_by(real.len() / SAMPLE + 1).collect();
    let watch = Stopwatch::start();
    let mut sum = 0.0;
    for (probe, reference) in &sample {
        sum += compare(probe, reference).get();
    }
    std::hint::black_box(sum);
    (sample.len(), watch.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sets::{Order, write_set},
        synthetic::Conditions,
    };

    #[test]
    fn every_pair_is_compared_once_and_a_failed_extraction_scores_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("set");
        let conditions = Conditions::good();
        let order = Order {
            fingers: 2,
            impressions: 2,
            seed: 125,
            name: "good".to_owned(),
            conditions,
            truth: false,
            tight: false,
            threads: 2,
        };
        write_set(&folder, &order, &|| ()).unwrap();
        // Instead of one print, blank paper.
        let blank = crate::sets::png(388, 374, &vec![255; 388 * 374], false).unwrap();
        std::fs::write(folder.join("126_2.png"), blank).unwrap();
        let set = Set::open(&folder, None).unwrap();
        let measured = measure(&set, NonZeroUsize::MIN, &()).unwrap();
        assert_eq!((measured.images, measured.fingers), (4, 2));
        assert!(measured.failures.iter().any(|f| f.name == "126_2"), "{:?}", measured.failures);
        let lines = &measured.scores.0;
        assert_eq!(lines.len(), 6);
        assert_eq!(lines.iter().filter(|c| c.genuine).count(), 2);
        for c in lines.iter().filter(|c| c.probe == "126_2" || c.reference == "126_2") {
            assert_eq!(c.score, 0.0);
        }
    }

    #[test]
    fn an_image_that_cannot_be_read_stops_the_measurement() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["1_1.png", "1_2.png", "2_1.png"] {
            std::fs::write(dir.path().join(name), b"no image").unwrap();
        }
        let set = Set::open(dir.path(), None).unwrap();
        assert!(matches!(measure(&set, NonZeroUsize::MIN, &()), Err(SetError::Image { .. })));
    }
}
