//! The two-sample test of Kolmogorov and Smirnov: whether two lists of numbers may come from one distribution.

/// What the test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TwoSample {
    /// The farthest that the two shares below any number are apart, 0 to 1.
    pub(crate) distance: f64,
    /// How often two samples of one distribution are so far apart, or farther.
    pub(crate) p: f64,
}

/// Compares two samples; none when one is empty.
#[must_use]
pub(crate) fn two_sample(a: &[f64], b: &[f64]) -> Option<TwoSample> {
    let sorted = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (a, b) = (sorted(a), sorted(b));
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut at_a, mut at_b, mut distance) = (0, 0, 0.0f64);
    while let (Some(x), Some(y)) = (a.get(at_a), b.get(at_b)) {
        // Equal numbers are passed together in both.
        let here = x.min(*y);
        at_a += a[at_a..].iter().take_while(|v| **v <= here).count();
        at_b += b[at_b..].iter().take_while(|v| **v <= here).count();
        distance = distance.max((at_a as f64 / n - at_b as f64 / m).abs());
    }
    let root = (n * m / (n + m)).sqrt();
    (n > 0.0 && m > 0.0).then(|| TwoSample { distance, p: tail((root + 0.12 + 0.11 / root) * distance) })
}

/// How often Kolmogorov's statistic is at least so large.
fn tail(statistic: f64) -> f64 {
    // The series converges slowly where it is 1 anyway.
    if statistic < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        let sign = if k % 2.0 == 1.0 { 2.0 } else { -2.0 };
        sign * libm::exp(-2.0 * k * k * statistic * statistic)
    };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(from: f64, count: usize) -> Vec<f64> {
        (0..count).map(|i| from + i as f64 / count as f64).collect()
    }

    #[test]
    fn the_same_numbers_are_no_distance_apart_and_others_as_far_as_they_are_shifted() {
        let same = two_sample(&even(0.0, 100), &even(0.0, 100)).unwrap();
        assert_eq!((same.distance, same.p), (0.0, 1.0));
        let shifted = two_sample(&even(0.0, 100), &even(0.3, 100)).unwrap();
        // One step more where rounding parts what is equal.
        assert!((shifted.distance - 0.3).abs() < 0.011, "{shifted:?}");
        assert!(shifted.p < 0.001, "{shifted:?}");
        assert_eq!(two_sample(&[1.0, 2.0], &[3.0]).unwrap().distance, 1.0);
        assert_eq!(two_sample(&[], &[3.0]), None);
    }

    #[test]
    fn ties_are_no_difference() {
        assert_eq!(two_sample(&[1.0, 1.0, 2.0, 2.0], &[1.0, 2.0]).unwrap().distance, 0.0);
    }

    #[test]
    fn the_chance_of_a_distance_is_that_of_the_tables() {
        // Smirnov's table: 1.36 is passed by 5 %, 1.63 by 1 %.
        assert!((tail(1.358) - 0.05).abs() < 1e-3 && (tail(1.628) - 0.01).abs() < 3e-4);
        assert_eq!(tail(0.0), 1.0);
    }
}
