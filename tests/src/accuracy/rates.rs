//! Error rates of a set of scores.
//!
//! A comparison passes at threshold t when its score is at least t. The thresholds tried are all
//! scores that occur, and one above them all. Invariant: the same arithmetic in the same order as
//! `score.py`, so that both print the same figures.

/// Error rates in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Where false match and false non-match rate are closest: their mean.
    pub eer: f64,
    /// False non-match rate at the first threshold where one impostor in 100 passes, or fewer.
    pub fmr100: f64,
    /// The same for one in 1000.
    pub fmr1000: f64,
    /// The same for none.
    pub zero_fmr: f64,
}

/// One threshold's rates, as shares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) fmr: f64,
    pub(crate) fnmr: f64,
}

/// The rates at every threshold, from the lowest up. Both lists must hold something.
pub(crate) fn points(genuine: &[f64], impostor: &[f64]) -> Vec<Point> {
    let sorted = |scores: &[f64]| {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (gs, is) = (sorted(genuine), sorted(impostor));
    let mut thresholds = [gs.as_slice(), is.as_slice()].concat();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    thresholds.push(f64::INFINITY);
    let (mut below_g, mut below_i) = (0, 0);
    let mut points = Vec::with_capacity(thresholds.len());
    for t in thresholds {
        while gs.get(below_g).is_some_and(|&s| s < t) {
            below_g += 1;
        }
        while is.get(below_i).is_some_and(|&s| s < t) {
            below_i += 1;
        }
        points.push(Point {
            fmr: 1.0 - below_i as f64 / is.len() as f64,
            fnmr: below_g as f64 / gs.len() as f64,
        });
    }
    points
}

impl Rates {
    /// The rates of genuine and impostor scores; none when either list is empty.
    #[must_use]
    pub fn of(genuine: &[f64], impostor: &[f64]) -> Option<Self> {
        if genuine.is_empty() || impostor.is_empty() {
            return None;
        }
        let points = points(genuine, impostor);
        let mut best = (2.0, 1.0);
        for Point { fmr, fnmr } in &points {
            let here = ((fmr - fnmr).abs(), (fmr + fnmr) / 2.0);
            if here < best {
                best = here;
            }
        }
        let at = |limit: f64| {
            // Above all scores nobody passes, so there is always one.
            points.iter().find(|p| p.fmr <= limit + 1e-12).map_or(100.0, |p| 100.0 * p.fnmr)
        };
        Some(Self { eer: 100.0 * best.1, fmr100: at(0.01), fmr1000: at(0.001), zero_fmr: at(0.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_scores_have_no_errors() {
        let rates = Rates::of(&[5.0, 6.0, 7.0], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(rates, Rates { eer: 0.0, fmr100: 0.0, fmr1000: 0.0, zero_fmr: 0.0 });
    }

    #[test]
    fn swapped_scores_are_all_errors() {
        let rates = Rates::of(&[1.0, 2.0], &[5.0, 6.0]).unwrap();
        assert_eq!((rates.eer, rates.zero_fmr), (100.0, 100.0));
    }

    #[test]
    fn a_worked_example_gives_the_figures_found_by_hand() {
        // Impostors 0 to 99: at threshold 98.5 one in a hundred passes, and 2 of 10 genuine are below.
        let impostor: Vec<f64> = (0..100).map(f64::from).collect();
        let genuine = [10.0, 50.0, 98.5, 99.0, 99.5, 120.0, 121.0, 122.0, 123.0, 124.0];
        let rates = Rates::of(&genuine, &impostor).unwrap();
        assert_eq!(rates.fmr100, 20.0);
        // None may pass: threshold 99.5, four are below.
        assert_eq!((rates.fmr1000, rates.zero_fmr), (40.0, 40.0));
        // At threshold 80 to 81: FNMR 2/10, FMR 20/100.
        assert!((rates.eer - 20.0).abs() < 1e-9, "{}", rates.eer);
    }

    #[test]
    fn equal_scores_pass_together() {
        let rates = Rates::of(&[1.0, 1.0], &[1.0, 1.0]).unwrap();
        // Either all pass or none: both differ by 1, and half their sum is one half.
        assert_eq!((rates.eer, rates.zero_fmr), (50.0, 100.0));
    }

    #[test]
    fn without_both_kinds_there_are_no_rates() {
        assert_eq!(Rates::of(&[], &[1.0]), None);
        assert_eq!(Rates::of(&[1.0], &[]), None);
    }
}
