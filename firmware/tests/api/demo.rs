//! The demo: right on the built-in prints and on a folder, and wrong when the labels are.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{authenteond, text};

/// Runs the demo to its end: exit code and what it printed.
fn demo(arguments: &[&str]) -> (i32, Value) {
    let all = [&["demo", "--once", "--json", "--listen", "127.0.0.1:0"], arguments].concat();
    let output = authenteond(&all);
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{why}: {} {}", text(&output.stdout), text(&output.stderr)));
    assert!(!text(&output.stderr).contains("ERROR"), "{}", text(&output.stderr));
    (output.status.code().unwrap(), told)
}

/// A copy of the committed prints in a folder of their own.
fn prints() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prints");
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "png") {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

fn wrong(told: &Value) -> Vec<&str> {
    let steps = told["steps"].as_array().unwrap().iter();
    steps.filter(|s| s["ok"] == false).map(|s| s["step"].as_str().unwrap()).collect()
}

#[test]
fn every_decision_on_the_built_in_prints_is_right() {
    let (code, told) = demo(&[]);
    assert_eq!((code, &told["ok"]), (0, &Value::Bool(true)), "{told:#}");
    let steps = told["steps"].as_array().unwrap();
    assert!(steps.len() >= 10, "{told:#}");
    for step in steps {
        assert_eq!(step["expected"], step["actual"], "{step}");
        assert!(step["ms"].as_f64().unwrap() > 0.0, "{step}");
    }
    for kind in [
        "enrol",
        "a right finger",
        "a wrong finger",
        "identify an unannounced finger",
        "an officer",
        "a station",
        "a stranger",
    ] {
        assert!(steps.iter().any(|s| s["step"].as_str().unwrap().contains(kind)), "no step of {kind}");
    }
}

#[test]
fn swapped_labels_make_the_demo_fail_and_name_the_step() {
    let fingers = ["125", "126", "127", "128", "129", "130"];
    // Any impression of any finger may be the one with the wrong label.
    for (at, impression) in [(0, 4), (1, 4), (2, 1), (3, 2), (4, 3), (4, 4)] {
        let folder = prints();
        let (one, two) = (fingers[at], fingers[(at + 1) % fingers.len()]);
        let file = |finger: &str| folder.path().join(format!("{finger}_{impression}.png"));
        let aside = folder.path().join("aside");
        fs::rename(file(one), &aside).unwrap();
        fs::rename(file(two), file(one)).unwrap();
        fs::rename(&aside, file(two)).unwrap();
        let (code, told) = demo(&["--frames", folder.path().to_str().unwrap()]);
        assert_eq!((code, &told["ok"]), (1, &Value::Bool(false)), "{one} {two} {impression}: {told:#}");
        let wrong = wrong(&told);
        assert!(
            !wrong.is_empty() && wrong.iter().all(|step| step.contains(one) || step.contains(two)),
            "{impression}: {wrong:?}"
        );
    }
}

#[test]
fn a_folder_with_too_few_impressions_is_refused_with_what_is_missing() {
    let folder = prints();
    fs::remove_file(folder.path().join("126_4.png")).unwrap();
    let output = authenteond(&[
        "demo",
        "--once",
        "--listen",
        "127.0.0.1:0",
        "--frames",
        folder.path().to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(65));
    let why = text(&output.stderr);
    assert!(why.contains("finger 126 has 3 impressions"), "{why}");
}

#[test]
fn a_folder_of_real_fingers_is_right_too() {
    let fingers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/prints/FVC2002_DB1_B");
    if !fingers.exists() {
        println!("skipped: ../shared/data/prints/FVC2002_DB1_B is not there");
        return;
    }
    let (code, told) = demo(&["--frames", fingers.to_str().unwrap()]);
    assert_eq!(code, 0, "{told:#}");
}
