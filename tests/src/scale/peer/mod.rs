//! Two published methods, written plainly from their formulas, that a search stands beside: seconds alone depend on
//! the machine, a ratio to these hardly does.
//!
//! Nothing here is shared with the matcher. Invariant: moving or turning a whole print changes no score by more than
//! rounding.

mod edges;
mod lss;
mod points;

pub(crate) use edges::Edges;
pub(crate) use lss::Cylinders;

use authenteon_matcher::Template;

/// A method of comparison. Scores of different methods have nothing in common.
pub(crate) trait Peer: Sized + Send + Sync {
    /// What it is called in the report.
    const NAME: &'static str;
    /// What it is, for people.
    const WHAT: &'static str;
    /// A probe made ready for many comparisons.
    type Probe: Send + Sync;

    /// What is kept of an enrolled impression.
    fn enrol(template: &Template) -> Self;
    /// What a probe is searched by.
    fn probe(template: &Template) -> Self::Probe;
    /// Higher is more alike.
    fn score(&self, probe: &Self::Probe) -> f64;
}
