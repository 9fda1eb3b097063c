//! Scores in terms of the error they risk: `score = -10 log10(FMR)`.

/// A false match rate: the share of impostor comparisons that score at least so much.
/// Invariant: within 0 < fmr <= 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Fmr(f64);

impl Fmr {
    /// A rate as a share of comparisons.
    #[must_use]
    pub fn new(rate: f64) -> Option<Self> {
        (rate > 0.0 && rate <= 1.0).then_some(Self(rate))
    }

    /// The rate, as a share.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The least score that keeps this rate.
    #[must_use]
    pub fn score(self) -> Score {
        Score(-10.0 * libm::log10(self.0))
    }
}

/// A comparison score, calibrated: 40 means that one impostor comparison in 10,000 scores so much.
/// Scores go to the audit, never to a client: whoever sees them can climb them.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Score(pub(crate) f64);

impl Score {
    /// Nothing in common.
    pub const ZERO: Score = Score(0.0);

    /// The value, in decibels of FMR.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The false match rate that a threshold at this score has.
    #[must_use]
    pub fn fmr(self) -> Fmr {
        Fmr(libm::pow(10.0, -self.0.max(0.0) / 10.0))
    }
}
