//! 1:1 comparison: cylinders around every minutia, compared and relaxed.

mod cylinder;
mod local;

use crate::{score::Score, template::Template};
use cylinder::Cylinder;

/// A template made ready to be compared many times. Costs memory, saves time.
#[derive(Clone)]
pub struct Prepared {
    cylinders: Vec<Cylinder>,
}

impl Prepared {
    /// Builds the local structures of a template.
    #[must_use]
    pub fn new(template: &Template) -> Self {
        Self { cylinders: cylinder::cylinders(template.minutiae()) }
    }
}

/// Compares a probe with a reference.
#[must_use]
pub fn compare(probe: &Prepared, reference: &Prepared) -> Score {
    Score::calibrated(f64::from(local::similarity(&probe.cylinders, &reference.cylinders)))
}

/// Compares a probe with the several views of one enrolled finger: the best counts.
#[must_use]
pub fn compare_views(probe: &Prepared, views: &[Prepared]) -> Score {
    views
        .iter()
        .map(|view| compare(probe, view))
        .fold(Score::ZERO, |best, score| if score > best { score } else { best })
}

#[cfg(test)]
pub(crate) mod tests;
