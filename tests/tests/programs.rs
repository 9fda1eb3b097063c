//! The programs `synth`, `accuracy`, `scale`, `load` and `soak` as a person meets them: options, exit codes, files.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use std::{
    path::Path,
    process::{Command, Output},
};

fn accuracy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_accuracy")).args(arguments).output().unwrap()
}

fn synth(folder: &Path, fingers: &str, impressions: &str) -> Output {
    let options =
        ["--fingers", fingers, "--impressions", impressions, "--seed", "125", "--conditions", "good"];
    Command::new(env!("CARGO_BIN_EXE_synth")).arg(folder).args(options).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The exit code and what was said.
fn refusal(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn a_set_is_made_and_measured_with_scores_plot_histogram_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("prints");
    assert!(synth(&set, "2", "2").status.success());
    let (scores, plot, histogram) =
        (dir.path().join("out"), dir.path().join("det.svg"), dir.path().join("h.svg"));
    let output = accuracy(&[
        "--images",
        text(&set),
        "--scores",
        text(&scores),
        "--plot",
        text(&plot),
        "--histogram",
        text(&histogram),
        "--json",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["sets"][0]["name"], "prints");
    assert_eq!(report["sets"][0]["images"], 4);
    assert_eq!(report["pooled"]["fingers"], 2);
    let lines = std::fs::read_to_string(scores.join("prints.txt")).unwrap();
    assert_eq!(lines.lines().filter(|l| l.starts_with("G ")).count(), 2);
    assert_eq!(lines.lines().filter(|l| l.starts_with("I ")).count(), 4);
    assert!(lines.starts_with("G 125_1 125_2 "), "{lines}");
    for drawing in [plot, histogram] {
        assert!(std::fs::read_to_string(drawing).unwrap().ends_with("</svg>\n"));
    }
    let table = accuracy(&["--images", text(&set)]);
    assert!(String::from_utf8(table.stdout).unwrap().contains("FMR1000"));
}

#[test]
fn folders_that_cannot_be_measured_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = refusal(&accuracy(&["--images", text(&dir.path().join("missing"))]));
    assert_eq!(code, 66);
    assert!(said.contains("missing"), "{said}");

    let single = dir.path().join("single");
    assert!(synth(&single, "1", "2").status.success());
    let (code, said) = refusal(&accuracy(&["--images", text(&single)]));
    assert_eq!(code, 65);
    assert!(said.contains("one finger only"), "{said}");

    std::fs::write(single.join("thumb.png"), b"x").unwrap();
    let (code, said) = refusal(&accuracy(&["--images", text(&single)]));
    assert_eq!(code, 65);
    assert!(said.contains("thumb.png is not named <finger>_<impression>"), "{said}");

    std::fs::rename(single.join("thumb.png"), single.join("9_1.png")).unwrap();
    let (code, said) = refusal(&accuracy(&["--images", text(&single)]));
    assert_eq!(code, 65);
    assert!(said.contains("9_1.png"), "{said}");
}

#[test]
fn wrong_options_and_full_folders_have_exit_codes_of_their_own() {
    assert_eq!(refusal(&accuracy(&[])).0, 64);
    assert_eq!(refusal(&accuracy(&["--images", ".", "--dpi", "20"])).0, 64);
    let help = accuracy(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8(help.stdout).unwrap().contains("set.toml"));

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kept.txt"), b"x").unwrap();
    let output = synth(dir.path(), "1", "1");
    assert_eq!(output.status.code(), Some(73));
    assert!(String::from_utf8(output.stderr).unwrap().contains("choose an empty folder"));
}

fn scale(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scale")).args(arguments).output().unwrap()
}

#[test]
fn a_search_among_synthetic_fingers_is_measured_and_misses_the_same_every_time() {
    let measured = |more: &[&str]| -> serde_json::Value {
        let options = ["--gallery", "300", "--enrol", "2", "--searches", "20", "--json"];
        let output = scale(&[&options[..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (report, again) = (measured(&[]), measured(&["--brief", "--threads", "1"]));
    assert_eq!((&report["gallery"], &report["impressions"]), (&300.into(), &600.into()));
    for key in ["templates_per_s_build", "bytes_per_template", "search_ms_p50", "search_ms_p99"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report}");
    }
    assert!(!report["stages"].as_object().unwrap().is_empty());
    assert!(report["roof"]["percent"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["peer"]["lss"]["ratio"].as_f64().unwrap() > 0.0);
    assert!(report["peer"]["edges"]["us_per_comparison"].as_f64().unwrap() > 0.0);
    // Without a real finger nothing but the speed may be believed.
    assert_eq!((&report["label"], &report["probes"]), (&"speed only".into(), &"synthetic".into()));
    assert!(report["miss_exhaustive"].as_f64().unwrap() <= 20.0, "{report}");
    for key in ["miss_cascade", "miss_exhaustive", "misses"] {
        assert!(!report[key].is_null());
        assert_eq!(report[key], again[key], "{key}");
    }
    assert!(again["peer"].is_null());
}

#[test]
fn real_probes_are_hidden_among_synthetic_fingers_and_growth_is_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let (set, plot) = (dir.path().join("prints"), dir.path().join("growth"));
    assert!(synth(&set, "2", "2").status.success());
    let common = ["--searches", "10", "--json", "--probes", text(&set)];
    let output = scale(&[&["--gallery", "1010", "--brief", "--plot", text(&plot)], &common[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["gallery"], &report["misses"]["probes"]), (&1010.into(), &2.into()));
    assert!(std::fs::read_to_string(plot.join("scale.svg")).unwrap().ends_with("</svg>\n"));
    let all: serde_json::Value =
        serde_json::from_slice(&std::fs::read(plot.join("scale.json")).unwrap()).unwrap();
    let sizes: Vec<u64> = all.as_array().unwrap().iter().map(|r| r["gallery"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [1000, 1010]);

    let (code, said) = refusal(&scale(&[&["--gallery", "1"], &common[..]].concat()));
    assert_eq!(code, 64);
    assert!(said.contains("take --gallery 2 or more"), "{said}");
    let (code, said) = refusal(&scale(&[&["--gallery", "9", "--enrol", "2"], &common[..]].concat()));
    assert_eq!(code, 64);
    assert!(said.contains("smaller --enrol"), "{said}");
    assert_eq!(refusal(&scale(&["--gallery", "9", "--probes", "/nowhere/at/all"])).0, 66);
    assert_eq!(refusal(&scale(&[])).0, 64);
}

#[test]
fn a_load_of_verifications_is_measured_over_each_protocol() {
    let load = Path::new(env!("CARGO_BIN_EXE_load"));
    let daemon = load.with_file_name("authenteond");
    if !daemon.exists() {
        println!("skipped: {} is not built; --workspace builds it", daemon.display());
        return;
    }
    for (http, sample) in [("1", "image"), ("2", "template"), ("3", "template")] {
        let options =
            ["--rate", "5", "--seconds", "1", "--http", http, "--sample", sample, "--json", "--daemon"];
        let output = Command::new(load).args(options).arg(&daemon).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&figures["rate"], &figures["sent"], &figures["errors"]),
            (&5.into(), &5.into(), &0.into())
        );
        let figure = |name: &str| figures[name].as_f64().unwrap();
        assert!(figure("p50_ms") > 0.0 && figure("p50_ms") <= figure("p99_ms"), "{figures}");
        assert!(
            figure("p99_ms") <= figure("p999_ms") && figure("handshake_verify_ms_p50") > 0.0,
            "{figures}"
        );
        assert!(figure("rss_mb") > 1.0, "{figures}");
    }
    let output = Command::new(load).args(["--daemon", "/nowhere/authenteond"]).output().unwrap();
    assert_eq!(refusal(&output).0, 69);
}

#[test]
fn a_soak_with_faults_and_kills_ends_with_every_answer_in_the_audit_once() {
    let soak = Path::new(env!("CARGO_BIN_EXE_soak"));
    let daemon = soak.with_file_name("authenteond");
    if !daemon.exists() {
        println!("skipped: {} is not built; --workspace builds it", daemon.display());
        return;
    }
    let output =
        Command::new(soak).args(["--requests", "300", "--json", "--daemon"]).arg(&daemon).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("replay is off"), "{said}");
    let soaked: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
    assert_eq!(
        (&soaked["errors"], &soaked["missing"], &soaked["kills"]),
        (&0.into(), &0.into(), &3.into()),
        "{soaked}"
    );
    // Whether what the daemon holds grows is seen over many requests only: `tests/run load`.
    let count = |name: &str| soaked[name].as_u64().unwrap();
    assert!(count("decided") > 250 && count("records") > count("decided"), "{soaked}");
    let faults = soaked["faults"].as_array().unwrap();
    assert!(faults.len() > 3, "{soaked}");
}
