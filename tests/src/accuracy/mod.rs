//! How often the matcher errs on a folder of prints: all pairs within the folder are compared, and
//! the rates are defined as `score.py`, the independent scorer of the project, defines them.

mod bar;
mod bootstrap;
pub(crate) mod chart;
mod clock;
mod det;
mod histogram;
mod jobs;
mod prepare;
mod protocol;
mod quality;
mod rates;
mod report;
mod scores;

pub use bar::TerminalBar;
pub use bootstrap::interval;
pub(crate) use clock::Stopwatch;
pub use det::det_plot;
pub use histogram::histogram;
pub use jobs::{all_pairs, in_parallel};
pub(crate) use prepare::image;
pub use prepare::{Failure, PreparedSet, prepare};
pub use protocol::{Measured, Progress, measure};
pub use quality::{Decile, deciles, quality_plot};
pub use rates::Rates;
pub use report::{Pooled, Report, SetReport};
pub use scores::{Comparison, ScoreFileError, Scores};
