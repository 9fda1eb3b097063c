//! Laws of the comparison: what may change without changing the score, and what may not.

use super::*;
use crate::minutiae::{Minutia, MinutiaKind};

/// Forty minutiae at random but repeatable places, apart from each other, around (200, 200).
pub(crate) fn grove(seed: u64) -> Vec<Minutia> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = |range: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % range
    };
    let mut found: Vec<Minutia> = Vec::new();
    while found.len() < 40 {
        let (x, y) = (900 + next(2200) as u16, 900 + next(2200) as u16);
        let apart = |m: &Minutia| m.x.abs_diff(x) > 120 || m.y.abs_diff(y) > 120;
        let (angle, fork) = (next(256) as u8, next(2) == 0);
        if found.iter().all(apart) {
            let kind = if fork { MinutiaKind::Bifurcation } else { MinutiaKind::Ending };
            found.push(Minutia { x, y, angle, kind, quality: 80 });
        }
    }
    found
}

fn prepared(minutiae: Vec<Minutia>) -> Prepared {
    Prepared::new(&Template::new(400, 400, minutiae).unwrap())
}

/// Turned counter-clockwise on screen around the centre, `turn` in 1/256.
fn turned(minutiae: &[Minutia], turn: u8) -> Vec<Minutia> {
    let angle = -f32::from(turn) / 256.0 * std::f32::consts::TAU;
    let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
    minutiae
        .iter()
        .map(|m| {
            let (x, y) = (f32::from(m.x) - 2000.0, f32::from(m.y) - 2000.0);
            let tenths = |v: f32| (v + 2000.0).clamp(0.0, 3999.0) as u16;
            Minutia {
                x: tenths(cos * x - sin * y),
                y: tenths(sin * x + cos * y),
                angle: m.angle.wrapping_add(turn),
                ..*m
            }
        })
        .collect()
}

#[test]
fn a_print_resembles_itself_wherever_and_however_it_is_turned() {
    let original = grove(1);
    let myself = compare(&prepared(original.clone()), &prepared(original.clone())).get();
    let other = compare(&prepared(original.clone()), &prepared(grove(2))).get();
    // Cylinders of directions more than a quarter turn apart are not compared: no finger is put
    // down so, and impostors lose half of their chances.
    for turn in (0..=60).step_by(10) {
        let score = compare(&prepared(original.clone()), &prepared(turned(&original, turn))).get();
        assert!(score > 0.8 * myself, "turned by {turn}/256: {score} of {myself}");
        assert!(score > 2.0 * other, "turned by {turn}/256: {score}, an impostor {other}");
    }
}

#[test]
fn both_prints_turned_by_the_same_angle_score_the_same_up_to_rounding() {
    let (one, two) = (grove(3), turned(&grove(3), 12));
    let straight = compare(&prepared(one.clone()), &prepared(two.clone())).get();
    for turn in (0..=128).step_by(16) {
        let score = compare(&prepared(turned(&one, turn)), &prepared(turned(&two, turn))).get();
        assert!((score - straight).abs() < 0.12 * straight, "at {turn}/256: {score}, straight {straight}");
    }
}

#[test]
fn places_mirrored_without_their_angles_are_another_print() {
    let original = grove(4);
    let mirrored = original.iter().map(|m| Minutia { y: 4000 - m.y, ..*m }).collect();
    let myself = compare(&prepared(original.clone()), &prepared(original.clone())).get();
    let score = compare(&prepared(original), &prepared(mirrored)).get();
    assert!(score < 0.5 * myself, "{score} of {myself}");
}

#[test]
fn a_template_without_minutiae_resembles_nothing() {
    let empty = prepared(Vec::new());
    assert_eq!(compare(&empty, &prepared(grove(5))), Score::ZERO);
    assert_eq!(compare(&empty, &empty), Score::ZERO);
}

#[test]
fn the_best_view_counts() {
    let probe = prepared(grove(6));
    let views = [prepared(grove(7)), prepared(grove(6)), prepared(grove(8))];
    assert_eq!(compare_views(&probe, &views), compare(&probe, &views[1]));
    assert_eq!(compare_views(&probe, &[]), Score::ZERO);
}
