//! Our rates are those of `score.py`, the project's independent scorer, on the same scores.

#![forbid(unsafe_code)]

use std::{path::PathBuf, process::Command};

use authenteon_tests::accuracy::{Comparison, Rates, Scores, interval};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// The scorer, where the reference material lies beside the repository.
fn scorer() -> Option<PathBuf> {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "shared", "tools", "score.py"].iter().collect();
    path.exists().then_some(path)
}

/// Scores of so many fingers; `grain` rounds them, so that many are equal.
fn scores(seed: u8, fingers: u32, grain: f64) -> Scores {
    let mut chance = ChaCha8Rng::from_seed([seed; 32]);
    let mut unit = || f64::from(chance.next_u32()) / f64::from(u32::MAX);
    let mut all = Vec::new();
    let prints: Vec<(u32, u32)> = (0..fingers).flat_map(|f| (1..=6).map(move |i| (f, i))).collect();
    for (at, &(f, i)) in prints.iter().enumerate() {
        for &(g, j) in &prints[at + 1..] {
            let genuine = f == g;
            let raw = if genuine { 60.0 * unit() } else { 25.0 * unit() * unit() * unit() };
            // One comparison in twenty fails altogether, as a failed extraction does.
            let score = if unit() < 0.05 { 0.0 } else { (raw / grain).round() * grain };
            all.push(Comparison {
                genuine,
                probe: format!("p_{f}_{i}"),
                reference: format!("p_{g}_{j}"),
                score,
            });
        }
    }
    Scores(all)
}

#[test]
fn rates_equal_those_of_the_independent_scorer() {
    let Some(scorer) = scorer() else {
        println!("skipped: no ../shared/tools/score.py beside the repository");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let sets = [scores(1, 12, 1e-9), scores(2, 20, 0.5), scores(3, 3, 5.0)];
    let mut files = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let path = dir.path().join(format!("{number}.txt"));
        set.write(std::fs::File::create(&path).unwrap()).unwrap();
        files.push(path);
    }
    let output = match Command::new("python3").arg(&scorer).arg("--json").args(&files).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: no python3 to run the scorer with: {error}");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let same = |ours: Rates, theirs: &serde_json::Value| {
        for (key, value) in [
            ("EER", ours.eer),
            ("FMR100", ours.fmr100),
            ("FMR1000", ours.fmr1000),
            ("ZeroFMR", ours.zero_fmr),
        ] {
            assert_eq!(theirs[key].as_f64().unwrap(), value, "{key}");
        }
    };
    for (set, file) in sets.iter().zip(&files) {
        let rates = Rates::of(&set.genuine(), &set.impostor()).unwrap();
        same(rates, &theirs["files"][file.to_str().unwrap()]);
    }
    let pool = |pick: fn(&Scores) -> Vec<f64>| sets.iter().flat_map(pick).collect::<Vec<f64>>();
    same(Rates::of(&pool(Scores::genuine), &pool(Scores::impostor)).unwrap(), &theirs["pooled"]);
    // The intervals come of different draws: near each other, not equal.
    let (low, high) = interval(&sets.iter().collect::<Vec<_>>()).unwrap();
    let bound = |k: usize| theirs["pooled"]["FMR1000_90"][k].as_f64().unwrap();
    assert!((low - bound(0)).abs() < 2.5 && (high - bound(1)).abs() < 2.5, "{low} {high}");
}

#[test]
fn rates_of_the_fixed_vectors_stay_what_they_are() {
    // The figures of score.py for the same scores.
    let expected = [
        (scores(1, 12, 1e-9), EXPECTED[0]),
        (scores(2, 20, 0.5), EXPECTED[1]),
        (scores(3, 3, 5.0), EXPECTED[2]),
    ];
    for (set, [eer, fmr100, fmr1000, zero]) in expected {
        let rates = Rates::of(&set.genuine(), &set.impostor()).unwrap();
        for (ours, theirs) in [rates.eer, rates.fmr100, rates.fmr1000, rates.zero_fmr]
            .into_iter()
            .zip([eer, fmr100, fmr1000, zero])
        {
            assert!((ours - theirs).abs() < 1e-9, "{ours} is not {theirs}");
        }
    }
}

const EXPECTED: [[f64; 4]; 3] = [
    [16.687710437710436, 31.11111111111111, 40.55555555555556, 44.44444444444444],
    [13.688596491228072, 28.0, 39.0, 40.0],
    [28.51851851851852, 53.333333333333336, 53.333333333333336, 53.333333333333336],
];
