//! All evidence weighed into one log-likelihood ratio. The weights come from a logistic
//! regression, see `docs/matching/calibration.md`; each has the sign that its meaning demands, and
//! a test holds them to it.

use super::Evidence;
use crate::params::{FLOW_CELLS_MIN, FLOW_SPACING_UNKNOWN, FLOW_TURN_UNKNOWN, FUSION_BIAS, FUSION_WEIGHTS};

/// How many terms the sum has.
pub const TERMS: usize = 9;

/// What each term is, in the order of [`terms`].
pub const TERM_NAMES: [&str; TERMS] = [
    "local likeness (log)",
    "share paired in the overlap",
    "unpaired in the overlap",
    "distance within pairs",
    "pairs of one kind",
    "likeness around the pairs (log)",
    "minutiae paired",
    "ridges turned (log)",
    "ridge spacing differs (log)",
];

/// The terms of the sum. Terms and not the raw evidence are weighed: in these units a logistic model
/// fits it.
#[must_use]
pub fn terms(e: &Evidence) -> [f64; TERMS] {
    let (weight, overlap) = (f64::from(e.weight), f64::from(e.overlap));
    let (turned, spacing) = if e.cells >= FLOW_CELLS_MIN {
        (1.0 - f64::from(e.direction), f64::from(e.spacing))
    } else {
        (FLOW_TURN_UNKNOWN, FLOW_SPACING_UNKNOWN)
    };
    [
        libm::log(f64::from(e.local) + 0.002),
        if overlap > 0.0 { weight / overlap } else { 0.0 },
        (overlap - weight).max(0.0),
        f64::from(e.residual) / 10.0,
        f64::from(e.kinds),
        libm::log(f64::from(e.support) * 10.0 + 0.1),
        f64::from(e.paired) / 10.0,
        libm::log(turned.max(0.0) + 0.02),
        libm::log(spacing + 0.02),
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
            kinds: 0.7,
            support: 0.4,
            cells: 40.0,
            direction: 0.95,
            spacing: 0.05,
        };
        let value = fuse(&base);
        for better in [
            Evidence { local: 0.06, ..base },
            Evidence { paired: 13.0, ..base },
            Evidence { weight: 7.0, ..base },
            Evidence { overlap: 9.0, ..base },
            Evidence { residual: 3.0, ..base },
            Evidence { kinds: 0.8, ..base },
            Evidence { support: 0.5, ..base },
            Evidence { direction: 0.96, ..base },
            Evidence { spacing: 0.04, ..base },
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
