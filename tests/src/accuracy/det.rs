//! DET curves: false non-match rate over false match rate, both on logarithmic axes.

use super::{
    chart::{Anchor, COLOURS, Chart},
    protocol::Measured,
    rates::points,
};

/// Place of the axes: left, top, width, height.
const FRAME: (f64, f64, f64, f64) = (70.0, 20.0, 480.0, 400.0);
/// The least rate shown: one in ten thousand; what is better lies on the border.
const DECADES: f64 = 4.0;

/// Draws the curve of each set, and of all together when there are several.
#[must_use]
pub fn det_plot(sets: &[Measured]) -> String {
    let (left, top, width, height) = FRAME;
    let mut chart = Chart::new(left + width + 210.0, top + height + 60.0);
    let place = |rate: f64| 1.0 + (rate.max(1e-9).log10() / DECADES).max(-1.0);
    let (x, y) = (|rate| left + width * place(rate), |rate| top + height * (1.0 - place(rate)));
    for (rate, label) in [(1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (0.1, "10 %"), (1.0, "100 %")] {
        chart.line((x(rate), top), (x(rate), top + height), "#ddd", 1.0);
        chart.line((left, y(rate)), (left + width, y(rate)), "#ddd", 1.0);
        chart.text((x(rate), top + height + 18.0), Anchor::Middle, label);
        chart.text((left - 6.0, y(rate) + 4.0), Anchor::End, label);
    }
    chart.curve(&[(x(1e-4), y(1e-4)), (x(1.0), y(1.0))], "#bbb", 1.0, None);
    chart.rectangle((left, top), (width, height), "fill=\"none\" stroke=\"#222\"");
    chart.text((left + width / 2.0, top + height + 42.0), Anchor::Middle, "false match rate");
    chart.upright((16.0, top + height / 2.0), "false non-match rate");

    let mut curves: Vec<(&str, Vec<f64>, Vec<f64>)> =
        sets.iter().map(|m| (m.name.as_str(), m.scores.genuine(), m.scores.impostor())).collect();
    if sets.len() > 1 {
        let all = |pick: fn(&Measured) -> Vec<f64>| sets.iter().flat_map(pick).collect();
        curves.push(("pooled", all(|m| m.scores.genuine()), all(|m| m.scores.impostor())));
    }
    for (number, (name, genuine, impostor)) in curves.iter().enumerate() {
        let pooled = sets.len() > 1 && number + 1 == curves.len();
        let (colour, thickness) =
            if pooled { ("#000000", 2.5) } else { (COLOURS[number % (COLOURS.len() - 1)], 1.5) };
        if !genuine.is_empty() && !impostor.is_empty() {
            chart.curve(&steps(genuine, impostor, x, y), colour, thickness, None);
        }
        let row = top + 12.0 + 18.0 * number as f64;
        chart.line((left + width + 12.0, row - 4.0), (left + width + 34.0, row - 4.0), colour, thickness);
        chart.text((left + width + 40.0, row), Anchor::Start, name);
    }
    chart.finish()
}

/// The staircase of a set's rates.
fn steps(
    genuine: &[f64],
    impostor: &[f64],
    x: impl Fn(f64) -> f64,
    y: impl Fn(f64) -> f64,
) -> Vec<(f64, f64)> {
    let mut stairs = Vec::new();
    let mut above = None;
    for point in points(genuine, impostor) {
        let here = (x(point.fmr), y(point.fnmr));
        if let Some(before) = above {
            stairs.push((here.0, before));
        }
        stairs.push(here);
        above = Some(here.1);
    }
    stairs
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::accuracy::{Comparison, Scores};

    #[test]
    fn the_plot_names_every_set_and_the_pool_and_stays_in_its_frame() {
        let set = |name: &str| Measured {
            name: name.to_owned(),
            images: 2,
            fingers: 2,
            failures: Vec::new(),
            extraction: Duration::ZERO,
            sampled: 0,
            comparison: Duration::ZERO,
            scores: Scores(
                (0..50)
                    .map(|k| Comparison {
                        genuine: k % 3 == 0,
                        probe: "1_1".into(),
                        reference: "2_1".into(),
                        score: f64::from(k * 7 % 50),
                    })
                    .collect(),
            ),
            qualities: std::collections::BTreeMap::new(),
        };
        let svg = det_plot(&[set("first"), set("a<b")]);
        for text in ["first", "a&lt;b", "pooled", "false match rate", "</svg>"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let paths = svg.matches("<path").count();
        assert_eq!(paths, 4, "the diagonal, two sets, the pool");
    }
}
