//! Replays are told from other impressions of the same finger, as `docs/matching/replay.md` says.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and says what it skips")]

use std::path::Path;

use authenteon_tests::{
    replay::{Replayed, measure},
    sets::Set,
};

fn measured(folder: &Path, every: usize) -> Replayed {
    measure(&Set::open(folder, None).unwrap(), every, &()).unwrap()
}

/// Of all ways that the check is made for, this share is caught, and of each of these at least so many in a hundred.
fn caught(sets: &[Replayed]) -> f64 {
    let all = sets.iter().flat_map(|set| &set.caught).filter(|way| way.claimed);
    let (caught, matching) = all.fold((0, 0), |(c, m), way| (c + way.caught, m + way.matching));
    caught as f64 / matching as f64
}

#[test]
fn no_impression_of_a_synthetic_finger_is_a_copy_of_another_and_copies_are() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let set = measured(&home.join("../firmware/fixtures/prints"), 1);
    assert_eq!((set.alarms.pairs, set.alarms.alarms), (6 * 6, 0));
    let caught = caught(&[set]);
    assert!(caught > 0.5, "{caught}");
}

#[test]
fn no_two_impressions_of_a_real_finger_are_copies_and_what_is_presented_again_is_caught() {
    let prints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/prints");
    if !prints.is_dir() {
        println!("skipped: the real prints are not there");
        return;
    }
    let names = ["FVC2002_DB1_B", "FVC2002_DB2_B", "FVC2002_DB3_B", "FVC2002_DB4_B"];
    let sets: Vec<Replayed> = names.iter().map(|name| measured(&prints.join(name), 16)).collect();
    for set in &sets {
        assert_eq!((set.alarms.pairs, set.alarms.alarms), (280, 0), "{}", set.set);
        let templates =
            set.caught.iter().filter(|way| way.name.starts_with("ISO") || way.name.starts_with("ANSI"));
        for way in templates.chain(set.caught.iter().filter(|way| way.name == "its template")) {
            assert_eq!(way.caught, way.matching, "{} of {}", way.name, set.set);
        }
    }
    let caught = caught(&sets);
    println!("{:.1} % of what is presented again is caught", 100.0 * caught);
    assert!(caught > 0.65, "{caught}");
}
