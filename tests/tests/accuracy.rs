//! Accuracy does not drop: the figures of the day with room for noise. A change that moves them further
//! down is a loss and must be argued for, here.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and says what it skips")]

use std::{num::NonZeroUsize, path::Path};

use authenteon_tests::{
    accuracy::{Pooled, Report, measure},
    sets::{Order, Set, write_set},
    synthetic::Conditions,
};

fn pooled(sets: &[Set], enrol: usize) -> Pooled {
    let enrol = NonZeroUsize::new(enrol).unwrap();
    let measured: Vec<_> = sets.iter().map(|set| measure(set, enrol, &()).unwrap()).collect();
    let figures = Report::of(&measured).unwrap().pooled;
    println!("{:.2} % EER, {:.2} % FNMR at FMR 0.1 %", figures.eer, figures.fmr1000);
    figures
}

fn real(names: &[&str]) -> Option<Vec<Set>> {
    let prints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/prints");
    if !prints.is_dir() {
        println!("skipped: the real prints are not there; the synthetic ones are measured all the same");
        return None;
    }
    Some(names.iter().map(|name| Set::open(&prints.join(name), None).unwrap()).collect())
}

const FVC2002: [&str; 4] = ["FVC2002_DB1_B", "FVC2002_DB2_B", "FVC2002_DB3_B", "FVC2002_DB4_B"];

#[test]
fn accuracy_on_fvc2002_does_not_drop() {
    let Some(sets) = real(&FVC2002) else { return };
    let one = pooled(&sets, 1);
    assert!(one.eer <= 1.6, "EER {}", one.eer);
    assert!(one.fmr1000 <= 3.2, "FNMR at FMR 0.1 % {}", one.fmr1000);
    let three = pooled(&sets, 3);
    assert!(three.fmr1000 <= 1.0, "with three impressions {}", three.fmr1000);
}

#[test]
fn accuracy_on_nt_crossmatch_does_not_drop() {
    let Some(sets) = real(&["NT_CrossMatch"]) else { return };
    let figures = pooled(&sets, 1);
    assert!(figures.fmr1000 <= 0.4, "FNMR at FMR 0.1 % {}", figures.fmr1000);
}

#[test]
fn accuracy_on_synthetic_prints_does_not_drop() {
    let dir = tempfile::tempdir().unwrap();
    let order = Order {
        fingers: 24,
        impressions: 4,
        seed: 5000,
        name: "hard".to_owned(),
        conditions: Conditions::hard(),
        truth: false,
        tight: false,
        threads: 2,
    };
    write_set(&dir.path().join("set"), &order, &|| ()).unwrap();
    let figures = pooled(&[Set::open(&dir.path().join("set"), None).unwrap()], 1);
    assert!(figures.eer <= 3.0, "EER {}", figures.eer);
    assert!(figures.fmr1000 <= 6.5, "FNMR at FMR 0.1 % {}", figures.fmr1000);
}
