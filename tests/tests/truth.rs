//! The extractor finds the true minutiae of synthetic prints.
//!
//! A true minutia is found when an extracted one lies within 12 pixels and 22.5 degrees of it; each
//! extracted minutia serves one true one, nearest first. The kind does not count: pressure turns
//! endings into bifurcations and back.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use std::f32::consts::{PI, TAU};

use authenteon_matcher::{Dpi, Image, extract};
use authenteon_tests::synthetic::{Conditions, Finger, TrueMinutia};

const DISTANCE: f32 = 12.0;
const ANGLE: f32 = PI / 8.0;

/// A minutia as the extractor gives it, in the units of the truth.
struct Found {
    x: f32,
    y: f32,
    angle: f32,
}

fn extracted(pixels: Vec<u8>, width: u32, height: u32) -> Vec<Found> {
    let image = Image::new(width, height, Dpi::STANDARD, pixels).unwrap();
    let template = extract(&image).unwrap().template;
    template
        .minutiae()
        .iter()
        .map(|m| Found {
            x: f32::from(m.x) / 10.0,
            y: f32::from(m.y) / 10.0,
            angle: f32::from(m.angle) * TAU / 256.0,
        })
        .collect()
}

/// How many of the true minutiae were found, one for one.
fn hits(truth: &[TrueMinutia], found: &[Found]) -> usize {
    let mut pairs = Vec::new();
    for (t, m) in truth.iter().enumerate() {
        for (f, n) in found.iter().enumerate() {
            let far = ((m.x - n.x).powi(2) + (m.y - n.y).powi(2)).sqrt();
            let turned = (m.angle - n.angle).rem_euclid(TAU);
            if far <= DISTANCE && turned.min(TAU - turned) <= ANGLE {
                pairs.push((far, t, f));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut true_taken, mut found_taken) = (vec![false; truth.len()], vec![false; found.len()]);
    let mut hits = 0;
    for (_, t, f) in pairs {
        if !true_taken[t] && !found_taken[f] {
            (true_taken[t], found_taken[f]) = (true, true);
            hits += 1;
        }
    }
    hits
}

/// Shares of the truth that is found and of what is found that is true, over fingers and presses.
fn recall_and_precision(seeds: std::ops::Range<u64>, presses: u64, conditions: &Conditions) -> (f64, f64) {
    let (mut hit, mut truth, mut found) = (0, 0, 0);
    for seed in seeds {
        let finger = Finger::new(seed);
        for press in 1..=presses {
            let print = finger.impression(press, conditions);
            let minutiae = extracted(print.pixels, print.width, print.height);
            hit += hits(&print.minutiae, &minutiae);
            truth += print.minutiae.len();
            found += minutiae.len();
        }
    }
    (hit as f64 / truth as f64, hit as f64 / found as f64)
}

#[test]
fn extraction_finds_85_of_100_true_minutiae_at_good_quality() {
    let (recall, precision) = recall_and_precision(200..212, 2, &Conditions::good());
    println!("good: recall {:.1} %, precision {:.1} %", 100.0 * recall, 100.0 * precision);
    assert!(recall >= 0.85, "recall {recall:.3}");
}

#[test]
fn an_angle_turned_by_half_is_not_found_so_the_test_can_fail() {
    let print = Finger::new(200).impression(1, &Conditions::good());
    let mut minutiae = extracted(print.pixels, print.width, print.height);
    let straight = hits(&print.minutiae, &minutiae);
    for m in &mut minutiae {
        m.angle += PI;
    }
    let turned = hits(&print.minutiae, &minutiae);
    assert!(turned * 4 < straight, "{turned} of {straight}");
}
