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

/// The lowest rate that the calibration may be asked for. Measured are rates down to 1e-4; below, an
/// exponential tail is followed for two decades, with a slope on the safe side of its 90 % interval.
/// `docs/matching/calibration.md` has data, method and figures.
pub const CALIBRATED_FMR_FLOOR: Fmr = Fmr(1e-6);

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

/// Similarities and the scores that they are worth, up to where the tail begins.
const BODY: [(f64, f64); 4] = [(0.0, 0.0), (0.0154, 3.0), (0.0175, 10.0), (TAIL, 20.0)];
/// Similarity that one impostor comparison in a hundred reaches: there the tail begins.
const TAIL: f64 = 0.0234;
/// Mean excess of impostors over [`TAIL`]: the upper end of its bootstrap interval by finger.
const MEAN_EXCESS: f64 = 0.002_78;

impl Score {
    /// The score of a similarity as the comparison gives it. Strictly increasing.
    pub(crate) fn calibrated(similarity: f64) -> Self {
        if similarity >= TAIL {
            return Self(20.0 + 10.0 * std::f64::consts::LOG10_E * (similarity - TAIL) / MEAN_EXCESS);
        }
        let mut score = 0.0;
        for pair in BODY.windows(2) {
            if let [(x0, y0), (x1, y1)] = *pair
                && similarity >= x0
                && similarity <= x1
            {
                score = y0 + (y1 - y0) * (similarity - x0) / (x1 - x0);
            }
        }
        Self(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greater_similarity_is_always_worth_a_greater_score() {
        let scores: Vec<f64> = (0..4000).map(|n| Score::calibrated(f64::from(n) / 4000.0).get()).collect();
        assert!(scores.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(scores[0], 0.0);
    }

    #[test]
    fn a_rate_and_its_score_are_two_words_for_one_thing() {
        assert_eq!(Fmr::new(1e-4).unwrap().score(), Score(40.0));
        assert!((Score(50.0).fmr().get() - 1e-5).abs() < 1e-12);
        assert_eq!(Fmr::new(0.0), None);
        assert_eq!(Fmr::new(1.5), None);
        assert_eq!(Fmr::new(f64::NAN), None);
    }

    #[test]
    fn one_impostor_in_a_hundred_reaches_twenty() {
        assert!((Score::calibrated(TAIL).get() - 20.0).abs() < 1e-9);
    }
}
