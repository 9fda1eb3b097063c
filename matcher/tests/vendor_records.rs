//! Records that another vendor's extractor wrote: read whole, and refused when cut.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test reads files, says what it skips, and ends where it fails"
)]

use std::path::Path;

use authenteon_matcher::interchange::{Format, InterchangeError, decode, detect, encode};

fn records(folder: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/iso").join(folder);
    let Ok(entries) = std::fs::read_dir(&shared) else {
        println!("skipped: ../shared/data/iso/{folder} is not there");
        return None;
    };
    let mut found: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    Some(found)
}

#[test]
fn another_vendor_s_records_are_read_and_written_back_to_the_same_minutiae() {
    for set in ["FVC2002_DB1_B", "FVC2002_DB2_B", "FVC2002_DB3_B", "FVC2002_DB4_B"] {
        let Some(records) = records(set) else { return };
        for (name, bytes) in records {
            assert_eq!(detect(&bytes), Ok(Format::Iso2005), "{name}");
            let record = decode(&bytes).unwrap_or_else(|why| panic!("{set}/{name}: {why}"));
            assert_eq!(record.views.len(), 1);
            // The header's count of minutiae is the 28th byte.
            assert_eq!(record.views[0].template.minutiae().len(), usize::from(bytes[27]).min(128), "{name}");
            for format in [Format::Iso2005, Format::Iso2011, Format::Ansi2004, Format::Ansi2009] {
                let again = decode(&encode(&record, format).unwrap()).unwrap();
                let places = |r: &authenteon_matcher::interchange::Record| {
                    let mut all: Vec<_> =
                        r.views[0].template.minutiae().iter().map(|m| (m.x, m.y, m.kind as u8)).collect();
                    all.sort_unstable();
                    all
                };
                assert_eq!(places(&again), places(&record), "{set}/{name} as {format:?}");
            }
        }
    }
}

#[test]
fn records_cut_by_one_to_three_bytes_are_refused_as_truncated() {
    let Some(records) = records("invalid") else { return };
    for (name, bytes) in records {
        assert!(matches!(decode(&bytes), Err(InterchangeError::Truncated { missing: 1..=3 })), "{name}");
    }
}
