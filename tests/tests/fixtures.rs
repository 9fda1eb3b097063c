//! The committed prints are those that the generator makes, and are intact.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use authenteon_tests::{
    sets::{Manifest, Set, load, sha256},
    synthetic::{Conditions, Finger, VERSION},
};

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "firmware", "fixtures", "prints"].iter().collect()
}

#[test]
fn the_committed_prints_come_out_of_their_seeds_again_pixel_by_pixel() {
    let manifest = Manifest::read(&folder().join("manifest.toml")).unwrap();
    assert_eq!(manifest.generator, VERSION, "the generator changed: make the fixtures anew");
    assert_eq!(manifest.conditions, "good");
    let conditions = Conditions::good();
    let mut seeds: Vec<u64> = manifest.prints.iter().map(|p| p.seed).collect();
    seeds.dedup();
    assert_eq!(seeds.len(), 6);
    for seed in seeds {
        let finger = Finger::new(seed);
        let prints: Vec<_> = manifest.prints.iter().filter(|p| p.seed == seed).collect();
        assert_eq!(prints.len(), 4);
        for print in prints {
            let made = finger.impression(print.impression, &conditions);
            assert_eq!((made.width, made.height), (print.width, print.height), "{}", print.file);
            assert_eq!(made.dpi, manifest.dpi);
            assert_eq!(made.minutiae.len(), print.minutiae, "{}", print.file);
            assert_eq!(sha256(&made.pixels), print.pixels_sha256, "{}", print.file);
        }
    }
}

#[test]
fn the_committed_files_are_those_of_the_manifest() {
    let manifest = Manifest::read(&folder().join("manifest.toml")).unwrap();
    let set = Set::open(&folder(), None).unwrap();
    assert_eq!((set.prints.len(), set.dpi), (manifest.prints.len(), u32::from(manifest.dpi)));
    let mut total = 0;
    for print in &manifest.prints {
        let path = folder().join(&print.file);
        let bytes = std::fs::read(&path).unwrap();
        total += bytes.len();
        assert_eq!(sha256(&bytes), print.sha256, "{}", print.file);
        let (width, height, pixels) = load(&path).unwrap();
        assert_eq!((width, height), (print.width, print.height), "{}", print.file);
        assert_eq!(sha256(&pixels), print.pixels_sha256, "{}", print.file);
    }
    assert!(total < 2_500_000, "{total} bytes of fixtures");
}
