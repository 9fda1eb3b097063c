//! How often the matcher errs on a folder of prints: all pairs within the folder are compared, and
//! the rates are defined as `score.py`, the independent scorer of the project, defines them.

mod bootstrap;
mod chart;
mod clock;
mod det;
mod histogram;
mod protocol;
mod rates;
mod report;
mod scores;

pub use bootstrap::interval;
pub use det::det_plot;
pub use histogram::histogram;
pub use protocol::{Failure, Measured, Progress, measure};
pub use rates::Rates;
pub use report::{Pooled, Report, SetReport};
pub use scores::{Comparison, ScoreFileError, Scores};
