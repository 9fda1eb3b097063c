//! The appliance under test: what an administrator would see, in QEMU.
//!
//! Invariant: a check passes by what the box did, seen from outside: its port, its console, its disk.

mod at_rest;
mod box_under_test;
mod card;
mod clients;
mod faults;
mod jobs;
mod memory;
mod smoke;
mod storage;
mod table;
mod time;
mod updates;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use crate::{
    board::Board,
    build::{Built, Plan, Release, build},
    failure::{Failure, at},
};
use box_under_test::Bench;
use table::Table;

/// What to test.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// What boxes live through, beyond that they boot, are claimed, enrol and verify.
    pub(crate) faults: bool,
    /// Updates, and the Pi's layout.
    pub(crate) updates: bool,
    /// Where everything goes.
    pub(crate) out: PathBuf,
    /// How often the power is cut during an update.
    pub(crate) cuts: u32,
    /// The client program; built when there is none.
    pub(crate) client: Option<PathBuf>,
}

/// Two files hold the same bytes.
fn same(one: &Path, other: &Path) -> Result<(), Failure> {
    let open = |path: &Path| std::fs::File::open(path).map(BufReader::new).map_err(at(path));
    let (mut first, mut second) = (open(one)?, open(other)?);
    let mut from = 0;
    loop {
        let (a, b) = (first.fill_buf().map_err(at(one))?, second.fill_buf().map_err(at(other))?);
        let length = a.len().min(b.len());
        if a[..length] != b[..length] || a.is_empty() != b.is_empty() {
            let name = one.file_name().unwrap_or_default().display();
            return Err(Failure::Wrong(format!("{name}: the builds differ behind byte {from}")));
        }
        if length == 0 {
            return Ok(());
        }
        first.consume(length);
        second.consume(length);
        from += length;
    }
}

fn second_build(built: &Built, plan: &Plan, table: &mut Table) {
    table.check("a second build is the same: root, initramfs, boot folder, disk", || {
        let again = build(plan)?;
        [(&built.root, &again.root), (&built.boot, &again.boot), (&built.disk, &again.disk)]
            .into_iter()
            .try_for_each(|(one, other)| same(one, other))
    });
}

/// Builds, boots, tests, and prints a table.
pub(crate) fn test(selection: &Selection) -> Result<(), Failure> {
    // One authority, so that both boards have one root.
    let profile = if selection.faults { "release" } else { "smoke" };
    let plan = |board, folder: &str| Plan {
        board,
        profile,
        out: selection.out.join(folder),
        release: Release::of_this_tree(None, true),
        keyring: None,
        test_authority: selection.out.join("test-authority"),
        packages: selection.out.join("packages"),
        deaf: false,
    };
    // Before what takes minutes: a path that is wrong is told at once, and no check is charged for it.
    clients::use_program(selection.client.as_deref())?;
    let built = build(&plan(Board::Qemu, "qemu"))?;
    let many = if selection.faults { Some(memory::Programs::build()?) } else { None };
    let began = Instant::now();
    let bench = Bench::new(&selection.out.join("test"), &built)?;
    let mut table = Table::default();
    table.figure("squashfs", format!("{:.1} MB", built.squashfs_bytes as f64 / 1e6));
    // Of the release: what is built for a smoke test is larger.
    if selection.faults && built.squashfs_bytes > 12_000_000 {
        return Err(Failure::Wrong(format!(
            "the squashfs has {} bytes, more than 12 MB",
            built.squashfs_bytes
        )));
    }
    let update = plan(Board::Qemu, "qemu");
    // Beside the first box, which waits most of the time; but not beside the boots that are measured.
    let (claimed, bundles) = thread::scope(|scope| {
        let bundles =
            scope.spawn(|| selection.updates.then(|| updates::bundles(&update, &selection.out)).transpose());
        let claimed = smoke::all(&bench, &mut table)?;
        let bundles =
            bundles.join().map_err(|_| Failure::Wrong("the bundles were not made".to_owned()))??;
        Ok::<_, Failure>((claimed, bundles))
    })?;
    if let Some(claimed) = claimed {
        if selection.faults {
            // Before anything runs beside.
            smoke::boot_times(&claimed, &mut table);
        }
        let again = plan(Board::Qemu, "qemu-again");
        let mut jobs = Vec::new();
        if let Some(bundles) = &bundles {
            jobs.extend(updates::jobs(&bench, &claimed, bundles, selection.cuts));
        }
        if let Some(many) = &many {
            jobs.extend(faults::jobs(&bench, &claimed));
            jobs.push(Box::new(|table| memory::measure(many, &selection.out, table)));
            jobs.push(Box::new(|table| second_build(&built, &again, table)));
        }
        jobs::run(jobs, &mut table)?;
        if selection.updates {
            let pi = build(&plan(Board::Pi, "pi"))?;
            smoke::raspi(&bench, &pi, &mut table)?;
        }
    }
    table.figure("all of it, without compiling (s)", smoke::seconds(Some(began.elapsed())));
    table.print();
    table.verdict()
}
