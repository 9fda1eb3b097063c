//! What every comparison must keep: it does not care where and how a finger was put down.

use super::*;
use crate::minutiae::{Minutia, MinutiaKind};
use proptest::prelude::*;

/// Minutiae scattered over a disc of 200 pixels, at least 14 apart.
fn finger(seed: u64, count: usize) -> Vec<Minutia> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut out: Vec<Minutia> = Vec::new();
    while out.len() < count {
        let (x, y) = (random(2000) as i32 - 1000, random(2000) as i32 - 1000);
        let apart = |m: &Minutia| {
            let (dx, dy) = (i32::from(m.x) - 4000 - x, i32::from(m.y) - 4000 - y);
            dx * dx + dy * dy > 140 * 140
        };
        if x * x + y * y <= 1000 * 1000 && out.iter().all(apart) {
            out.push(Minutia {
                x: (4000 + x) as u16,
                y: (4000 + y) as u16,
                angle: random(256) as u8,
                kind: if random(2) == 0 { MinutiaKind::Ending } else { MinutiaKind::Bifurcation },
                quality: 50 + random(50) as u8,
            });
        }
    }
    out
}

/// Turned counter-clockwise on screen about the middle, then moved, in tenths of a pixel.
fn moved(minutiae: &[Minutia], turn: u8, dx: i32, dy: i32) -> Prepared {
    let a = f64::from(turn) * std::f64::consts::TAU / 256.0;
    let (s, c) = (libm::sin(a), libm::cos(a));
    let place = |v: f64| (v + 4000.5) as i32;
    let list = minutiae
        .iter()
        .map(|m| {
            let (x, y) = (f64::from(m.x) - 4000.0, f64::from(m.y) - 4000.0);
            Minutia {
                x: (place(c * x + s * y) + dx) as u16,
                y: (place(c * y - s * x) + dy) as u16,
                angle: m.angle.wrapping_add(turn),
                ..*m
            }
        })
        .collect();
    Prepared::new(&Template::new((800, 800), list))
}

#[test]
fn turning_and_moving_a_print_keeps_its_cylinders() {
    let minutiae = finger(7, 40);
    let still = moved(&minutiae, 0, 0, 0);
    for turn in (0..=128u8).step_by(8) {
        let other = moved(&minutiae, turn, 300, -250);
        assert_eq!(still.cylinders.len(), other.cylinders.len());
        let ones = |p: &Prepared| p.cylinders.iter().flat_map(|c| c.layers).map(u64::count_ones).sum::<u32>();
        let (a, b) = (f64::from(ones(&still)), f64::from(ones(&other)));
        assert!((a / b - 1.0).abs() < 0.01, "turn {turn}: {a} {b}");
    }
}

#[test]
fn the_score_does_not_change_when_both_prints_turn_by_any_angle() {
    let minutiae = finger(3, 36);
    let still = moved(&minutiae, 0, 0, 0);
    let alone = compare(&still, &still).get();
    for turn in (0..=128u8).step_by(4) {
        let other = moved(&minutiae, turn, -150, 200);
        assert!((compare(&other, &other).get() / alone - 1.0).abs() < 0.02, "turn {turn}");
        if turn <= 60 {
            let crossed = compare(&still, &other).get();
            assert!(crossed > 0.9 * alone, "turn {turn}: {crossed} of {alone}");
        }
    }
}

#[test]
fn a_mirrored_print_is_another_finger() {
    let minutiae = finger(5, 36);
    let mirrored: Vec<Minutia> =
        minutiae.iter().map(|m| Minutia { y: 8000 - m.y, angle: m.angle.wrapping_neg(), ..*m }).collect();
    // Negating y without the angle: the classical mistake.
    let half: Vec<Minutia> = minutiae.iter().map(|m| Minutia { y: 8000 - m.y, ..*m }).collect();
    let still = moved(&minutiae, 0, 0, 0);
    for other in [mirrored, half] {
        let score = compare(&still, &moved(&other, 0, 0, 0)).get();
        assert!(score < 20.0, "{score}");
    }
}

#[test]
fn different_fingers_score_low_and_one_finger_scores_high() {
    for seed in 0..12 {
        let (a, b) = (moved(&finger(seed, 35), 0, 0, 0), moved(&finger(seed + 100, 35), 0, 0, 0));
        assert!(compare(&a, &b).get() < 25.0);
        assert!(compare(&a, &a).get() > 60.0);
    }
}

#[test]
fn templates_without_enough_minutiae_score_nothing() {
    let full = moved(&finger(1, 30), 0, 0, 0);
    for count in 0..3 {
        let few = moved(&finger(1, count), 0, 0, 0);
        assert!(compare(&few, &full).get() < 10.0);
        assert!(compare(&full, &few).get() < 10.0);
        assert!(compare(&few, &few).get() < 10.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_two_templates_give_a_finite_score(
        a in proptest::collection::vec((0u16..3000, 0u16..3000, any::<u8>(), any::<bool>(), 0u8..=100), 0..128),
        b in proptest::collection::vec((0u16..300, 0u16..3000, 0u8..4, any::<bool>(), 0u8..=100), 0..128),
    ) {
        let template = |list: Vec<(u16, u16, u8, bool, u8)>| {
            let minutiae = list.into_iter().map(|(x, y, angle, fork, quality)| {
                let kind = if fork { MinutiaKind::Bifurcation } else { MinutiaKind::Ending };
                Minutia { x, y, angle, kind, quality }
            });
            Prepared::new(&Template::new((300, 300), minutiae.collect()))
        };
        let (a, b) = (template(a), template(b));
        for score in [compare(&a, &b), compare(&b, &a), compare(&a, &a)] {
            prop_assert!(score.get().is_finite() && score.get() >= 0.0);
        }
    }
}
