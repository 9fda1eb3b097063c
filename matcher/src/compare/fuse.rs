//! All evidence weighed into one log-likelihood ratio. The weights come from a logistic
//! regression, see `docs/matching/calibration.md`; each has the sign that its meaning demands, and
//! a test holds them to it.

use super::Evidence;
use crate::params::{FUSION_BIAS, FUSION_WEIGHTS};

/// The terms of the sum, in the order of [`FUSION_WEIGHTS`].
fn terms(e: &Evidence) -> [f64; 9] {
    let (weight, overlap) = (f64::from(e.weight), f64::from(e.overlap));
    [
        libm::log(f64::from(e.local) + 0.002),
        libm::log(0.5 + weight),
        if overlap > 0.0 { weight / overlap } else { 0.0 },
        (overlap - weight).max(0.0),
        f64::from(e.residual) / 10.0,
        f64::from(e.turn) / 10.0,
        f64::from(e.kinds),
        libm::log(f64::from(e.support) * 10.0 + 0.1),
        f64::from(e.paired) / 10.0,
    ]
}

/// Logarithm of how much likelier the evidence is from one finger than from two, up to a constant.
pub(crate) fn fuse(evidence: &Evidence) -> f64 {
    terms(evidence).iter().zip(&FUSION_WEIGHTS).fold(FUSION_BIAS, |sum, (t, w)| sum + t * w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_for_it_scores_more_and_more_against_it_scores_less() {
        let base = Evidence {
            local: 0.05,
            paired: 12.0,
            weight: 6.0,
            overlap: 10.0,
            residual: 4.0,
            turn: 5.0,
            kinds: 0.7,
            support: 0.4,
        };
        let value = fuse(&base);
        for better in [
            Evidence { local: 0.06, ..base },
            Evidence { paired: 13.0, ..base },
            Evidence { weight: 7.0, ..base },
            Evidence { overlap: 9.0, ..base },
            Evidence { residual: 3.0, ..base },
            Evidence { turn: 4.0, ..base },
            Evidence { kinds: 0.8, ..base },
            Evidence { support: 0.5, ..base },
        ] {
            assert!(fuse(&better) > value, "{better:?}");
        }
    }

    #[test]
    fn no_evidence_is_finite_and_far_below_any() {
        let nothing = fuse(&Evidence::default());
        assert!(nothing.is_finite() && nothing < -5.0);
    }
}
