//! What boxes live through: a root that rots, a card that breaks, a clock that forgot.

use std::{fs::File, os::unix::fs::FileExt, path::Path, process::Command, thread, time::Duration};

use sha2::{Digest, Sha256};

use super::{
    Bench,
    box_under_test::PATIENCE,
    smoke::{self, Claimed},
    table::Table,
};
use crate::{
    failure::{Failure, at, run},
    machine::{Ended, Extent, extent},
};

const ROOT_A: u8 = 5;
const DATA: u8 = 7;

pub(super) fn all(bench: &Bench, claimed: &mut Option<Claimed>, table: &mut Table) -> Result<(), Failure> {
    let Some(claimed) = claimed else { return Ok(()) };
    smoke::boot_times(claimed, table);
    table.check("a flipped byte in the root restarts the box, and nothing answers", || flipped_byte(claimed));
    table.check("a damaged data partition is left as it is, said on the console, and no loop", || {
        damaged(claimed)
    });
    table.check("a clock at 1970 is moved to the day of the image, and certificates are good", || {
        clock(bench)
    });
    table.check("a claim code of the administrator's own choice, by provision.toml", || provisioned(bench));
    Ok(())
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

fn clock(bench: &Bench) -> Result<(), Failure> {
    let mut device = bench.new_box("clock")?;
    device.clock = Some("1970-01-02");
    let mut machine = device.start("")?;
    machine.wait_live(PATIENCE)?;
    machine.wait_for("init: the clock stood at", PATIENCE)?;
    smoke::claim(&device, &mut machine)?;
    smoke::enrol(&device, &machine).map(drop)
}

/// A code of 80 bits and its SHA-256, as an administrator would choose them.
const CODE: &str = "7M4K-2QXT-9FHR-VW3D";

fn provisioned(bench: &Bench) -> Result<(), Failure> {
    let device = bench.new_box("provisioned")?;
    let first = extent(&device.disk, 1)?;
    let hash: String = Sha256::digest(CODE).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = device.folder.join("provision.toml");
    std::fs::write(&file, format!("version = 1\ncode-sha256 = \"{hash}\"\n")).map_err(at(&file))?;
    run(Command::new("mcopy")
        .arg("-i")
        .arg(format!("{}@@{}", device.disk.display(), first.from))
        .arg(&file)
        .arg("::provision.toml"))?;
    let mut machine = device.start("")?;
    machine.wait_live(PATIENCE)?;
    machine.wait_for("init: provision.toml is there", PATIENCE)?;
    machine.wait_for("--ca-sha256", PATIENCE)?;
    let digest = machine.console.after("--ca-sha256").unwrap_or_default();
    let digest = digest.split_whitespace().next().unwrap_or_default().to_owned();
    smoke::claim_with(&device, &machine, &digest, CODE)?;
    smoke::enrol(&device, &machine).map(drop)
}
