//! How far the figures would move with other fingers: the impressions of one finger succeed or fail
//! together, so whole fingers are drawn anew, not comparisons.

use std::collections::BTreeMap;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use super::scores::Scores;

/// Draws of the fingers.
const ROUNDS: usize = 1000;

/// The 90 % interval, in percent, of the FNMR at the threshold that one impostor in 1000 passes.
/// Fingers of different sets are different fingers. None without both kinds of comparisons.
#[must_use]
pub fn interval(sets: &[&Scores]) -> Option<(f64, f64)> {
    let mut impostor: Vec<f64> = sets.iter().flat_map(|s| s.impostor()).collect();
    impostor.sort_by(f64::total_cmp);
    let at = ((impostor.len() as f64 * 0.999) as usize).min(impostor.len().checked_sub(1)?);
    let threshold = impostor[at];
    // Per finger: (comparisons, misses). Scores at the threshold count as misses here, as in score.py.
    let mut fingers: BTreeMap<(usize, &str), (u64, u64)> = BTreeMap::new();
    for (number, set) in sets.iter().enumerate() {
        for c in set.0.iter().filter(|c| c.genuine) {
            let tally = fingers.entry((number, c.finger())).or_default();
            tally.0 += 1;
            tally.1 += u64::from(c.score <= threshold);
        }
    }
    let tallies: Vec<(u64, u64)> = fingers.into_values().collect();
    if tallies.is_empty() {
        return None;
    }
    let mut chance = ChaCha8Rng::from_seed([1; 32]);
    let mut rates = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (mut all, mut missed) = (0, 0);
        for _ in 0..tallies.len() {
            let drawn = (u64::from(chance.next_u32()) * tallies.len() as u64) >> 32;
            let (a, m) = tallies[drawn as usize];
            all += a;
            missed += m;
        }
        rates.push(100.0 * missed as f64 / all as f64);
    }
    rates.sort_by(f64::total_cmp);
    Some((rates[ROUNDS / 20], rates[ROUNDS - ROUNDS / 20 - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::Comparison;

    fn scores(fingers: u32, bad: u32) -> Scores {
        let mut all = Vec::new();
        for f in 0..fingers {
            let score = if f < bad { 0.5 } else { 9.0 };
            for i in 2..8 {
                let (probe, reference) = (format!("{f}_1"), format!("{f}_{i}"));
                all.push(Comparison { genuine: true, probe, reference, score });
            }
            let (probe, reference) = (format!("{f}_1"), format!("x{f}_1"));
            all.push(Comparison { genuine: false, probe, reference, score: 1.0 });
        }
        Scores(all)
    }

    #[test]
    fn the_interval_holds_the_rate_and_narrows_with_more_fingers() {
        let (few, many) = (scores(20, 4), scores(500, 100));
        let (a, b) = (interval(&[&few]).unwrap(), interval(&[&many]).unwrap());
        for (low, high) in [a, b] {
            assert!(low < 20.0 && high > 20.0, "{low} {high}");
        }
        assert!(b.1 - b.0 < (a.1 - a.0) / 3.0, "{a:?} {b:?}");
    }

    #[test]
    fn faultless_fingers_have_an_interval_of_nothing() {
        assert_eq!(interval(&[&scores(10, 0)]), Some((0.0, 0.0)));
        assert_eq!(interval(&[]), None);
    }
}
