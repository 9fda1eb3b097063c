//! The protocol: every image once through the extractor, every pair of images once through the
//! comparison, genuine when both are of one finger.
//!
//! Extraction runs on one thread and is timed there, decoding left out. Comparisons are timed on one thread over a sample that is spread evenly over all pairs; the
//! scores themselves then come from all cores. Invariant: scores do not depend on the threads.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use authenteon_matcher::{Dpi, Image, Prepared, Template, compare, extract};

use super::{
    clock::Stopwatch,
    scores::{Comparison, Scores},
};
use crate::sets::{PrintFile, Set, SetError, load_at};

/// Images decoded at a time: few enough for memory, enough for the clock.
const BATCH: usize = 64;
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

/// A print that gave no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub name: String,
    /// Why, in the extractor's words.
    pub reason: String,
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
}

/// Measures the matcher on a set.
///
/// # Errors
/// [`SetError`] when an image cannot be read; an image that gives no template is a [`Failure`].
pub fn measure(set: &Set, progress: &dyn Progress) -> Result<Measured, SetError> {
    let mut failures = Vec::new();
    let mut extraction = Duration::ZERO;
    let mut prepared = Vec::with_capacity(set.prints.len());
    progress.begin(&format!("{}: extracting", set.name), set.prints.len());
    for prints in set.prints.chunks(BATCH) {
        let images = prints.iter().map(|print| image(set.dpi, print)).collect::<Result<Vec<_>, _>>()?;
        let watch = Stopwatch::start();
        let templates: Vec<Result<Template, String>> = images.into_iter().map(template).collect();
        extraction += watch.elapsed();
        for (print, template) in prints.iter().zip(templates) {
            prepared.push(match template {
                Ok(template) => Some(Prepared::new(&template)),
                Err(reason) => {
                    failures.push(Failure { name: print.name.clone(), reason });
                    None
                }
            });
        }
        progress.advance(prints.len());
    }

    let count = set.prints.len();
    let pairs: Vec<(usize, usize)> = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j))).collect();
    let (sampled, comparison) = time_sample(&pairs, &prepared);
    progress.begin(&format!("{}: comparing", set.name), pairs.len());
    let scores = compare_all(&pairs, &prepared, progress);
    let scores = pairs.iter().zip(scores).map(|(&(i, j), score)| line(&set.prints[i], &set.prints[j], score));
    Ok(Measured {
        name: set.name.clone(),
        images: count,
        fingers: set.fingers(),
        failures,
        extraction,
        sampled,
        comparison,
        scores: Scores(scores.collect()),
    })
}

fn line(probe: &PrintFile, reference: &PrintFile, score: f64) -> Comparison {
    Comparison {
        genuine: probe.finger == reference.finger,
        probe: probe.name.clone(),
        reference: reference.name.clone(),
        score,
    }
}

/// Decodes an image; what cannot be an image of a finger is a failure to extract.
fn image(dpi: u32, print: &PrintFile) -> Result<Result<Image, String>, SetError> {
    let dpi = match authenteon_hal::Dpi::new(dpi) {
        Ok(dpi) => dpi,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let frame = load_at(&print.path, dpi)?;
    let dpi = Dpi::new(u32::from(frame.dpi().get())).map_err(|e| e.to_string());
    Ok(dpi.and_then(|dpi| {
        Image::new(frame.width(), frame.height(), dpi, frame.into_pixels()).map_err(|e| e.to_string())
    }))
}

/// Extracts one image.
fn template(image: Result<Image, String>) -> Result<Template, String> {
    extract(&image?).map(|extraction| extraction.template).map_err(|e| e.to_string())
}

/// The score of a pair; what gave no template is like nothing.
fn score(pair: (usize, usize), prepared: &[Option<Prepared>]) -> f64 {
    match (&prepared[pair.0], &prepared[pair.1]) {
        (Some(probe), Some(reference)) => compare(probe, reference).get(),
        _ => 0.0,
    }
}

/// How many pairs were compared on this thread and how long it took.
fn time_sample(pairs: &[(usize, usize)], prepared: &[Option<Prepared>]) -> (usize, Duration) {
    let whole = |&&(i, j): &&(usize, usize)| prepared[i].is_some() && prepared[j].is_some();
    let real: Vec<(usize, usize)> = pairs.iter().filter(whole).copied().collect();
    let sample: Vec<(usize, usize)> = real.iter().step_by(real.len() / SAMPLE + 1).copied().collect();
    let watch = Stopwatch::start();
    let mut sum = 0.0;
    for &pair in &sample {
        sum += score(pair, prepared);
    }
    std::hint::black_box(sum);
    (sample.len(), watch.elapsed())
}

/// All scores, in the order of the pairs, by all cores.
fn compare_all(pairs: &[(usize, usize)], prepared: &[Option<Prepared>], progress: &dyn Progress) -> Vec<f64> {
    const SHARE: usize = 512;
    let next = AtomicUsize::new(0);
    let hands = std::thread::available_parallelism().map_or(1, Into::into);
    let work = || {
        let mut done = Vec::new();
        loop {
            let share = next.fetch_add(1, Ordering::Relaxed);
            let Some(mine) = pairs.chunks(SHARE).nth(share) else { return done };
            done.push((share, mine.iter().map(|&pair| score(pair, prepared)).collect::<Vec<f64>>()));
            progress.advance(mine.len());
        }
    };
    let mut shares: Vec<(usize, Vec<f64>)> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..hands).map(|_| scope.spawn(work)).collect();
        // The matcher does not panic; if it does, its panic is passed on rather than its scores lost.
        hands
            .into_iter()
            .flat_map(|hand| hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    shares.sort_by_key(|(share, _)| *share);
    shares.into_iter().flat_map(|(_, scores)| scores).collect()
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
        let measured = measure(&set, &()).unwrap();
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
        assert!(matches!(measure(&set, &()), Err(SetError::Image { .. })));
    }
}
