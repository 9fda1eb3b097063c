//! `inspect` and `convert`, as their users meet them.

use std::path::{Path, PathBuf};

use authenteon_hal::{Dpi, decode::decode};
use authenteon_matcher::{Template, interchange};

use crate::support::{Run, ctl};

/// A synthetic print of the repository.
fn print() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/fixtures/prints/125_1.png")
}

fn run(arguments: &[&Path]) -> Run {
    let texts: Vec<&str> = arguments.iter().map(|path| path.to_str().unwrap()).collect();
    ctl(&texts)
}

#[test]
fn an_inspection_draws_every_step_and_the_minutiae() {
    let out = tempfile::tempdir().unwrap();
    let pictures = out.path().join("pictures");
    let inspect = ["--json", "inspect"].map(Path::new);
    let run = run(&[inspect[0], inspect[1], &print(), Path::new("--out"), &pictures]);
    assert_eq!(run.code, 0, "{run:?}");
    let told = run.json();
    assert!(told["minutiae"].as_u64().unwrap() >= 20 && told["quality"].as_u64().unwrap() >= 60, "{told}");
    let size = |name: &str| {
        let file = std::fs::read(pictures.join(name)).unwrap();
        let frame = decode(&file, Dpi::STANDARD).unwrap();
        (frame.width(), frame.height())
    };
    let (width, height) = size("1-normalised.png");
    assert_eq!(size("6-enhanced.png"), (width, height));
    assert_eq!(size("minutiae.png"), (3 * width, 3 * height));
    assert!(told["pictures"].as_array().unwrap().len() >= 10);
}

#[test]
fn a_picture_without_a_finger_says_so_and_shows_why() {
    let out = tempfile::tempdir().unwrap();
    let blank = out.path().join("blank.png");
    let white = authenteon_hal::Frame::new(200, 200, Dpi::STANDARD, vec![255; 40_000]).unwrap();
    std::fs::write(&blank, authenteon_hal::encode::png(&white).unwrap()).unwrap();
    let run = run(&[Path::new("inspect"), &blank, Path::new("--out"), &out.path().join("p")]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("no fingerprint") && run.err.contains("place a clean finger"), "{run:?}");
    assert!(out.path().join("p/2-mask.png").exists());
}

#[test]
fn a_print_becomes_every_format_and_back_with_the_same_minutiae() {
    let out = tempfile::tempdir().unwrap();
    let convert = Path::new("convert");
    let native = out.path().join("print.autm");
    assert_eq!(run(&[convert, &print(), &native]).code, 0);
    let template = Template::from_bytes(&std::fs::read(&native).unwrap()).unwrap();
    let count = template.minutiae().len();
    for name in ["print.iso", "print.iso2011", "print.ansi", "print.ansi2009"] {
        let (record, back) = (out.path().join(name), out.path().join(format!("{name}.autm")));
        let there = run(&[convert, &native, &record]);
        assert_eq!(there.code, 0, "{there:?}");
        assert!(there.out.contains(&format!("{count} minutiae")), "{there:?}");
        assert_eq!(run(&[convert, &record, &back]).code, 0);
        let again = Template::from_bytes(&std::fs::read(&back).unwrap()).unwrap();
        assert_eq!(again.minutiae().len(), count, "{name}");
        assert!(interchange::detect(&std::fs::read(&record).unwrap()).is_ok());
    }
    let card = out.path().join("print.card");
    assert_eq!(run(&[convert, &native, &card]).code, 0);
    assert_eq!(std::fs::read(&card).unwrap().len(), 3 * count);
    let picture = out.path().join("copy.png");
    assert_eq!(run(&[convert, &print(), &picture]).code, 0);
    let pixels = |path: &Path| decode(&std::fs::read(path).unwrap(), Dpi::STANDARD).unwrap();
    assert!(pixels(&picture) == pixels(&print()));
}

#[test]
fn what_is_there_is_replaced_only_by_force() {
    let out = tempfile::tempdir().unwrap();
    let there = out.path().join("precious.autm");
    std::fs::write(&there, b"precious").unwrap();
    let refused = run(&[Path::new("convert"), &print(), &there]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("--force"), "{refused:?}");
    assert_eq!(std::fs::read(&there).unwrap(), b"precious");
    assert_eq!(run(&[Path::new("convert"), &print(), &there, Path::new("--force")]).code, 0);
}

#[test]
fn damaged_records_are_refused_and_nothing_is_written() {
    let out = tempfile::tempdir().unwrap();
    let (record, target) = (out.path().join("print.iso"), out.path().join("x.autm"));
    assert_eq!(run(&[Path::new("convert"), &print(), &record]).code, 0);
    let whole = std::fs::read(&record).unwrap();
    let cut = out.path().join("cut.iso");
    for length in [0, 3, 20, 27, whole.len() - 1] {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let refused = run(&[Path::new("convert"), &cut, &target]);
        assert_eq!(refused.code, 1, "{length}: {refused:?}");
        assert!(!target.exists());
    }
    let nameless = run(&[Path::new("convert"), &record, &out.path().join("unknown")]);
    assert_eq!(nameless.code, 2, "{nameless:?}");
    assert!(nameless.err.contains("--to"), "{nameless:?}");
}
