//! Scores in terms of the error they risk: `score = -10 log10(FMR)`.

use crate::params::{TAIL_ORIGIN, TAIL_SCALE, UPPER_EXPONENT, UPPER_FACTOR};

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

    /// The rate that holds with 95 % confidence where the calibration claims this one: at most so many impostors pass.
    #[must_use]
    pub fn upper(self) -> Self {
        Self((UPPER_FACTOR * libm::pow(self.0, UPPER_EXPONENT)).clamp(self.0, 1.0))
    }

    /// The rate to be claimed so that this one holds with 95 % confidence; at most this one.
    #[must_use]
    pub fn with_confidence(self) -> Self {
        let claimed = libm::pow(self.0 / UPPER_FACTOR, 1.0 / UPPER_EXPONENT);
        // So small a rate that nothing is left of it is none that anybody can be asked for.
        Self(claimed.clamp(f64::MIN_POSITIVE, self.0))
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

/// The least rate that the calibration may be trusted for. Its data hold 93,120 impostor comparisons
/// and reach to 3e-5; the fitted tail carries half a decade further. See
/// `docs/matching/calibration.md` for how wrong it may be there.
pub const CALIBRATED_FMR_FLOOR: Fmr = Fmr(1e-5);

/// From the fused evidence to a score: the impostors' tail is exponential, and the worst of the
/// sensors sets its place. Strictly monotone until it underflows far below zero.
pub(crate) fn calibrate(likelihood: f64) -> Score {
    let excess = (likelihood - TAIL_ORIGIN) / TAIL_SCALE;
    Score(10.0 / std::f64::consts::LN_10 * (excess.max(0.0) + libm::log1p(libm::exp(-excess.abs()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_rise_strictly_with_the_evidence() {
        let scores: Vec<f64> = (-120..400).map(|i| calibrate(f64::from(i) / 8.0).get()).collect();
        assert!(scores.windows(2).all(|w| w[0] < w[1]));
        assert!(scores[0] >= 0.0 && scores[scores.len() - 1] < 400.0);
    }

    #[test]
    fn a_rate_and_its_score_are_two_names_of_one_thing() {
        for rate in [1.0, 0.01, 1e-4, 1e-9] {
            let back = Fmr::new(rate).unwrap().score().fmr().get();
            assert!((back / rate - 1.0).abs() < 1e-9);
        }
        assert!(Fmr::new(0.0).is_none() && Fmr::new(1.5).is_none() && Fmr::new(f64::NAN).is_none());
    }

    #[test]
    fn what_holds_with_confidence_is_claimed_lower_and_leads_back() {
        for rate in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6] {
            let rate = Fmr::new(rate).unwrap();
            assert!(rate.with_confidence() < rate && rate < rate.upper());
            let back = rate.with_confidence().upper().get();
            assert!((back / rate.get() - 1.0).abs() < 1e-9, "{back}");
        }
        let all = Fmr::new(1.0).unwrap();
        assert!(all.upper() <= all && all.with_confidence() <= all);
        assert!(Fmr::new(1e-300).unwrap().with_confidence().get() > 0.0);
    }

    #[test]
    fn the_floor_goes_half_a_decade_beyond_the_data_and_no_further() {
        assert!(CALIBRATED_FMR_FLOOR.get() >= 3.0 / 93_120.0 / 3.5);
    }
}
