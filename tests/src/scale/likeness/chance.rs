//! How often real fingers are taken for synthetic ones, where one in 100 and one in 1000 are taken for other real ones.
//!
//! A synthetic gallery whose fingers match real probes less often than real fingers do makes searches look better than
//! they are. False accepts are not claimed from it, whatever comes out.

use serde::Serialize;

/// The ratio of two rates at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChanceRatio {
    /// Rate among real fingers.
    pub real: f64,
    /// Rate of real probes among synthetic fingers at the same threshold.
    pub synthetic: f64,
    /// Whether they are within a factor of two.
    pub passed: bool,
}

/// Rates among real fingers at which the synthetic ones are looked at.
const RATES: [f64; 2] = [1e-2, 1e-3];
/// Neither rate may be more than this times the other.
const FACTOR: f64 = 2.0;
/// With fewer real pairs above the threshold it says nothing.
const LEAST: f64 = 10.0;

impl ChanceRatio {
    /// What is tested.
    #[must_use]
    pub fn name(&self) -> String {
        format!("false matches of synthetic fingers where {:.1e} of real ones match", self.real)
    }
}

/// Compares scores of real impostors with those of real probes and synthetic fingers.
#[must_use]
pub(crate) fn chance_ratios(real: &[f64], synthetic: &[f64]) -> Vec<ChanceRatio> {
    let mut sorted = real.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let ratio = |rate: f64| {
        let above = rate * sorted.len() as f64;
        let threshold = sorted.get(above as usize).filter(|_| above >= LEAST && !synthetic.is_empty())?;
        let share = |scores: &[f64]| {
            scores.iter().filter(|score| *score > threshold).count() as f64 / scores.len() as f64
        };
        let (real, synthetic) = (share(&sorted), share(synthetic));
        let passed = synthetic <= FACTOR * real && real <= FACTOR * synthetic;
        Some(ChanceRatio { real, synthetic, passed })
    };
    RATES.iter().filter_map(|&rate| ratio(rate)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingers_that_match_as_often_pass_and_those_that_match_less_do_not() {
        let real: Vec<f64> = (0..20_000).map(f64::from).collect();
        let same = chance_ratios(&real, &real);
        assert_eq!(same.len(), 2);
        assert!(same.iter().all(|r| r.passed && r.real == r.synthetic), "{same:?}");
        let duller: Vec<f64> = real.iter().map(|s| 0.993 * s).collect();
        let ratios = chance_ratios(&real, &duller);
        assert!(!ratios[0].passed && !ratios[1].passed, "{ratios:?}");
        assert_eq!(chance_ratios(&real[..500], &real).len(), 0, "five pairs say nothing");
    }
}
