//! Histograms of genuine and impostor scores, set beside set on the same axes, to see at a glance
//! whether one set is as hard as another.

use super::{
    chart::{Anchor, Chart},
    protocol::Measured,
};

const PANEL: (f64, f64) = (380.0, 220.0);
const BINS: usize = 40;
const GENUINE: &str = "#0072b2";
const IMPOSTOR: &str = "#d55e00";

/// Draws one panel for each set. The last bin holds what lies above the axis too.
#[must_use]
pub fn histogram(sets: &[Measured]) -> String {
    let (width, height) = PANEL;
    let top_score = axis_end(sets);
    let shares: Vec<[Vec<f64>; 2]> = sets
        .iter()
        .map(|m| [m.scores.genuine(), m.scores.impostor()].map(|scores| bins(&scores, top_score)))
        .collect();
    let mut chart = Chart::new(70.0 + (width + 40.0) * sets.len() as f64, height + 100.0);
    for (number, (set, shares)) in sets.iter().zip(&shares).enumerate() {
        let (left, top) = (60.0 + (width + 40.0) * number as f64, 50.0);
        chart.text((left + width / 2.0, 20.0), Anchor::Middle, &set.name);
        for step in 0..=5 {
            let share = f64::from(step) * 0.2;
            // The square root of the share: impostors crowd in one bin, misses are few; both must show.
            let y = top + height * (1.0 - share.sqrt());
            chart.line((left, y), (left + width, y), "#ddd", 1.0);
            if number == 0 {
                chart.text((left - 6.0, y + 4.0), Anchor::End, &format!("{:.0} %", share * 100.0));
            }
        }
        for (share, colour) in shares.iter().zip([GENUINE, IMPOSTOR]) {
            let mut outline = vec![(left, top + height)];
            for (bin, share) in share.iter().enumerate() {
                let (x, step) = (left + width * bin as f64 / BINS as f64, width / BINS as f64);
                let y = top + height * (1.0 - share.sqrt());
                outline.extend([(x, y), (x + step, y)]);
            }
            outline.push((left + width, top + height));
            chart.curve(&outline, colour, 1.5, Some(colour));
        }
        chart.rectangle((left, top), (width, height), "fill=\"none\" stroke=\"#222\"");
        for step in 0..=4 {
            let part = f64::from(step) / 4.0;
            let label = format!("{:.0}", top_score * part);
            chart.text((left + width * part, top + height + 18.0), Anchor::Middle, &label);
        }
        chart.text((left + width / 2.0, top + height + 40.0), Anchor::Middle, "score");
        chart.text((left + width - 8.0, top + 18.0), Anchor::End, "genuine");
        chart.line((left + width - 95.0, top + 14.0), (left + width - 70.0, top + 14.0), GENUINE, 3.0);
        chart.text((left + width - 8.0, top + 36.0), Anchor::End, "impostor");
        chart.line((left + width - 95.0, top + 32.0), (left + width - 70.0, top + 32.0), IMPOSTOR, 3.0);
    }
    chart.upright((14.0, 50.0 + height / 2.0), "share of comparisons (root scale)");
    chart.finish()
}

/// Where the axis of scores ends: above 99 % of genuine scores, at a round number.
fn axis_end(sets: &[Measured]) -> f64 {
    let mut genuine: Vec<f64> = sets.iter().flat_map(|m| m.scores.genuine()).collect();
    genuine.sort_by(f64::total_cmp);
    let high = genuine.get(genuine.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(1.0).max(1e-6);
    let step = 10f64.powf(high.log10().floor());
    ((high / step * 2.0).ceil() / 2.0 * step).max(1e-6)
}

/// Shares of the scores in equal bins from 0 to the axis' end.
fn bins(scores: &[f64], end: f64) -> Vec<f64> {
    let mut counts = vec![0.0; BINS];
    for score in scores {
        let bin = ((score / end).clamp(0.0, 1.0) * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1.0 / scores.len() as f64;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_score_once() {
        let shares = bins(&[0.0, 0.1, 5.0, 9.99, 10.0, 99.0, -1.0, 5.1], 10.0);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!((shares[0], shares[20], shares[39]), (0.375, 0.25, 0.375));
    }
}
