//! The appliance under test: what an administrator would see, in QEMU.
//!
//! Invariant: a check passes by what the box did, seen from outside: its port, its console, its disk.

mod box_under_test;
mod clients;
mod faults;
mod smoke;
mod table;
mod updates;

use std::path::PathBuf;

use crate::{
    board::Board,
    build::{Plan, Release, build},
    failure::Failure,
};
use box_under_test::Bench;
use table::Table;

/// What to test.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Only that it boots, is claimed, enrols and verifies.
    pub(crate) smoke: bool,
    /// Where everything goes.
    pub(crate) out: PathBuf,
    /// How often the power is cut during an update.
    pub(crate) cuts: u32,
}

/// Builds, boots, tests, and prints a table.
pub(crate) fn test(selection: &Selection) -> Result<(), Failure> {
    // One authority, so that both boards have one root.
    let plan = |board, folder: &str| Plan {
        board,
        out: selection.out.join(folder),
        release: Release::of_this_tree(None, true),
        keyring: None,
        test_authority: selection.out.join("test-authority"),
        packages: selection.out.join("packages"),
        without_daemon: false,
    };
    let built = build(&plan(Board::Qemu, "qemu"))?;
    let bench = Bench::new(&selection.out.join("test"), &built)?;
    let mut table = Table::default();
    table.figure("squashfs", format!("{:.1} MB", built.squashfs_bytes as f64 / 1e6));
    if built.squashfs_bytes > 12_000_000 {
        return Err(Failure::Wrong(format!(
            "the squashfs has {} bytes, more than 12 MB",
            built.squashfs_bytes
        )));
    }
    let mut claimed = smoke::all(&bench, &mut table)?;
    if !selection.smoke {
        faults::all(&bench, &mut claimed, &mut table)?;
        let bundles = updates::bundles(&plan(Board::Qemu, "qemu"), &selection.out)?;
        updates::all(&claimed, &bundles, selection.cuts, &mut table);
        let pi = build(&plan(Board::Pi, "pi"))?;
        smoke::raspi(&bench, &pi, &mut table)?;
    }
    table.print();
    table.verdict()
}
