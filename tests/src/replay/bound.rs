//! What a handful of events in many trials says of their rate.

/// The rate that lies above the true one with 95 % confidence, after so many events in so many independent trials
/// (Clopper and Pearson, one-sided). None without trials.
#[must_use]
pub fn upper_bound(events: usize, trials: usize) -> Option<f64> {
    if trials == 0 || events > trials {
        return None;
    }
    if events == trials {
        return Some(1.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    // The chance of so few events falls as the rate rises.
    for _ in 0..100 {
        let rate = f64::midpoint(low, high);
        if at_most(events, trials, rate) > 0.05 { low = rate } else { high = rate }
    }
    Some(high)
}

/// Chance of at most so many events.
fn at_most(events: usize, trials: usize, rate: f64) -> f64 {
    let n = trials as f64;
    let choose = |k: f64| libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    let chance = |k: f64| libm::exp(choose(k) + k * libm::log(rate) + (n - k) * libm::log1p(-rate));
    (0..=events).map(|k| chance(k as f64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_many_trials_is_the_rule_of_three() {
        let bound = upper_bound(0, 1000).unwrap();
        assert!((bound - 2.9912e-3).abs() < 1e-6, "{bound}");
        // From tables: 3 of 100.
        let bound = upper_bound(3, 100).unwrap();
        assert!((bound - 0.0757).abs() < 1e-4, "{bound}");
        assert_eq!((upper_bound(0, 0), upper_bound(5, 5)), (None, Some(1.0)));
    }
}
