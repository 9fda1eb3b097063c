//! A store that this version cannot write to: the card is full, or the store is of a later version.

use std::{thread, time::Duration};

use super::{
    box_under_test::PATIENCE,
    card::Card,
    clients::{Person, print},
    smoke::Claimed,
    table::Table,
};
use crate::{
    failure::{Failure, at},
    machine::Machine,
};

const STORE: &str = "/authenteon/store";
/// What is left on a full card: less than the store would write.
const LEFT: u64 = 256 << 10;

pub(super) fn all(claimed: &Claimed, table: &mut Table) {
    table.check(
        "a full card: those enrolled are accepted, nobody new is enrolled; with room again they are",
        || full(claimed),
    );
    table.check("a store of a later version is refused, said on the console, and keeps every byte", || {
        of_a_later_version(claimed)
    });
}

fn administrator(claimed: &Claimed) -> Person<'_> {
    Person { folder: &claimed.device.folder, name: Some("administrator") }
}

fn enrols_bob(claimed: &Claimed, machine: &Machine) -> Result<(), Failure> {
    let made = administrator(claimed)
        .call(machine, &["subject", "create", "Bob"])?
        .expect(0, "creating a subject")?;
    let subject = made["subject_id"].as_str().unwrap_or_default().to_owned();
    let [one, two, three] = [1, 2, 3].map(|impression| print(126, impression));
    administrator(claimed)
        .call(machine, &["finger", "enrol", &subject, "right-index", &one, &two, &three])?
        .expect(0, "enrolling")
        .map(drop)
}

fn full(claimed: &Claimed) -> Result<(), Failure> {
    let twin = claimed.twin("full")?;
    let card = Card::take(&twin.device.disk)?;
    let blocks = (card.free()?.saturating_sub(LEFT)) / 1024;
    let empty = twin.device.folder.join("empty");
    std::fs::write(&empty, "").map_err(at(&empty))?;
    card.write(&empty, "/filler")?;
    // In blocks of the file system, which has some for its own trees.
    let size = 1024 * blocks / 4096;
    card.debugfs(&format!("fallocate /filler 0 {}", size.saturating_sub(64)))?;
    let left = card.free()?;
    if left > 2 * LEFT + (1 << 20) {
        return Err(Failure::Wrong(format!("{left} bytes are left")));
    }
    card.put_back()?;
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    twin.verifies(&machine)?;
    let refused = administrator(&twin).call(&machine, &["subject", "create", "Bob"])?;
    if refused.code == 0 || !refused.said.contains("full") {
        return Err(machine.fault(&format!("it ended with code {}: {}", refused.code, refused.said)));
    }
    let health = administrator(&twin).call(&machine, &["health"])?.expect(0, "asking for its health")?;
    let free = health["ready"]["free_bytes"].as_u64();
    if free.is_none_or(|free| free >= 24 << 20) {
        return Err(machine.fault(&format!("it says {health}")));
    }
    machine.cut();
    let card = Card::take(&twin.device.disk)?;
    card.debugfs("rm /filler")?;
    card.put_back()?;
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    enrols_bob(&twin, &machine)?;
    twin.verifies(&machine)
}

fn of_a_later_version(claimed: &Claimed) -> Result<(), Failure> {
    let twin = claimed.twin("later")?;
    let mark = twin.device.folder.join("format");
    std::fs::write(&mark, "authenteon-store 7\n").map_err(at(&mark))?;
    let card = Card::take(&twin.device.disk)?;
    card.debugfs(&format!("rm {STORE}/format"))?;
    card.write(&mark, &format!("{STORE}/format"))?;
    card.put_back()?;
    let before = store(&twin, "before")?;
    let mut machine = twin.device.start("")?;
    machine.wait_for("FAILED, nothing is served: the store was written by a later version (7)", PATIENCE)?;
    thread::sleep(Duration::from_secs(5));
    if machine.has_ended()? {
        return Err(machine.fault("it restarted"));
    }
    machine.cut();
    if store(&twin, "after")? != before {
        return Err(Failure::Wrong("the store was changed".to_owned()));
    }
    Ok(())
}

/// The files of the store, by their names.
fn store(claimed: &Claimed, name: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let card = Card::take(&claimed.device.disk)?;
    let folder = claimed.device.folder.join(name);
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;
    card.debugfs(&format!("rdump {STORE} {}", folder.display()))?;
    let folder = folder.join("store");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
        let path = entry.map_err(at(&folder))?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(at(&path))?;
            files.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes));
        }
    }
    files.sort();
    if files.len() < 3 {
        return Err(Failure::Wrong(format!("the store has {} files", files.len())));
    }
    Ok(files)
}
