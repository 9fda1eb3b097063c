//! The weights of the evidence: logistic regression by Newton's method, with a weak ridge penalty,
//! each set with the same total weight whatever its size.

use authenteon_matcher::compare::TERMS;

use super::evidence::Pair;

/// Coefficients: the terms and a constant.
const COEFFICIENTS: usize = TERMS + 1;
/// What each set's genuine and impostor comparisons weigh in all: those of one FVC set B.
const GENUINE_TOTAL: f64 = 280.0;
const IMPOSTOR_TOTAL: f64 = 2880.0;
/// Penalty on the squares of the weights.
const RIDGE: f64 = 0.3;
const ROUNDS: usize = 50;
const CONVERGED: f64 = 1e-9;

/// What the fusion is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// One for each term.
    pub terms: [f64; TERMS],
    /// The constant.
    pub bias: f64,
}

impl Weights {
    /// The logarithm of the likelihood ratio, up to a constant.
    #[must_use]
    pub fn apply(&self, terms: &[f64; TERMS]) -> f64 {
        terms.iter().zip(&self.terms).fold(self.bias, |sum, (t, w)| sum + t * w)
    }
}

/// Fits the weights on sets of comparisons. None when nothing is genuine or nothing is not, or the
/// evidence does not determine the weights.
#[must_use]
pub fn fit(sets: &[Vec<Pair>]) -> Option<Weights> {
    let mut rows = Vec::new();
    for set in sets {
        let genuine = set.iter().filter(|p| p.genuine).count();
        let impostor = set.len() - genuine;
        if genuine == 0 || impostor == 0 {
            return None;
        }
        rows.extend(set.iter().map(|pair| {
            let weight =
                if pair.genuine { GENUINE_TOTAL / genuine as f64 } else { IMPOSTOR_TOTAL / impostor as f64 };
            let mut x = [1.0; COEFFICIENTS];
            x[..TERMS].copy_from_slice(&pair.terms);
            (x, f64::from(u8::from(pair.genuine)), weight)
        }));
    }
    let mut beta = [0.0; COEFFICIENTS];
    for _ in 0..ROUNDS {
        let mut gradient = [0.0; COEFFICIENTS];
        let mut hessian = [[0.0; COEFFICIENTS]; COEFFICIENTS];
        for (x, y, weight) in &rows {
            let z: f64 = x.iter().zip(&beta).map(|(a, b)| a * b).sum();
            let p = 1.0 / (1.0 + libm::exp(-z.clamp(-30.0, 30.0)));
            let curvature = (p * (1.0 - p)).max(1e-9) * weight;
            for i in 0..COEFFICIENTS {
                gradient[i] += x[i] * (y - p) * weight;
                for j in 0..=i {
                    hessian[i][j] += x[i] * x[j] * curvature;
                }
            }
        }
        let lower = hessian;
        for (i, (row, slope)) in hessian.iter_mut().zip(&mut gradient).enumerate() {
            *slope -= RIDGE * beta[i];
            row[i] += RIDGE;
            for (v, mirrored) in row.iter_mut().zip(&lower).skip(i + 1) {
                *v = mirrored[i];
            }
        }
        let step = solve(hessian, gradient)?;
        for (b, s) in beta.iter_mut().zip(&step) {
            *b += s;
        }
        if step.iter().map(|s| s.abs()).sum::<f64>() < CONVERGED {
            let (bias, terms) = beta.split_last()?;
            return Some(Weights { terms: terms.try_into().ok()?, bias: *bias });
        }
    }
    None
}

/// Gauss elimination with pivots.
fn solve(
    mut a: [[f64; COEFFICIENTS]; COEFFICIENTS],
    mut b: [f64; COEFFICIENTS],
) -> Option<[f64; COEFFICIENTS]> {
    for column in 0..COEFFICIENTS {
        let pivot =
            (column..COEFFICIENTS).max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs()))?;
        if a[pivot][column].abs() < 1e-12 {
            return None;
        }
        a.swap(column, pivot);
        b.swap(column, pivot);
        for row in 0..COEFFICIENTS {
            if row != column {
                let factor = a[row][column] / a[column][column];
                let above = a[column];
                for (v, w) in a[row].iter_mut().zip(&above).skip(column) {
                    *v -= factor * w;
                }
                b[row] -= factor * b[column];
            }
        }
    }
    let mut x = [0.0; COEFFICIENTS];
    for (i, v) in x.iter_mut().enumerate() {
        *v = b[i] / a[i][i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comparisons whose odds are known, by a fixed sequence instead of chance.
    fn drawn(weights: &Weights, count: usize) -> Vec<Pair> {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..count)
            .map(|n| {
                let terms = std::array::from_fn(|_| 4.0 * random() - 2.0);
                let odds = 1.0 / (1.0 + libm::exp(-weights.apply(&terms)));
                Pair { genuine: random() < odds, probe: n, reference: n, terms }
            })
            .collect()
    }

    #[test]
    fn weights_that_made_the_data_are_found_again() {
        let truth = Weights { terms: std::array::from_fn(|i| 0.3 * i as f64 - 1.0), bias: 0.0 };
        let found = fit(&[drawn(&truth, 40_000)]).unwrap();
        for (f, t) in found.terms.iter().zip(&truth.terms) {
            assert!((f - t).abs() < 0.15, "{found:?}");
        }
    }

    #[test]
    fn without_both_kinds_there_is_no_fit() {
        let mut all = drawn(&Weights { terms: [0.0; TERMS], bias: 9.0 }, 50);
        all.iter_mut().for_each(|p| p.genuine = true);
        assert_eq!(fit(&[all]), None);
    }
}
