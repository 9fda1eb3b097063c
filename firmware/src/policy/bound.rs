//! How far the calibration of the matcher is trusted where many are searched.

use authenteon_matcher::{CALIBRATED_FMR_FLOOR, Fmr};
use serde::{Deserialize, Serialize};

/// The false match rate that an identification rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The one that holds with 95 % confidence.
    #[default]
    Upper,
    /// The estimate itself, which may be too good: an administrator accepted it.
    Point,
}

impl Bound {
    /// The rate to be claimed of a score so that this one holds.
    pub(super) fn claimed(self, rate: Fmr) -> Fmr {
        match self {
            Self::Upper => rate.with_confidence(),
            Self::Point => rate,
        }
    }

    /// The least rate that anything may be promised with.
    #[must_use]
    pub fn floor(self) -> Fmr {
        match self {
            Self::Upper => CALIBRATED_FMR_FLOOR.upper(),
            Self::Point => CALIBRATED_FMR_FLOOR,
        }
    }

    /// What an answer says of it; nothing when it is the upper bound.
    #[must_use]
    pub fn told(self) -> Option<&'static str> {
        (self == Self::Point).then_some("point-estimate")
    }
}
