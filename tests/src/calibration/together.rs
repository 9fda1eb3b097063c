//! Whether the fingers of one person err together: how much more often two fingers of somebody both pass for two fingers of
//! somebody else than they would did each err by itself.
//!
//! It needs sets that say whose a finger is, and can only be seen where false matches are frequent enough for two to
//! happen at once, far above the rates that decisions rest on.

use std::collections::BTreeMap;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use super::{Pairs, Weights};

/// Two fingers of one person are taken to pass for two of another at the rate of one to this power, and not to the second:
/// `firmware/src/policy/pairs.rs` decides by it.
pub const TOGETHER: f64 = 5.0 / 3.0;

/// Draws of the persons.
const ROUNDS: usize = 500;

/// An impostor comparison between two persons: of each the ordinal of the person and of the finger, and the evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Between {
    /// Person and finger of the probe.
    pub probe: (usize, usize),
    /// The same of the reference.
    pub reference: (usize, usize),
    /// What the comparison found.
    pub evidence: f64,
}

impl Between {
    /// Those of a set, where it says whose fingers are whose.
    #[must_use]
    pub fn all_of(set: &Pairs, weights: &Weights) -> Option<Vec<Self>> {
        let persons = set.persons.as_ref()?;
        let of = |finger: usize| Some((*persons.get(finger)?, finger));
        let comparisons = set.pairs.iter().filter_map(|pair| {
            let (probe, reference) = (of(pair.probe)?, of(pair.reference)?);
            (probe.0 != reference.0).then(|| Self { probe, reference, evidence: weights.apply(&pair.terms) })
        });
        Some(comparisons.collect())
    }
}

/// How the fingers of persons err together at one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Together {
    /// The share of comparisons that pass.
    pub rate: f64,
    /// The share of two by two different fingers that both do, over the square of that rate: 1 when they err independently.
    pub ratio: f64,
    /// 5 % and 95 % of [`Together::ratio`] when the persons are drawn anew.
    pub interval: (f64, f64),
}

/// Of the ordinals of two persons, or of a finger of each.
type OfTwo<T> = BTreeMap<(usize, usize), T>;
/// The share of comparisons that pass between each finger of one person and each of another.
type Shares = OfTwo<f64>;

/// At the threshold that this share of all comparisons passes. None when no two persons have two fingers each.
#[must_use]
pub fn together(comparisons: &[Between], rate: f64) -> Option<Together> {
    let mut all: Vec<f64> = comparisons.iter().map(|c| c.evidence).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    let threshold = *all.get((all.len() as f64 * rate) as usize)?;
    let mut counted: OfTwo<OfTwo<(f64, f64)>> = BTreeMap::new();
    for Between { probe, reference, evidence } in comparisons {
        let (one, other) = if probe < reference { (probe, reference) } else { (reference, probe) };
        let at = counted.entry((one.0, other.0)).or_default().entry((one.1, other.1)).or_default();
        at.0 += f64::from(u8::from(*evidence > threshold));
        at.1 += 1.0;
    }
    let persons: Vec<((usize, usize), Shares)> = counted
        .into_iter()
        .filter(|((one, other), _)| one != other)
        .map(|(of, counts)| (of, counts.into_iter().map(|(at, (hits, n))| (at, hits / n)).collect()))
        .collect();
    let (rate, ratio) = weighed(&persons, |_| 1.0)?;
    let mut names: Vec<usize> = persons.iter().flat_map(|((one, other), _)| [*one, *other]).collect();
    names.sort_unstable();
    names.dedup();
    let mut chance = ChaCha8Rng::from_seed([3; 32]);
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .filter_map(|_| {
            let mut drawn: BTreeMap<usize, f64> = BTreeMap::new();
            for _ in 0..names.len() {
                let at = (u64::from(chance.next_u32()) * names.len() as u64) >> 32;
                *drawn.entry(names[at as usize]).or_default() += 1.0;
            }
            weighed(&persons, |person| drawn.get(&person).copied().unwrap_or(0.0)).map(|(_, ratio)| ratio)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let n = ratios.len();
    Some(Together { rate, ratio, interval: (*ratios.get(n / 20)?, *ratios.get(n - n / 20 - 1)?) })
}

/// The rate and the ratio where each person counts so often.
fn weighed(persons: &[((usize, usize), Shares)], times: impl Fn(usize) -> f64) -> Option<(f64, f64)> {
    let (mut single, mut singles, mut both, mut boths) = (0.0, 0.0, 0.0, 0.0);
    for ((one, other), shares) in persons {
        let weight = times(*one) * times(*other);
        let (mut rows, mut columns) = (BTreeMap::new(), BTreeMap::new());
        for ((row, column), share) in shares {
            *rows.entry(row).or_insert(0.0) += share;
            *columns.entry(column).or_insert(0.0) += share;
        }
        let sum: f64 = shares.values().sum();
        let squares = |sums: &mut dyn Iterator<Item = f64>| sums.map(|s| s * s).sum::<f64>();
        single += weight * sum;
        singles += weight * shares.len() as f64;
        // All twos, less those that share a finger of either person.
        both += weight
            * (sum * sum - squares(&mut rows.values().copied()) - squares(&mut columns.values().copied())
                + squares(&mut shares.values().copied()));
        let (n, m) = (rows.len() as f64, columns.len() as f64);
        boths += weight * n * m * (n - 1.0) * (m - 1.0);
    }
    let rate = single / singles;
    (boths > 0.0 && rate > 0.0).then(|| (rate, both / boths / (rate * rate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comparisons of ten persons with four fingers each; what a finger scores with another is up to the test.
    fn comparisons(score: impl Fn((usize, usize), (usize, usize), usize) -> f64) -> Vec<Between> {
        let fingers: Vec<(usize, usize)> = (0..10).flat_map(|p| (0..4).map(move |f| (p, f))).collect();
        let mut all = Vec::new();
        for probe in &fingers {
            for reference in fingers.iter().filter(|reference| reference.0 > probe.0) {
                for n in 0..20 {
                    let evidence = score(*probe, *reference, n);
                    all.push(Between { probe: *probe, reference: *reference, evidence });
                }
            }
        }
        all
    }

    fn chance(seed: usize) -> f64 {
        (seed.wrapping_mul(2_654_435_761) % 1_000_003) as f64 / 1_000_003.0
    }

    fn seed((p, f): (usize, usize), (q, g): (usize, usize), n: usize) -> usize {
        (((p * 4 + f) * 10 + q) * 4 + g) * 20 + n
    }

    #[test]
    fn fingers_that_err_by_themselves_have_a_ratio_of_one() {
        let found = together(&comparisons(|p, r, n| chance(seed(p, r, n))), 0.1).unwrap();
        assert!((found.rate - 0.1).abs() < 0.01 && (0.9..1.1).contains(&found.ratio), "{found:?}");
        assert!(found.interval.0 <= found.ratio && found.ratio <= found.interval.1, "{found:?}");
    }

    #[test]
    fn fingers_of_persons_who_are_alike_err_together() {
        // One of the persons is like everybody else.
        let found = together(&comparisons(|p, r, n| chance(seed(p, r, n)) + f64::from(p.0 == 3)), 0.05);
        let found = found.unwrap();
        assert!(found.ratio > 3.0, "{found:?}");
    }

    #[test]
    fn who_has_one_finger_says_nothing_of_two() {
        let all = comparisons(|p, r, n| chance(seed(p, r, n)));
        let one: Vec<Between> = all.into_iter().filter(|c| c.probe.1 == 0 && c.reference.1 == 0).collect();
        assert_eq!(together(&one, 0.1), None);
    }
}
