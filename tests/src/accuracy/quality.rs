//! Does the quality of a print predict how well it will be recognised? Genuine comparisons are
//! ordered by the worse quality of their two prints and cut into ten equal parts.

use super::{
    chart::{Anchor, COLOURS, Chart},
    protocol::Measured,
};

/// Share of impostors that pass at the threshold the misses are counted at.
const FMR: f64 = 0.001;
/// Place of the axes: left, top, width, height.
const FRAME: (f64, f64, f64, f64) = (70.0, 20.0, 480.0, 300.0);

/// A tenth of the genuine comparisons.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Decile {
    /// Least and greatest quality in it.
    pub quality: (u8, u8),
    /// Comparisons in it.
    pub comparisons: usize,
    /// FNMR among them, in percent, at the threshold of FMR 0.1 % over all.
    pub fnmr: f64,
    /// Median score.
    pub median: f64,
}

/// The tenths, the worst quality first. Empty with fewer than ten genuine comparisons or no impostors.
#[must_use]
pub fn deciles(sets: &[Measured]) -> Vec<Decile> {
    let mut impostor: Vec<f64> = sets.iter().flat_map(|m| m.scores.impostor()).collect();
    impostor.sort_by(f64::total_cmp);
    let mut genuine: Vec<(u8, f64)> = sets
        .iter()
        .flat_map(|m| {
            let quality = |name: &str| m.qualities.get(name).copied().unwrap_or(0);
            m.scores.0.iter().filter(|c| c.genuine).map(move |c| {
                let best = c.reference.split('+').map(quality).max().unwrap_or(0);
                (quality(&c.probe).min(best), c.score)
            })
        })
        .collect();
    genuine.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let Some(&threshold) = impostor.get(((impostor.len() as f64 * (1.0 - FMR)) as usize).saturating_sub(1))
    else {
        return Vec::new();
    };
    if genuine.len() < 10 {
        return Vec::new();
    }
    (0..10)
        .map(|k| {
            let part = &genuine[k * genuine.len() / 10..(k + 1) * genuine.len() / 10];
            let mut scores: Vec<f64> = part.iter().map(|g| g.1).collect();
            scores.sort_by(f64::total_cmp);
            let missed = scores.iter().filter(|&&s| s <= threshold).count();
            Decile {
                quality: (part[0].0, part[part.len() - 1].0),
                comparisons: part.len(),
                fnmr: 100.0 * missed as f64 / part.len() as f64,
                median: scores[scores.len() / 2],
            }
        })
        .collect()
}

/// Draws FNMR by tenth of quality.
#[must_use]
pub fn quality_plot(sets: &[Measured]) -> String {
    let (left, top, width, height) = FRAME;
    let tenths = deciles(sets);
    let mut chart = Chart::new(left + width + 30.0, top + height + 60.0);
    let most = tenths.iter().map(|d| d.fnmr).fold(1.0, f64::max);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = top + height * (1.0 - share);
        chart.line((left, y), (left + width, y), "#ddd", 1.0);
        chart.text((left - 6.0, y + 4.0), Anchor::End, &format!("{:.1} %", share * most));
    }
    let step = width / 10.0;
    for (number, decile) in tenths.iter().enumerate() {
        let x = left + step * number as f64;
        let tall = height * decile.fnmr / most;
        let style = format!("fill=\"{}\"", COLOURS[0]);
        chart.rectangle((x + 0.15 * step, top + height - tall), (0.7 * step, tall), &style);
        let (low, high) = decile.quality;
        chart.text((x + step / 2.0, top + height + 18.0), Anchor::Middle, &format!("{low}–{high}"));
    }
    chart.rectangle((left, top), (width, height), "fill=\"none\" stroke=\"#222\"");
    chart.text(
        (left + width / 2.0, top + height + 42.0),
        Anchor::Middle,
        "quality of the worse print, a tenth of the genuine comparisons each",
    );
    chart.upright((16.0, top + height / 2.0), "FNMR at FMR 0.1 %");
    chart.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::accuracy::{Comparison, Scores};

    fn measured() -> Measured {
        let name = |k: u32| format!("{k}_1");
        let genuine = (0..100).map(|k| Comparison {
            genuine: true,
            probe: name(k),
            reference: name(k),
            score: if k < 20 { 0.0 } else { f64::from(k) },
        });
        let impostor =
            (0..1000).map(|k| Comparison { genuine: false, probe: name(k), reference: name(0), score: 1.0 });
        Measured {
            name: "DB".into(),
            images: 100,
            fingers: 100,
            failures: Vec::new(),
            extraction: Duration::ZERO,
            sampled: 0,
            comparison: Duration::ZERO,
            scores: Scores(genuine.chain(impostor).collect()),
            qualities: (0..100).map(|k| (name(k), k as u8)).collect(),
        }
    }

    #[test]
    fn the_misses_fall_into_the_tenths_of_their_quality() {
        let tenths = deciles(&[measured()]);
        assert_eq!(tenths.len(), 10);
        assert_eq!((tenths[0].quality, tenths[0].fnmr), ((0, 9), 100.0));
        assert_eq!((tenths[1].fnmr, tenths[2].fnmr, tenths[9].fnmr), (100.0, 0.0, 0.0));
        assert!(quality_plot(&[measured()]).contains("90–99"));
    }

    #[test]
    fn without_comparisons_there_are_no_tenths() {
        assert!(deciles(&[]).is_empty());
        assert!(quality_plot(&[]).ends_with("</svg>\n"));
    }
}
