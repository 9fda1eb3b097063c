//! Stores of many people: how long they start, and what they take in memory and on the disk.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;

use crate::{
    CHILD,
    child::{Filled, Served, Step, Tidied, parse},
    disk,
    engine::{Engine, Failure},
    ours::Ours,
    redb::Redb,
};

/// What was measured of a store.
pub(crate) struct Figures {
    pub(crate) filled: Filled,
    pub(crate) after_stop: Served,
    pub(crate) after_kill: Served,
    pub(crate) tidied: Tidied,
    pub(crate) disk_filled: Taken,
    pub(crate) disk_tidied: Taken,
}

/// Bytes on the disk.
pub(crate) struct Taken {
    pub(crate) all: u64,
    pub(crate) parts: Vec<(&'static str, u64)>,
}

/// The same of both.
pub(crate) struct Both {
    pub(crate) ours: Figures,
    pub(crate) redb: Figures,
}

/// Measures both with so many people.
pub(crate) fn measure(people: u64) -> Result<Both, Failure> {
    Ok(Both { ours: figures::<Ours>(people)?, redb: figures::<Redb>(people)? })
}

fn figures<E: Engine>(people: u64) -> Result<Figures, Failure> {
    let folder = disk::folder()?;
    let folder = folder.path();
    let filled = parse(&child::<E>(Step::Fill, folder, people)?.stdout)?;
    let disk_filled = taken::<E>(folder)?;
    let after_stop = parse(&child::<E>(Step::Serve, folder, people)?.stdout)?;
    child::<E>(Step::Die, folder, people)?;
    let after_kill = parse(&child::<E>(Step::Serve, folder, people + 1)?.stdout)?;
    let tidied = parse(&child::<E>(Step::Tidy, folder, people)?.stdout)?;
    let disk_tidied = taken::<E>(folder)?;
    Ok(Figures { filled, after_stop, after_kill, tidied, disk_filled, disk_tidied })
}

fn taken<E: Engine>(folder: &Path) -> Result<Taken, Failure> {
    let part = |part: &&'static str| Ok((*part, disk::taken(&folder.join(part))?));
    let parts = E::PARTS.iter().map(part).collect::<Result<_, Failure>>()?;
    Ok(Taken { all: disk::taken(folder)?, parts })
}

/// Runs a step in a process of its own, to its end.
fn child<E: Engine>(step: Step, folder: &Path, people: u64) -> Result<Output, Failure> {
    eprintln!("{people} people, {}: {}", E::NAME, step.name());
    let output = Command::new(env::current_exe()?)
        .args([CHILD, E::NAME, step.name()])
        .arg(folder)
        .arg(people.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    let killed = output.status.signal() == Some(Signal::KILL.as_raw());
    if output.status.success() || (step == Step::Die && killed) {
        return Ok(output);
    }
    Err(format!("{} with {people} people, {}: {}", E::NAME, step.name(), output.status).into())
}
