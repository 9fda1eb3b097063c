//! Fills the store of a box that is off with subjects of one finger each: to measure what many of them cost.
//!
//! `cargo run --release -p authenteon --example fill_store -- STORE COUNT`
//!
//! It writes what enrolment writes, but no audit records, and every template is one of twenty: memory and the
//! time of a start do not know the difference, a search would.

use std::{error::Error, path::Path, process::ExitCode};

use authenteon::{
    clock::{Clock, SystemClock},
    sample::Sample,
    store::{Change, DiskStore, Store, Table},
    subject::{FingerPosition, SubjectId},
};
use authenteon_hal::Dpi;

/// Subjects of a commit.
const BATCH: u32 = 1000;

fn main() -> ExitCode {
    match fill() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fill_store: {why}");
            ExitCode::FAILURE
        }
    }
}

fn fill() -> Result<(), Box<dyn Error>> {
    let usage = "usage: fill_store STORE COUNT";
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or(usage)?;
    let count: u32 = arguments.next().ok_or(usage)?.parse()?;
    let views = views()?;
    let store = DiskStore::open(Path::new(&folder))?;
    let created = SystemClock.now();
    for first in (0..count).step_by(BATCH as usize) {
        let mut changes = Vec::new();
        for number in first..count.min(first + BATCH) {
            let id = SubjectId::random();
            let mut key = id.as_bytes().to_vec();
            let subject = serde_json::json!({
                "name": format!("Filler {number}"),
                "created": created.to_string(),
                "fingers": [{ "position": FingerPosition::RightIndex, "impressions": 1, "quality": 80 }],
            });
            let value = serde_json::to_vec(&subject)?;
            changes.push(Change::Put { table: Table::Subjects, key: key.clone(), value });
            key.push(FingerPosition::RightIndex.code());
            let value = views[number as usize % views.len()].clone();
            changes.push(Change::Put { table: Table::Fingers, key, value });
        }
        store.commit(&changes)?;
    }
    Ok(())
}

/// The templates of the fixtures, as the store keeps a finger of one view: its length, and it.
fn views() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prints");
    let mut views = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "png") {
            let sample = Sample::Encoded { bytes: std::fs::read(path)?, dpi: Dpi::STANDARD };
            let template = sample.examine()?.extraction.template.to_bytes();
            let mut view = u16::try_from(template.len())?.to_be_bytes().to_vec();
            view.extend(template);
            views.push(view);
        }
    }
    Ok(views)
}
