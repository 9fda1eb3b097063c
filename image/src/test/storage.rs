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
/// Bytes of a block of the data partition.
const BLOCK: u64 = 4096;

pub(super) fn all(claimed: &Claimed, table: &mut Table) {
    table
        .check("the data partition grows to a larger card, and a power cut does no harm", || larger(claimed));
    table.check(
        "a full card: those enrolled are accepted, nobody new is enrolled; with room again they are",
        || full(claimed),
    );
    table.check("a store of a later version is refused, said on the console, and keeps every byte", || {
        of_a_later_version(claimed)
    });
}

/// What a larger card has more.
const MORE: u64 = 600 << 20;

/// The power is cut while it grows, or soon after; what was enrolled is there, and so is the room.
fn larger(claimed: &Claimed) -> Result<(), Failure> {
    let twin = claimed.twin("larger")?;
    let disk = std::fs::File::options().write(true).open(&twin.device.disk).map_err(at(&twin.device.disk))?;
    let length = disk.metadata().map_err(at(&twin.device.disk))?.len();
    disk.set_len(length + MORE).map_err(at(&twin.device.disk))?;
    drop(disk);
    let mut machine = twin.device.start("")?;
    machine.wait_for("init: the data partition has", PATIENCE)?;
    machine.cut();
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    twin.verifies(&machine)?;
    let health = administrator(&twin).call(&machine, &["health"])?.expect(0, "asking for its health")?;
    if health["ready"]["free_bytes"].as_u64().is_none_or(|free| free <= MORE) {
        return Err(machine.fault(&format!("it says {health}")));
    }
    machine.cut();
    Card::take(&twin.device.disk)?.put_back()
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
    let blocks = card.free()?.saturating_sub(LEFT) / BLOCK;
    let empty = twin.device.folder.join("empty");
    std::fs::write(&empty, "").map_err(at(&empty))?;
    card.write(&empty, "/filler")?;
    // The file's own tree takes some.
    card.debugfs(&format!("fallocate /filler 0 {}", blocks.saturating_sub(16)))?;
    let left = card.free()?;
    if left > 2 * LEFT {
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
