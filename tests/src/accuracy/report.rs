//! What is told of a measurement, as text or JSON. The JSON keys are an interface: other programs
//! read them.

use std::fmt::{self, Display};

use serde::Serialize;

use super::{bootstrap::interval, protocol::Measured, rates::Rates};

/// The figures of one set. Rates in percent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetReport {
    /// Name of the folder.
    pub name: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: Pooled,
}

/// The figures of one set, or of all together at one threshold. Rates in percent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pooled {
    /// Images.
    pub images: usize,
    /// Fingers.
    pub fingers: usize,
    /// Images that gave no template.
    pub failed: usize,
    /// Milliseconds of extraction per image on one thread, decoding left out.
    pub extract_ms_mean: f64,
    /// 1:1 comparisons of prepared templates per second on one thread.
    pub compare_per_s: f64,
    /// Equal error rate.
    pub eer: f64,
    /// FNMR at FMR 1 %.
    pub fmr100: f64,
    /// FNMR at FMR 0.1 %.
    pub fmr1000: f64,
    /// FNMR where no impostor passes.
    pub zerofmr: f64,
}

/// The figures of all sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Of each set.
    pub sets: Vec<SetReport>,
    /// Of all comparisons together, at one threshold.
    pub pooled: Pooled,
    /// 90 % interval of the pooled FNMR at FMR 0.1 %, over fingers.
    #[serde(skip)]
    pub interval: Option<(f64, f64)>,
}

impl Report {
    /// The figures of measurements; none when there are no genuine or no impostor comparisons.
    #[must_use]
    pub fn of(measured: &[Measured]) -> Option<Self> {
        let sets = measured
            .iter()
            .map(|m| Some(SetReport { name: m.name.clone(), figures: Pooled::of(&[m])? }))
            .collect::<Option<Vec<_>>>()?;
        let all: Vec<&Measured> = measured.iter().collect();
        let scores: Vec<_> = measured.iter().map(|m| &m.scores).collect();
        Some(Self { sets, pooled: Pooled::of(&all)?, interval: interval(&scores) })
    }
}

impl Pooled {
    fn of(measured: &[&Measured]) -> Option<Self> {
        let collect = |scores: fn(&Measured) -> Vec<f64>| -> Vec<f64> {
            measured.iter().flat_map(|m| scores(m)).collect()
        };
        let rates = Rates::of(&collect(|m| m.scores.genuine()), &collect(|m| m.scores.impostor()))?;
        let images: usize = measured.iter().map(|m| m.images).sum();
        let extraction: f64 = measured.iter().map(|m| m.extraction.as_secs_f64()).sum();
        let sampled: usize = measured.iter().map(|m| m.sampled).sum();
        let comparison: f64 = measured.iter().map(|m| m.comparison.as_secs_f64()).sum();
        Some(Self {
            images,
            fingers: measured.iter().map(|m| m.fingers).sum(),
            failed: measured.iter().map(|m| m.failures.len()).sum(),
            extract_ms_mean: 1000.0 * extraction / images.max(1) as f64,
            // When every extraction failed nothing was compared: that is no speed.
            compare_per_s: if comparison > 0.0 { sampled as f64 / comparison } else { 0.0 },
            eer: rates.eer,
            fmr100: rates.fmr100,
            fmr1000: rates.fmr1000,
            zerofmr: rates.zero_fmr,
        })
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<24}{:>7}{:>8}{:>7}{:>12}{:>12}{:>8}{:>8}{:>8}{:>9}",
            "set",
            "images",
            "fingers",
            "failed",
            "extract ms",
            "compare/s",
            "EER",
            "FMR100",
            "FMR1000",
            "ZeroFMR"
        )?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, p: &Pooled| {
            writeln!(
                f,
                "{name:<24}{:>7}{:>8}{:>7}{:>12.2}{:>12.0}{:>8.2}{:>8.2}{:>8.2}{:>9.2}",
                p.images,
                p.fingers,
                p.failed,
                p.extract_ms_mean,
                p.compare_per_s,
                p.eer,
                p.fmr100,
                p.fmr1000,
                p.zerofmr
            )
        };
        for set in &self.sets {
            row(f, &set.name, &set.figures)?;
        }
        row(f, "pooled", &self.pooled)?;
        if let Some((low, high)) = self.interval {
            writeln!(f, "pooled FMR1000, 90 % interval over fingers: {low:.2} to {high:.2}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::accuracy::{Comparison, Scores};

    #[test]
    fn the_json_has_the_keys_that_are_promised_and_no_others() {
        let line =
            |genuine, score| Comparison { genuine, probe: "1_1".into(), reference: "1_2".into(), score };
        let measured = Measured {
            name: "DB".into(),
            images: 4,
            fingers: 2,
            failures: Vec::new(),
            extraction: Duration::from_millis(40),
            sampled: 10,
            comparison: Duration::from_millis(1),
            scores: Scores(vec![line(true, 2.0), line(false, 1.0)]),
            qualities: [("1_1".into(), 50), ("1_2".into(), 60)].into(),
        };
        let json = serde_json::to_value(Report::of(&[measured]).unwrap()).unwrap();
        let keys = |v: &serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json), ["pooled", "sets"]);
        let mut expected = vec![
            "compare_per_s",
            "eer",
            "extract_ms_mean",
            "failed",
            "fingers",
            "fmr100",
            "fmr1000",
            "images",
            "zerofmr",
        ];
        assert_eq!(keys(&json["pooled"]), expected);
        expected.insert(8, "name");
        assert_eq!(keys(&json["sets"][0]), expected);
        assert_eq!(json["pooled"]["extract_ms_mean"], 10.0);
        assert_eq!(json["pooled"]["compare_per_s"], 10_000.0);
    }
}
