//! Stores of many people: how long they start, and what they take in memory and on the disk.

use std::{
    env,
    marker::PhantomData,
    os::unix::process::ExitStatusExt,
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;
use tempfile::TempDir;

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

/// How often a start is measured; the median counts.
const STARTS: usize = 3;

/// Measures both with so many people, step by step by turns: what else the machine does meets both.
pub(crate) fn measure(people: u64) -> Result<Both, Failure> {
    let (ours, redb) = (Store::<Ours>::new(people)?, Store::<Redb>::new(people)?);
    let filled = (ours.fill()?, redb.fill()?);
    let disk_filled = (ours.taken()?, redb.taken()?);
    let after_stop = starts(&ours, &redb, false)?;
    let after_kill = starts(&ours, &redb, true)?;
    let tidied = (ours.tidy()?, redb.tidy()?);
    let disk_tidied = (ours.taken()?, redb.taken()?);
    Ok(Both {
        ours: Figures {
            filled: filled.0,
            after_stop: after_stop.0,
            after_kill: after_kill.0,
            tidied: tidied.0,
            disk_filled: disk_filled.0,
            disk_tidied: disk_tidied.0,
        },
        redb: Figures {
            filled: filled.1,
            after_stop: after_stop.1,
            after_kill: after_kill.1,
            tidied: tidied.1,
            disk_filled: disk_filled.1,
            disk_tidied: disk_tidied.1,
        },
    })
}

/// Starts both by turns, each time after it was stopped or killed.
fn starts(ours: &Store<Ours>, redb: &Store<Redb>, killed: bool) -> Result<(Served, Served), Failure> {
    let (mut of_ours, mut of_redb) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        of_ours.push(ours.start(killed)?);
        of_redb.push(redb.start(killed)?);
    }
    Ok((Served::median(of_ours)?, Served::median(of_redb)?))
}

/// A store on a disk, until it is dropped.
struct Store<E> {
    folder: TempDir,
    people: u64,
    engine: PhantomData<E>,
}

impl<E: Engine> Store<E> {
    fn new(people: u64) -> Result<Self, Failure> {
        Ok(Self { folder: disk::folder()?, people, engine: PhantomData })
    }

    fn fill(&self) -> Result<Filled, Failure> {
        parse(&self.child(Step::Fill, self.people)?.stdout)
    }

    fn start(&self, killed: bool) -> Result<Served, Failure> {
        if killed {
            // It enrols one more, and the next time the same one anew.
            self.child(Step::Die, self.people)?;
        }
        parse(&self.child(Step::Serve, self.people + u64::from(killed))?.stdout)
    }

    fn tidy(&self) -> Result<Tidied, Failure> {
        parse(&self.child(Step::Tidy, self.people)?.stdout)
    }

    fn taken(&self) -> Result<Taken, Failure> {
        let folder = self.folder.path();
        let part = |part: &&'static str| Ok((*part, disk::taken(&folder.join(part))?));
        let parts = E::PARTS.iter().map(part).collect::<Result<_, Failure>>()?;
        Ok(Taken { all: disk::taken(folder)?, parts })
    }

    /// Runs a step in a process of its own, to its end.
    fn child(&self, step: Step, people: u64) -> Result<Output, Failure> {
        eprintln!("{people} people, {}: {}", E::NAME, step.name());
        let output = Command::new(env::current_exe()?)
            .args([CHILD, E::NAME, step.name()])
            .arg(self.folder.path())
            .arg(people.to_string())
            .stderr(Stdio::inherit())
            .output()?;
        let killed = output.status.signal() == Some(Signal::KILL.as_raw());
        if output.status.success() || (step == Step::Die && killed) {
            return Ok(output);
        }
        Err(format!("{} with {people} people, {}: {}", E::NAME, step.name(), output.status).into())
    }
}
