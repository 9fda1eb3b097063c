//! The constants in force are what the fit gives.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and says what it skips")]

use std::path::Path;

use authenteon_matcher::{
    CALIBRATED_FMR_FLOOR, Fmr,
    params::{FUSION_BIAS, FUSION_WEIGHTS, TAIL_ORIGIN, TAIL_SCALE},
};
use authenteon_tests::{
    calibration::{
        Between, FITTED_SETS, Half, Pair, Pairs, TOGETHER, Weights, fit, gather, half, tail, together,
    },
    sets::Set,
};

#[test]
fn the_weights_and_the_tail_in_force_are_those_that_the_seen_fingers_give() {
    let prints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/prints");
    if !prints.is_dir() {
        println!("skipped: the real prints are not there");
        return;
    }
    let sets: Vec<_> = FITTED_SETS
        .iter()
        .map(|name| gather(&Set::open(&prints.join(name), None).unwrap(), &()).unwrap())
        .collect();
    let seen: Vec<Vec<Pair>> = sets
        .iter()
        .map(|s| {
            let sees = |finger| half(&s.set, finger) == Half::Seen;
            s.pairs.iter().filter(|p| sees(p.probe) && sees(p.reference)).copied().collect()
        })
        .collect();
    let weights = fit(&seen).unwrap();
    for (fitted, used) in
        weights.terms.iter().chain([&weights.bias]).zip(FUSION_WEIGHTS.iter().chain([&FUSION_BIAS]))
    {
        assert!((fitted - used).abs() < 1e-4, "{fitted} is fitted, {used} is used");
    }
    let tails: Vec<_> = sets
        .iter()
        .map(|s| {
            let impostors = s.pairs.iter().filter(|p| !p.genuine);
            let scores: Vec<_> = impostors.map(|p| (p.probe, p.reference, weights.apply(&p.terms))).collect();
            tail(&scores).unwrap()
        })
        .collect();
    let quantile = TAIL_ORIGIN + TAIL_SCALE * 100.0_f64.ln();
    for tail in &tails {
        assert!(tail.quantile <= quantile + 0.01, "{tail:?}");
        assert!(tail.excess <= TAIL_SCALE + 0.01, "{tail:?}");
    }
    // Neither is far beyond what any set shows.
    assert!(tails.iter().any(|t| t.quantile_interval.1 >= quantile));
    assert!(tails.iter().any(|t| t.excess_interval.1 >= TAIL_SCALE));
    // The bound in force is that of the worst set, and not much more.
    for claimed in [1e-3, 1e-4, CALIBRATED_FMR_FLOOR.get()] {
        let evidence = TAIL_ORIGIN + TAIL_SCALE * (1.0 / claimed).ln();
        let worst = tails.iter().map(|t| t.upper(evidence)).fold(0.0, f64::max);
        let used = Fmr::new(claimed).unwrap().upper().get();
        println!("{claimed:.0e} claimed: at most {worst:.2e} with 95 % confidence, {used:.2e} used");
        assert!(worst <= used && used <= 1.3 * worst, "{claimed}: {worst} where {used} is used");
    }
    two_fingers_of_one_person_err_together_no_more_than_is_said(&sets, &weights);
}

fn two_fingers_of_one_person_err_together_no_more_than_is_said(sets: &[Pairs], weights: &Weights) {
    let comparisons = sets.iter().find_map(|set| Between::all_of(set, weights)).unwrap();
    let mut closest = 0.0_f64;
    for rate in [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4] {
        let found = together(&comparisons, rate).unwrap();
        let used = found.rate.powf(TOGETHER - 2.0);
        println!("{:.1e}: {:.2} to {:.2}, {used:.2} used", found.rate, found.interval.0, found.interval.1);
        assert!(found.interval.1 <= used, "{found:?}, {used} used");
        closest = closest.max(found.interval.1 / used);
    }
    assert!(closest > 0.9, "and it is not far beyond what is seen: {closest}");
}
