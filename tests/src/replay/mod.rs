//! How well a replay is told from another impression of the same finger: false alarms on real pairs, and what is
//! caught of a picture that is presented again, encoded anew, moved, turned, cropped, roughened or as a template.

mod bound;
mod measure;
mod picture;
mod presented;

pub use bound::upper_bound;
pub use measure::{Alarms, Caught, Cost, Replayed, measure};
pub use picture::Picture;
pub use presented::{Kind, kinds};

/// The sets that the threshold was fitted on.
pub const TUNED_ON: [&str; 2] = ["FVC2002_DB1_B", "FVC2002_DB2_B"];
