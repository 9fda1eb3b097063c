//! Templates of another vendor compare acceptably with ours: ISO/IEC 19794-2 records that the SecuGen
//! extractor made of FVC2002 set B, against each other and against our own templates of the same
//! prints. `docs/matching/interchange.md` states what this prints.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and says what it skips")]

use std::{f64::consts::TAU, path::Path};

use authenteon_matcher::{Dpi, Image, Minutia, Prepared, Template, compare, extract, interchange};
use authenteon_tests::{
    accuracy::{Rates, all_pairs},
    sets::{Set, load},
};

/// One print as both see it.
struct Both {
    finger: String,
    ours: Prepared,
    theirs: Prepared,
    /// The same, the stretch of the vendor's pictures taken out.
    theirs_in_place: Prepared,
}

/// The vendor's extractor was given pictures that somebody had resized to 300x400, whatever the shape of
/// the print: this is found by fitting the two sets of minutiae to each other (388x374 pixels became
/// 300x400, and so on). Their own templates do not suffer among themselves, since all are stretched
/// alike; to lie on ours they must go back.
fn unstretched(theirs: &Template, ours: &Template) -> Template {
    let across = f64::from(ours.width()) / f64::from(theirs.width());
    let down = f64::from(ours.height()) / f64::from(theirs.height());
    let back = |m: &Minutia| {
        let angle = f64::from(m.angle) * TAU / 256.0;
        let turned = libm::atan2(libm::sin(angle) * down, libm::cos(angle) * across).rem_euclid(TAU);
        Minutia {
            x: ((f64::from(m.x) * across) as u16).min(ours.width() * 10 - 1),
            y: ((f64::from(m.y) * down) as u16).min(ours.height() * 10 - 1),
            angle: ((turned / TAU * 256.0).round() as u32 % 256) as u8,
            ..*m
        }
    };
    let minutiae = theirs.minutiae().iter().map(back).collect();
    Template::from_minutiae(ours.width(), ours.height(), minutiae).unwrap()
}

fn both(set: &Set, records: &Path) -> Vec<Both> {
    set.prints
        .iter()
        .map(|print| {
            let (width, height, pixels) = load(&print.path).unwrap();
            let image = Image::new(width, height, Dpi::new(set.dpi).unwrap(), pixels).unwrap();
            let ours = extract(&image).unwrap().template;
            let bytes = std::fs::read(records.join(format!("{}.iso", print.name))).unwrap();
            let theirs = interchange::decode(&bytes).unwrap().views[0].template.clone();
            let in_place = unstretched(&theirs, &ours);
            Both {
                finger: print.finger.clone(),
                ours: Prepared::new(&ours),
                theirs: Prepared::new(&theirs),
                theirs_in_place: Prepared::new(&in_place),
            }
        })
        .collect()
}

/// Pooled rates of scores collected as (genuine, impostor).
fn told(name: &str, scores: &(Vec<f64>, Vec<f64>)) -> Rates {
    let rates = Rates::of(&scores.0, &scores.1).unwrap();
    println!("{name}: EER {:.2} %, FNMR at FMR 0.1 % {:.2} %", rates.eer, rates.fmr1000);
    rates
}

#[test]
fn another_vendor_s_templates_compare_with_each_other_and_with_ours() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !shared.join("iso").is_dir() {
        println!("skipped: the other vendor's templates are not there");
        return;
    }
    let mut scores = [const { (Vec::new(), Vec::new()) }; 3];
    for number in 1..=4 {
        let name = format!("FVC2002_DB{number}_B");
        let set = Set::open(&shared.join("prints").join(&name), None).unwrap();
        let prints = both(&set, &shared.join("iso").join(&name));
        for (i, j) in all_pairs(prints.len()) {
            let (a, b) = (&prints[i], &prints[j]);
            let genuine = a.finger == b.finger;
            let found = [
                compare(&a.theirs, &b.theirs),
                compare(&a.theirs_in_place, &b.ours),
                compare(&a.ours, &b.theirs_in_place),
            ];
            for (way, score) in [0, 1, 1].into_iter().zip(found) {
                let (g, i) = &mut scores[way];
                if genuine { g } else { i }.push(score.get());
            }
            let (g, i) = &mut scores[2];
            if genuine { g } else { i }.push(compare(&a.ours, &b.ours).get());
        }
    }
    let theirs = told("theirs against theirs", &scores[0]);
    let mixed = told("theirs against ours", &scores[1]);
    let ours = told("ours against ours", &scores[2]);
    // The calibration was made without them and holds all the same.
    let beyond = |limit: f64, scores: &[f64]| {
        scores.iter().filter(|&&s| s >= limit).count() as f64 / scores.len() as f64
    };
    assert!(beyond(30.0, &scores[0].1) <= 1e-3 && beyond(30.0, &scores[1].1) <= 1e-3);
    assert!(theirs.eer <= 3.5 && mixed.eer <= 3.5, "{theirs:?} {mixed:?}");
    assert!(ours.eer < theirs.eer && ours.eer < mixed.eer, "{ours:?}");
}
