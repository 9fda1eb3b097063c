//! Quality says how well a print will be recognised, and reasons say what to do about it.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and says what it skips")]

use std::{num::NonZeroUsize, path::Path};

use authenteon_matcher::{Dpi, Extraction, Image, QualityReason, extract};
use authenteon_tests::{
    accuracy::{deciles, measure},
    sets::Set,
    synthetic::{Conditions, Finger},
};

const FINGERS: std::ops::Range<u64> = 300..306;

fn extraction(pixels: Vec<u8>, conditions: &Conditions) -> Option<Extraction> {
    let image = Image::new(conditions.width, conditions.height, Dpi::STANDARD, pixels).unwrap();
    extract(&image).ok()
}

/// Reasons of one press of each finger, and the mean quality; no template has quality 0.
fn presses(conditions: &Conditions, spoil: impl Fn(Vec<u8>) -> Vec<u8>) -> (Vec<Vec<QualityReason>>, f64) {
    let (mut reasons, mut quality) = (Vec::new(), 0.0);
    for seed in FINGERS {
        let print = Finger::new(seed).impression(1, conditions);
        if let Some(found) = extraction(spoil(print.pixels), conditions) {
            quality += f64::from(found.quality);
            reasons.push(found.reasons);
        }
    }
    (reasons, quality / FINGERS.count() as f64)
}

fn share(reasons: &[Vec<QualityReason>], of: QualityReason) -> f64 {
    reasons.iter().filter(|r| r.contains(&of)).count() as f64 / reasons.len().max(1) as f64
}

#[test]
fn careful_presses_have_no_reason_to_be_repeated() {
    let (reasons, quality) = presses(&Conditions::good(), |pixels| pixels);
    let blamed = reasons.iter().filter(|r| !r.is_empty()).count();
    assert!(blamed <= 1, "{reasons:?}");
    assert!(quality > 80.0, "{quality}");
}

#[test]
fn dry_fingers_are_called_dry_and_wet_ones_wet() {
    let conditions = |moisture| Conditions { moisture, ..Conditions::good() };
    let width = Conditions::good().width as usize;
    // The generator keeps its driest ridges readable: a pixel is taken off their sides.
    let thin = |pixels: Vec<u8>| -> Vec<u8> {
        let at = |i: usize| pixels.get(i).copied().unwrap_or(255);
        (0..pixels.len())
            .map(|i| at(i).max(at(i + 1)).max(at(i.wrapping_sub(1))).max(at(i + width)))
            .collect()
    };
    let (dry, _) = presses(&conditions(-2.2), thin);
    let (wet, _) = presses(&conditions(2.6), |pixels| pixels);
    assert!(share(&dry, QualityReason::TooDry) >= 0.8, "{dry:?}");
    assert!(share(&wet, QualityReason::TooWet) >= 0.8, "{wet:?}");
    assert_eq!(share(&dry, QualityReason::TooWet), 0.0);
    assert_eq!(share(&wet, QualityReason::TooDry), 0.0);
}

#[test]
fn a_finger_that_moves_is_told_to_hold_still() {
    let conditions = Conditions::good();
    let width = conditions.width as usize;
    // The frame sums up what it saw while the finger slid down and to the right.
    let smear = |pixels: Vec<u8>| {
        let at = |x: usize, y: usize| u32::from(pixels[y.min(373) * width + x.min(width - 1)]);
        (0..pixels.len())
            .map(|i| (i % width, i / width))
            .map(|(x, y)| ((0..18).map(|k| at(x + k * 2 / 3, y + k)).sum::<u32>() / 18) as u8)
            .collect()
    };
    let (still, good) = presses(&conditions, |pixels| pixels);
    let (moved, bad) = presses(&conditions, smear);
    assert_eq!(share(&still, QualityReason::Moved), 0.0);
    assert!(share(&moved, QualityReason::Moved) >= 0.8, "{moved:?}");
    assert!(bad < good - 10.0, "{bad} of {good}");
}

#[test]
fn real_prints_of_low_quality_are_missed_more_often() {
    let prints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/prints");
    if !prints.is_dir() {
        println!("skipped: the real prints are not there");
        return;
    }
    let sets: Vec<_> = (1..=4)
        .map(|n| Set::open(&prints.join(format!("FVC2002_DB{n}_B")), None).unwrap())
        .map(|set| measure(&set, NonZeroUsize::MIN, &()).unwrap())
        .collect();
    let tenths = deciles(&sets);
    let mean = |range: std::ops::Range<usize>| tenths[range].iter().map(|d| d.fnmr).sum::<f64>();
    let (worse, better) = (mean(0..5), mean(5..10));
    assert!(worse > 5.0 * better, "{worse} {better}");
    assert!(tenths.windows(2).filter(|w| w[0].median <= w[1].median).count() >= 6, "{tenths:?}");
}
