//! What boxes live through: a root that rots, a card that breaks, a clock that forgot.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    Bench, at_rest,
    box_under_test::PATIENCE,
    clients::{Person, print},
    jobs::Job,
    smoke::{self, Claimed},
    storage,
    table::Table,
    time,
};
use crate::{
    failure::{Failure, at},
    machine::{Ended, Extent, Network, extent},
};

const ROOT_A: u8 = 5;
const DATA: u8 = 7;

/// Everything that needs no update.
pub(super) fn jobs<'a>(bench: &'a Bench, claimed: &'a Claimed) -> Vec<Job<'a>> {
    vec![
        Box::new(|table| time::all(bench, table)),
        Box::new(|table| storage::all(claimed, table)),
        Box::new(|table| at_rest::all(claimed, table)),
        Box::new(|table| of_the_card(claimed, table)),
        Box::new(|table| of_the_place(bench, claimed, table)),
    ]
}

fn of_the_card(claimed: &Claimed, table: &mut Table) {
    table.check("a flipped byte in the root restarts the box, and nothing answers", || flipped_byte(claimed));
    table.check("a damaged data partition is left as it is, said on the console, and no loop", || {
        damaged(claimed)
    });
}

fn of_the_place(bench: &Bench, claimed: &Claimed, table: &mut Table) {
    table.check("a claim code and an address by provision.toml, another address by network.toml", || {
        provisioned(bench)
    });
    table.check("a factory reset at the console: another box, that knows nobody", || reset(claimed));
    table.check("without a network the box waits for one and starts nothing over and over", || {
        without_network(bench)
    });
}

pub(super) fn flip(disk: &Path, offset: u64) -> Result<(), Failure> {
    let file = File::options().read(true).write(true).open(disk).map_err(at(disk))?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).map_err(at(disk))?;
    file.write_all_at(&[byte[0] ^ 1], offset).map_err(at(disk))
}

fn flipped_byte(claimed: &Claimed) -> Result<(), Failure> {
    let twin = claimed.twin("flipped")?;
    let root = extent(&twin.device.disk, ROOT_A)?;
    // The first block, which holds the superblock: it is read before anything runs.
    flip(&twin.device.disk, root.from + 9)?;
    let mut machine = twin.device.start("")?;
    let ended = machine.wait(PATIENCE)?;
    if ended != (Ended::Restart { trial: false }) {
        return Err(machine.fault(&format!("it ended by {ended:?}")));
    }
    if !machine.console.text().contains("is corrupted") {
        return Err(machine.fault("it did not say that a block is corrupted"));
    }
    Ok(())
}

fn damaged(claimed: &Claimed) -> Result<(), Failure> {
    let twin = claimed.twin("damaged")?;
    let data = extent(&twin.device.disk, DATA)?;
    let file = File::options().write(true).open(&twin.device.disk).map_err(at(&twin.device.disk))?;
    // The superblock, its copies and the first inodes: no cautious check repairs that.
    file.write_all_at(&vec![0xA5; 48 << 20], data.from).map_err(at(&twin.device.disk))?;
    drop(file);
    let before = digest(&twin.device.disk, data)?;
    let mut machine = twin.device.start("")?;
    machine.wait_for("FAILED: the data partition is damaged", PATIENCE)?;
    thread::sleep(Duration::from_secs(10));
    if machine.has_ended()? {
        return Err(machine.fault("it restarted"));
    }
    machine.cut();
    if digest(&twin.device.disk, data)? != before {
        return Err(Failure::Wrong("the damaged partition was written to".to_owned()));
    }
    Ok(())
}

fn digest(disk: &Path, part: Extent) -> Result<[u8; 32], Failure> {
    let file = File::open(disk).map_err(at(disk))?;
    let mut content = vec![0; usize::try_from(part.length).unwrap_or(0)];
    file.read_exact_at(&mut content, part.from).map_err(at(disk))?;
    Ok(Sha256::digest(&content).into())
}

/// A code of 80 bits and its SHA-256, as an administrator would choose them.
const CODE: &str = "7M4K-2QXT-9FHR-VW3D";
/// How the client program ends when the certificate is not of the authority that it trusts.
const NOT_THE_BOX: i32 = 78;
/// One that the network does not offer.
const ADDRESS: &str = "10.0.2.77";

fn provisioned(bench: &Bench) -> Result<(), Failure> {
    let mut device = bench.new_box("provisioned")?;
    let hash: String = Sha256::digest(CODE).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!(
        "version = 1\naddress = \"{ADDRESS}/24\"\ngateway = \"10.0.2.2\"\ncode-sha256 = \"{hash}\"\n"
    );
    device.put("provision.toml", &text)?;
    device.network = Network::At(ADDRESS);
    let mut machine = device.start("")?;
    machine.wait_live(PATIENCE)?;
    machine.wait_for("init: provision.toml is there", PATIENCE)?;
    machine.wait_for("--ca-sha256", PATIENCE)?;
    let digest = machine.console.after("--ca-sha256").unwrap_or_default();
    let digest = digest.split_whitespace().next().unwrap_or_default().to_owned();
    smoke::claim_with(&device, &machine, &digest, CODE)?;
    smoke::enrol(&device, &machine)?;
    machine.cut();
    // The card's file counts only until the claim; the address stays.
    device.put("provision.toml", "version = 1\naddress = \"10.0.2.99/24\"\n")?;
    device.start("")?.wait_live(PATIENCE)?;
    // What is not understood is said, and the address that was kept is taken.
    device.put("network.toml", "version = 1\naddress = \"10.0.2.99\"\n")?;
    let mut machine = device.start("")?;
    machine.wait_for("network.toml is not followed: address has the form", PATIENCE)?;
    machine.wait_live(PATIENCE)?;
    machine.cut();
    // An administrator with the card in hand moves a claimed box.
    device.put("network.toml", "version = 1\naddress = \"10.0.2.88/24\"\n")?;
    device.network = Network::At("10.0.2.88");
    device.start("")?.wait_live(PATIENCE).map(drop)
}

/// No network: the box waits for one, with the same daemon, and its finger readers work.
fn without_network(bench: &Bench) -> Result<(), Failure> {
    let mut device = bench.new_box("no-network")?;
    device.network = Network::None;
    let mut machine = device.start("authenteon.log=console")?;
    machine.wait_for("serving over TLS 1.3", PATIENCE)?;
    machine.wait_for("connect the network", PATIENCE)?;
    thread::sleep(Duration::from_secs(10));
    let started = machine.console.text().matches("serving over TLS 1.3").count();
    if machine.has_ended()? || started != 1 {
        return Err(machine.fault(&format!("the daemon was started {started} times")));
    }
    Ok(())
}

/// Whoever is at the console makes it a box as it was bought.
fn reset(claimed: &Claimed) -> Result<(), Failure> {
    let twin = claimed.twin("reset")?;
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    claimed.verifies(&machine)?;
    // It reads what is typed a little after it serves.
    let began = Instant::now();
    while !machine.console.text().contains("Type ERASE-") {
        if began.elapsed() > PATIENCE {
            return Err(machine.fault("nobody answers at the console"));
        }
        machine.type_line("reset")?;
        thread::sleep(Duration::from_secs(3));
    }
    let asked = machine.console.after("Type ").unwrap_or_default();
    machine.type_line(asked.split_whitespace().next().unwrap_or_default())?;
    let ended = machine.wait(PATIENCE)?;
    if ended != (Ended::Restart { trial: false }) {
        return Err(machine.fault(&format!("it ended by {ended:?}")));
    }
    let mut machine = twin.device.start("")?;
    machine.wait_for("factory reset done", PATIENCE)?;
    machine.wait_live(PATIENCE)?;
    let desk = Person { folder: &twin.device.folder, name: Some("desk") };
    let answer = desk.call(&machine, &["verify", &twin.subject, &print(125, 4)])?;
    if answer.code != NOT_THE_BOX {
        return Err(machine.fault(&format!("the former owner's station: code {}", answer.code)));
    }
    let device = twin.device.in_folder("reset-anew")?;
    smoke::claim(&device, &mut machine)?;
    let administrator = Person { folder: &device.folder, name: Some("administrator") };
    let subjects = administrator.call(&machine, &["subject", "list"])?.expect(0, "listing subjects")?;
    if subjects.to_string().contains(&twin.subject) {
        return Err(machine.fault(&format!("it still knows {subjects}")));
    }
    smoke::enrol(&device, &machine).map(drop)
}
