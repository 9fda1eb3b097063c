//! How large a gallery may be: what the policy's guard allows by the calibration in force, and what the real prints of
//! this run say of that calibration. Synthetic fingers have no part in it.

use authenteon_matcher::{
    CALIBRATED_FMR_FLOOR, Prepared,
    compare::{evidence, terms},
    params::{FUSION_BIAS, FUSION_WEIGHTS, TAIL_ORIGIN, TAIL_SCALE},
};
use serde::Serialize;

use super::real::Real;
use crate::{
    accuracy::{Progress, all_pairs, in_parallel},
    calibration::{TOGETHER, Weights, tail},
};

/// FPIR that the policy keeps unless somebody says otherwise: one search of a stranger in 100 finds somebody.
const FPIR: f64 = 1e-2;

/// Ways in which two samples may match two fingers of three impressions each, for each of these impressions.
const CHANCES: f64 = 3.0;

/// The largest galleries, in impressions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Allowed {
    /// The FMR that a comparison may be trusted for.
    pub fmr: f64,
    /// Impressions among which one finger identifies.
    pub one_finger: f64,
    /// The same of two, of people with two of three impressions each: `firmware/src/policy/pairs.rs` decides so.
    pub two_fingers: f64,
}

impl Allowed {
    fn at(fmr: f64) -> Self {
        // What divides without a rest may come out a hair below.
        let largest = |rate: f64| (FPIR / rate * (1.0 + 1e-9)).floor();
        Self { fmr, one_finger: largest(fmr), two_fingers: largest(fmr.powf(TOGETHER) * CHANCES) }
    }
}

/// The impostors of one set, and their tail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetTail {
    /// Name of the set.
    pub set: String,
    /// Comparisons of different fingers.
    pub pairs: usize,
    /// FMR at the calibration's floor by the fitted tail, an estimate; none where there are too few pairs.
    pub estimate: Option<f64>,
    /// What it is at most, with 95 % confidence over fingers.
    pub upper: Option<f64>,
}

/// How far a search can be trusted not to find a stranger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// FPIR that is kept.
    pub fpir: f64,
    /// With the FMR that the calibration has at its floor with 95 % confidence: what the guard allows.
    pub upper_bound: Allowed,
    /// With the FMR that it claims: what the guard allows after the administrator has accepted that.
    pub point_estimate: Allowed,
    /// FPIR of a search of this gallery with one finger at the floor, at most; above 1 nothing can be said.
    pub fpir_of_this_gallery: f64,
    /// What the real prints of this run say.
    pub sets: Vec<SetTail>,
}

/// Says it for a gallery of so many impressions.
#[must_use]
pub(super) fn reach(impressions: usize, real: &Real, progress: &dyn Progress) -> Reach {
    let floor = CALIBRATED_FMR_FLOOR;
    let upper = floor.upper().get();
    Reach {
        fpir: FPIR,
        upper_bound: Allowed::at(upper),
        point_estimate: Allowed::at(floor.get()),
        fpir_of_this_gallery: (impressions as f64 * upper).min(1.0),
        sets: real.sets.iter().map(|(set, _)| set_tail(set, real, progress)).collect(),
    }
}

fn set_tail(set: &str, real: &Real, progress: &dyn Progress) -> SetTail {
    let fingers = real.fingers.iter().filter(|finger| finger.set == set).enumerate();
    let prints: Vec<(usize, Prepared)> = fingers
        .flat_map(|(number, finger)| {
            finger.impressions.iter().flatten().map(move |t| (number, Prepared::new(t)))
        })
        .collect();
    let mut pairs = all_pairs(prints.len());
    pairs.retain(|&(a, b)| prints[a].0 != prints[b].0);
    progress.begin(&format!("{set}: impostors"), pairs.len());
    let weights = Weights { terms: FUSION_WEIGHTS, bias: FUSION_BIAS };
    let scores = in_parallel(&pairs, progress, |&(a, b)| {
        let ((one, probe), (other, reference)) = (&prints[a], &prints[b]);
        (*one, *other, weights.apply(&terms(&evidence(probe, reference))))
    });
    let at_floor = TAIL_ORIGIN - TAIL_SCALE * CALIBRATED_FMR_FLOOR.get().ln();
    let fitted = tail(&scores);
    SetTail {
        set: set.to_owned(),
        pairs: pairs.len(),
        estimate: fitted.map(|tail| tail.estimate(at_floor)),
        upper: fitted.map(|tail| tail.upper(at_floor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_galleries_allowed_are_those_of_the_calibrations_page() {
        let none = Real { fingers: Vec::new(), failures: Vec::new(), sets: Vec::new() };
        let reach = reach(1_000_000, &none, &());
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/matching/calibration.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let one = reach.upper_bound.one_finger as u64;
        assert!(docs.contains(&format!("| one in 100, upper bound | {one} | 30,000 |")), "{reach:?}");
        assert!((30_000.0..31_000.0).contains(&reach.upper_bound.two_fingers), "{reach:?}");
        let allowed = reach.point_estimate;
        assert!(docs.contains("| one in 100, point estimate | 1,000 | 710,000 |"), "{reach:?}");
        assert!((allowed.one_finger - 1000.0).abs() <= 1.0, "{reach:?}");
        assert!((710_000.0..720_000.0).contains(&allowed.two_fingers), "{reach:?}");
        assert_eq!(reach.fpir_of_this_gallery, 1.0);
    }
}
