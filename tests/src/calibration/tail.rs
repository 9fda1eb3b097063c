//! The impostors' tail: peaks over a threshold, after Pickands, Balkema and de Haan. Above a high
//! quantile the excess of a score follows a generalised Pareto distribution; with shape 0 that is
//! the exponential.

use std::collections::BTreeMap;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Share of the impostors below the threshold.
const THRESHOLD: f64 = 0.99;
/// Draws of the fingers.
const ROUNDS: usize = 500;

/// A fitted tail with its 90 % intervals over fingers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// The 99 % quantile.
    pub quantile: f64,
    /// Mean excess above it: the scale of an exponential.
    pub excess: f64,
    /// Shape of the generalised Pareto distribution, by moments: above 0 heavier than exponential.
    pub shape: f64,
    /// 5 % and 95 % of [`Tail::quantile`] when the fingers are drawn anew.
    pub quantile_interval: (f64, f64),
    /// The same of [`Tail::excess`].
    pub excess_interval: (f64, f64),
}

impl Tail {
    /// The share of impostors beyond so much evidence, were the tail exponential.
    #[must_use]
    pub fn estimate(&self, evidence: f64) -> f64 {
        (1.0 - THRESHOLD) * libm::exp(-(evidence - self.quantile).max(0.0) / self.excess)
    }

    /// The share of impostors beyond so much evidence, were the tail exponential, and the quantile and the mean excess
    /// both at the upper ends of their intervals: above the true one with 95 % confidence and more. Where fingers are few,
    /// intervals of draws are too narrow; that both are taken at their ends makes up for it.
    #[must_use]
    pub fn upper(&self, evidence: f64) -> f64 {
        let ((_, quantile), (_, excess)) = (self.quantile_interval, self.excess_interval);
        (1.0 - THRESHOLD) * libm::exp(-(evidence - quantile).max(0.0) / excess)
    }
}

/// Fits the tail of impostor scores, each with the ordinals of its two fingers. None when there are
/// too few to have a tail.
#[must_use]
pub fn tail(scores: &[(usize, usize, f64)]) -> Option<Tail> {
    let mut plain: Vec<(f64, f64)> = scores.iter().map(|&(_, _, s)| (s, 1.0)).collect();
    let (quantile, excess, shape) = peaks(&mut plain)?;
    let mut fingers: Vec<usize> = scores.iter().flat_map(|&(p, r, _)| [p, r]).collect();
    fingers.sort_unstable();
    fingers.dedup();
    let mut chance = ChaCha8Rng::from_seed([2; 32]);
    let (mut quantiles, mut excesses) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut drawn: BTreeMap<usize, f64> = BTreeMap::new();
        for _ in 0..fingers.len() {
            let at = (u64::from(chance.next_u32()) * fingers.len() as u64) >> 32;
            *drawn.entry(fingers[at as usize]).or_default() += 1.0;
        }
        let times = |finger| drawn.get(&finger).copied().unwrap_or(0.0);
        let mut weighed: Vec<(f64, f64)> = scores
            .iter()
            .map(|&(p, r, s)| (s, times(p) * times(r)))
            .filter(|&(_, weight)| weight > 0.0)
            .collect();
        if let Some((q, e, _)) = peaks(&mut weighed) {
            quantiles.push(q);
            excesses.push(e);
        }
    }
    Some(Tail {
        quantile,
        excess,
        shape,
        quantile_interval: interval(quantiles)?,
        excess_interval: interval(excesses)?,
    })
}

/// Quantile, mean excess and shape of weighed scores.
fn peaks(scores: &mut [(f64, f64)]) -> Option<(f64, f64, f64)> {
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = scores.iter().map(|s| s.1).sum();
    let mut below = 0.0;
    let at = scores.iter().position(|&(_, weight)| {
        below += weight;
        below > THRESHOLD * total
    })?;
    let threshold = scores[at].0;
    let above: Vec<(f64, f64)> = scores[at..].iter().map(|&(s, w)| (s - threshold, w)).collect();
    let weight: f64 = above.iter().map(|a| a.1).sum();
    let mean = above.iter().map(|(e, w)| e * w).sum::<f64>() / weight;
    let variance = above.iter().map(|(e, w)| (e - mean) * (e - mean) * w).sum::<f64>() / weight;
    (above.len() >= 10 && variance > 0.0).then(|| (threshold, mean, 0.5 * (1.0 - mean * mean / variance)))
}

fn interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    Some((*values.get(n / 20)?, *values.get(n - n / 20 - 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of 40 fingers whose scores are exponential with scale 2.
    fn exponential() -> Vec<(usize, usize, f64)> {
        let count = 40 * 39 / 2;
        let mut out = Vec::new();
        for p in 0..40_usize {
            for r in p + 1..40 {
                for k in 0..20_usize {
                    let n = ((p * 40 + r) * 20 + k).wrapping_mul(2_654_435_761) % 1_000_003;
                    out.push((p, r, -2.0 * libm::log((n as f64 + 0.5) / 1_000_003.0)));
                }
            }
        }
        assert_eq!(out.len(), 20 * count);
        out
    }

    #[test]
    fn an_exponential_tail_is_recognised() {
        let tail = tail(&exponential()).unwrap();
        assert!((tail.excess - 2.0).abs() < 0.4, "{tail:?}");
        assert!((tail.quantile - 2.0 * libm::log(100.0)).abs() < 0.3, "{tail:?}");
        assert!(tail.shape.abs() < 0.25, "{tail:?}");
        assert!(tail.excess_interval.0 < tail.excess && tail.excess < tail.excess_interval.1);
        let truth = libm::exp(-20.0 / 2.0);
        let (upper, estimate) = (tail.upper(20.0), tail.estimate(20.0));
        assert!(estimate < upper && estimate > 0.1 * truth, "{estimate} where {truth} is true");
        assert!(truth < upper && upper < 4.0 * truth, "{upper} where {truth} is true");
    }

    #[test]
    fn a_handful_of_scores_has_no_tail() {
        assert_eq!(tail(&[(0, 1, 1.0), (0, 2, 2.0)]), None);
    }
}
