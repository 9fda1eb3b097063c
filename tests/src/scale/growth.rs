//! How a search grows with the gallery: the same measurement at 1k, 3k, 10k fingers and so on, drawn on logarithmic
//! axes.

use super::{Order, Real, Report, ScaleError, measure};
use crate::accuracy::{
    Progress,
    chart::{Anchor, COLOURS, Chart},
};

/// The sizes, each about three times the one before.
const SIZES: [usize; 7] = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];
/// Place of the axes: left, top, width, height.
const FRAME: (f64, f64, f64, f64) = (70.0, 20.0, 480.0, 360.0);

/// Measures every size up to that of the order, and that one. Peers and likeness are looked at in the last alone.
///
/// # Errors
/// [`ScaleError`] when the order cannot be carried out.
pub fn growth(order: &Order, real: &Real, progress: &dyn Progress) -> Result<Vec<Report>, ScaleError> {
    let smaller = SIZES.into_iter().filter(|&size| size < order.fingers && size >= real.fingers.len());
    let sizes: Vec<usize> = smaller.chain([order.fingers]).collect();
    let mut reports = Vec::with_capacity(sizes.len());
    for fingers in sizes {
        let last = fingers == order.fingers;
        // What is missed is asked of the largest only.
        let exhaustive = if last { order.exhaustive } else { Some(0) };
        let sweep = order.sweep && last;
        let here = Order { fingers, whole: order.whole && last, sweep, exhaustive, ..order.clone() };
        reports.push(measure(&here, real, progress)?);
    }
    Ok(reports)
}

/// Draws the median and the 99th percentile of a search, and the peers' extrapolated, over the fingers.
#[must_use]
pub fn growth_plot(reports: &[Report]) -> String {
    let mut curves: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    let fingers = |r: &Report| r.gallery as f64;
    let mut curve = |name: &str, of: &dyn Fn(&Report) -> f64| {
        curves.push((name.to_owned(), reports.iter().map(|r| (fingers(r), of(r))).collect()));
    };
    curve("search, half", &|r| r.search_ms_p50);
    curve("search, 99 of 100", &|r| r.search_ms_p99);
    curve("stranger, 99 of 100", &|r| r.strangers.search_ms_p99);
    if let Some((last, peer)) = reports.last().and_then(|r| Some((r, r.peer.as_ref()?))) {
        for (name, side) in [("scalar LSS (extrapolated)", &peer.lss), ("edges (extrapolated)", &peer.edges)]
        {
            let each = side.search_ms_extrapolated / last.impressions.max(1) as f64;
            curve(name, &|r| each * r.impressions as f64);
        }
    }
    draw(&curves)
}

/// Decades that hold all values: the powers of ten at both ends.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let logs: Vec<f64> = values.filter(|v| *v > 0.0).map(f64::log10).collect();
    let low = logs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return (0, 1);
    }
    let low = low.floor() as i32;
    (low, (high.ceil() as i32).max(low + 1))
}

fn draw(curves: &[(String, Vec<(f64, f64)>)]) -> String {
    let (left, top, width, height) = FRAME;
    let all = || curves.iter().flat_map(|(_, points)| points.iter());
    let (x0, x1) = decades(all().map(|p| p.0));
    let (y0, y1) = decades(all().map(|p| p.1));
    let share =
        |value: f64, low: i32, high: i32| (value.max(1e-12).log10() - f64::from(low)) / f64::from(high - low);
    let x = |fingers: f64| left + width * share(fingers, x0, x1).clamp(0.0, 1.0);
    let y = |ms: f64| top + height * (1.0 - share(ms, y0, y1).clamp(0.0, 1.0));
    let mut chart = Chart::new(left + width + 220.0, top + height + 60.0);
    for decade in x0..=x1 {
        let value = 10f64.powi(decade);
        chart.line((x(value), top), (x(value), top + height), "#ddd", 1.0);
        chart.text((x(value), top + height + 18.0), Anchor::Middle, &format!("{value}"));
    }
    for decade in y0..=y1 {
        let value = 10f64.powi(decade);
        chart.line((left, y(value)), (left + width, y(value)), "#ddd", 1.0);
        chart.text((left - 6.0, y(value) + 4.0), Anchor::End, &format!("{value}"));
    }
    chart.rectangle((left, top), (width, height), "fill=\"none\" stroke=\"#222\"");
    chart.text((left + width / 2.0, top + height + 42.0), Anchor::Middle, "fingers in the gallery");
    chart.upright((16.0, top + height / 2.0), "milliseconds");
    for (number, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let placed: Vec<(f64, f64)> = points.iter().map(|&(fingers, ms)| (x(fingers), y(ms))).collect();
        chart.curve(&placed, colour, 2.0, None);
        for &(px, py) in &placed {
            chart.rectangle((px - 2.0, py - 2.0), (4.0, 4.0), &format!("fill=\"{colour}\""));
        }
        let row = top + 12.0 + 18.0 * number as f64;
        chart.line((left + width + 12.0, row - 4.0), (left + width + 34.0, row - 4.0), colour, 2.0);
        chart.text((left + width + 40.0, row), Anchor::Start, name);
    }
    chart.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_hold_all_values_and_are_never_empty() {
        assert_eq!(decades([1_000.0, 1_000_000.0].into_iter()), (3, 6));
        assert_eq!(decades([0.4, 70.0, 0.0].into_iter()), (-1, 2));
        assert_eq!(decades([10.0].into_iter()), (1, 2));
        assert_eq!(decades(std::iter::empty()), (0, 1));
    }

    #[test]
    fn every_curve_is_drawn_and_named() {
        let curves =
            [("one <a>".to_owned(), vec![(1e3, 0.5), (1e6, 60.0)]), ("two".to_owned(), vec![(1e3, 9.0)])];
        let drawing = draw(&curves);
        assert!(
            drawing.ends_with("</svg>\n") && drawing.contains(">one &lt;a&gt;<") && drawing.contains(">two<")
        );
        assert_eq!(drawing.matches("<path").count(), 2);
    }
}
