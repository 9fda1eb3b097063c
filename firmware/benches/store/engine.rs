//! What is measured: the same things, asked of either store.
//!
//! Invariant: both keep the same values under the same keys, and both have made a change durable before it is
//! acknowledged.

use std::{error::Error, path::Path};

use authenteon::{gallery::FingerKey, store::Change};
use authenteon_matcher::search::Gallery;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Is told of so many more.
pub(crate) type Told<'a> = &'a (dyn Fn(u64) + Sync);

/// A store that is measured.
pub(crate) trait Engine: Sync + Sized {
    /// Its name in figures and arguments.
    const NAME: &'static str;
    /// What lies in its folder, as a figure each.
    const PARTS: &'static [&'static str];

    /// Opens the store in a folder, or makes it.
    fn open(folder: &Path) -> Result<Self, Failure>;

    /// Makes changes durable, all or none.
    fn commit(&self, changes: &[Change]) -> Result<(), Failure>;

    /// Everybody's fingers in memory: from then on everybody is served.
    fn gallery(&self, told: Told<'_>) -> Result<Gallery<FingerKey>, Failure>;

    /// Waits until people can be enrolled.
    fn wait_until_enrolling(&self) {}

    /// Reads everything, and says whether it is as it was written.
    fn verify(&mut self) -> Result<bool, Failure>;

    /// Makes itself as small as it can be.
    fn compact(&mut self) -> Result<(), Failure>;
}
