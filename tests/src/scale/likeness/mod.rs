//! Whether a synthetic gallery is like real fingers: two-sample tests of what templates are like, and of how often
//! they match by chance. Where they differ, what was measured on it says how fast a search is, and nothing else.

mod chance;
mod traits;
mod two_sample;

pub use chance::ChanceRatio;
pub(crate) use chance::chance_ratios;
pub(crate) use traits::TRAITS;
pub(crate) use two_sample::{TwoSample, two_sample};

use authenteon_matcher::{Prepared, Template, search::occupancy};
use serde::Serialize;

/// A test fails when two samples of one distribution would be so far apart less often than this.
pub(crate) const LEVEL: f64 = 0.01;

/// One trait compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub name: &'static str,
    /// Mean over the real impressions.
    pub real: f64,
    /// Mean over the synthetic ones.
    pub synthetic: f64,
    /// Kolmogorov and Smirnov's distance.
    pub distance: f64,
    /// How often chance alone gives it.
    pub p: f64,
    /// Whether it may be chance.
    pub passed: bool,
}

/// Compares real with synthetic impressions, one of each finger: fingers are the units.
#[must_use]
pub(crate) fn compare_traits(real: &[&Template], synthetic: &[&Template]) -> Vec<Compared> {
    let traits = TRAITS.iter().filter_map(|t| {
        let values =
            |templates: &[&Template]| templates.iter().filter_map(|x| (t.of)(x)).collect::<Vec<f64>>();
        compare_values(t.name, &values(real), &values(synthetic))
    });
    // As many in an index as there are real ones: the more, the fuller it is.
    let occupancies = |templates: &[&Template]| -> Vec<f64> {
        let groups = templates.chunks_exact(real.len().max(1));
        let prepared = groups.map(|group| group.iter().copied().map(Prepared::new).collect::<Vec<_>>());
        prepared.flat_map(|group| occupancy(&group)).flatten().collect()
    };
    let occupied =
        compare_values("others in a list of the index, mean", &occupancies(real), &occupancies(synthetic));
    traits.chain(occupied).collect()
}

fn compare_values(name: &'static str, real: &[f64], synthetic: &[f64]) -> Option<Compared> {
    let TwoSample { distance, p } = two_sample(real, synthetic)?;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    Some(Compared { name, real: mean(real), synthetic: mean(synthetic), distance, p, passed: p >= LEVEL })
}

/// What a result may be taken for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// The synthetic gallery is like real fingers in all that was tested.
    Believed,
    /// It is not: times are worth something, misses are not.
    SpeedOnly {
        /// Why.
        failed: Vec<String>,
    },
}

impl Label {
    /// After these tests; without any, `untested` says why there is none.
    #[must_use]
    pub fn of(traits: &[Compared], chance: &[ChanceRatio], untested: &str) -> Self {
        let failed = traits.iter().filter(|t| !t.passed).map(|t| t.name.to_owned());
        let matched = chance.iter().filter(|c| !c.passed).map(ChanceRatio::name);
        let failed: Vec<String> = failed.chain(matched).collect();
        match (traits.is_empty(), failed.is_empty()) {
            (true, _) => Self::SpeedOnly { failed: vec![untested.to_owned()] },
            (false, true) => Self::Believed,
            (false, false) => Self::SpeedOnly { failed },
        }
    }

    /// In two words.
    #[must_use]
    pub fn text(&self) -> &'static str {
        match self {
            Self::Believed => "believed",
            Self::SpeedOnly { .. } => "speed only",
        }
    }

    /// Which tests failed.
    #[must_use]
    pub fn failed(&self) -> &[String] {
        match self {
            Self::Believed => &[],
            Self::SpeedOnly { failed } => failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_tested_and_passed_is_believed() {
        let compared = |passed| Compared {
            name: "minutiae",
            real: 40.0,
            synthetic: 41.0,
            distance: 0.1,
            p: if passed { 0.5 } else { 0.001 },
            passed,
        };
        let chance =
            |passed| ChanceRatio { real: 0.01, synthetic: if passed { 0.009 } else { 0.002 }, passed };
        assert_eq!(Label::of(&[compared(true)], &[chance(true)], "").text(), "believed");
        let label = Label::of(&[compared(false)], &[chance(false)], "");
        assert_eq!((label.text(), label.failed().len()), ("speed only", 2));
        let untested = Label::of(&[], &[], "nobody asked");
        assert_eq!((untested.text(), untested.failed()), ("speed only", &["nobody asked".to_owned()][..]));
    }
}
