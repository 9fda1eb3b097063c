//! The steps of a measurement that need a process of their own: so that memory is counted from nothing, nothing
//! is open, and one can die.
//!
//! Invariant: what a step found is one line of JSON on standard output.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::{
    process::{Signal, getpid, kill_process},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    engine::{Engine, Failure},
    memory,
    ours::Ours,
    redb::Redb,
    workload::People,
};

/// People of a change while a store is filled.
const TOGETHER: u64 = 1000;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Fills a new store, and stops it.
    Fill,
    /// Opens it until everybody is served and can be enrolled, and stops it.
    Serve,
    /// Opens it, enrols one more, and is killed.
    Die,
    /// Verifies and compacts it, and stops it.
    Tidy,
}

impl Step {
    const ALL: [Self; 4] = [Self::Fill, Self::Serve, Self::Die, Self::Tidy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Serve => "serve",
            Self::Die => "die",
            Self::Tidy => "tidy",
        }
    }
}

/// What filling took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Filled {
    pub(crate) filled: Duration,
    /// Bytes of a finger's value on average.
    pub(crate) finger_bytes: usize,
}

/// What a start took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Served {
    /// Until everybody was served.
    pub(crate) served: Duration,
    /// What processors worked until then, which depends less on what else the machine does.
    pub(crate) worked: Duration,
    /// Until people could be enrolled, too.
    pub(crate) enrolling: Duration,
    /// By how many bytes memory had grown when everybody was served.
    pub(crate) memory_served: u64,
    /// By how many when people could be enrolled, too.
    pub(crate) memory_enrolling: u64,
    /// By how many it ever was larger.
    pub(crate) memory_peak: u64,
}

impl Served {
    /// The one that was neither the fastest nor the slowest.
    pub(crate) fn median(mut starts: Vec<Self>) -> Result<Self, Failure> {
        starts.sort_by_key(|start| start.served);
        let middle = starts.len() / 2;
        starts.into_iter().nth(middle).ok_or_else(|| "nothing was started".into())
    }
}

/// What upkeep took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tidied {
    pub(crate) verified: Duration,
    pub(crate) compacted: Duration,
}

/// Runs a step: `ENGINE STEP FOLDER PEOPLE`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let [engine, step, folder, people] = arguments else { return Err("a child has four arguments".into()) };
    let step = Step::ALL.into_iter().find(|known| known.name() == step).ok_or("there is no such step")?;
    let (folder, people) = (Path::new(folder), people.parse()?);
    let found = match engine.as_str() {
        Ours::NAME => run_with::<Ours>(step, folder, people),
        Redb::NAME => run_with::<Redb>(step, folder, people),
        _ => Err("there is no such store".into()),
    };
    println!("{}", found?);
    Ok(())
}

/// What a child found.
pub(crate) fn parse<T: DeserializeOwned>(output: &[u8]) -> Result<T, Failure> {
    Ok(serde_json::from_slice(output)?)
}

fn run_with<E: Engine>(step: Step, folder: &Path, people: u64) -> Result<String, Failure> {
    let bar = bar(&format!("{} people, {}: {}", people, E::NAME, step.name()), people)?;
    let found = match step {
        Step::Fill => serde_json::to_string(&fill::<E>(folder, people, &bar)?),
        Step::Serve => serde_json::to_string(&serve::<E>(folder, people, &bar)?),
        Step::Die => return die::<E>(folder, people),
        Step::Tidy => serde_json::to_string(&tidy::<E>(folder)?),
    };
    bar.finish_and_clear();
    Ok(found?)
}

fn fill<E: Engine>(folder: &Path, count: u64, bar: &ProgressBar) -> Result<Filled, Failure> {
    let people = People::drawn()?;
    let engine = E::open(folder)?;
    let began = Instant::now();
    for first in (0..count).step_by(TOGETHER as usize) {
        let end = count.min(first + TOGETHER);
        engine.commit(&people.together(first..end)?)?;
        bar.set_position(end);
    }
    let filled = began.elapsed();
    Ok(Filled { filled, finger_bytes: people.finger_bytes() })
}

fn serve<E: Engine>(folder: &Path, people: u64, bar: &ProgressBar) -> Result<Served, Failure> {
    let before = memory::resident()?;
    let worked_before = worked();
    let began = Instant::now();
    let engine = E::open(folder)?;
    let gallery = engine.gallery(&|more| bar.inc(more))?;
    let served = began.elapsed();
    let worked = worked().saturating_sub(worked_before);
    let memory_served = memory::resident()?.saturating_sub(before);
    engine.wait_until_enrolling();
    let enrolling = began.elapsed();
    let memory_enrolling = memory::resident()?.saturating_sub(before);
    let memory_peak = memory::peak()?.saturating_sub(before);
    let found = gallery.fingers() as u64;
    if found < people {
        return Err(format!("{found} of {people} people are served").into());
    }
    Ok(Served { served, worked, enrolling, memory_served, memory_enrolling, memory_peak })
}

fn die<E: Engine>(folder: &Path, people: u64) -> Result<String, Failure> {
    let engine = E::open(folder)?;
    engine.wait_until_enrolling();
    engine.commit(&People::drawn()?.enrolment(people)?)?;
    kill_process(getpid(), Signal::KILL)?;
    Err("nobody survives that".into())
}

fn tidy<E: Engine>(folder: &Path) -> Result<Tidied, Failure> {
    let mut engine = E::open(folder)?;
    engine.wait_until_enrolling();
    let began = Instant::now();
    if !engine.verify()? {
        return Err("what was written is not what is read".into());
    }
    let verified = began.elapsed();
    let began = Instant::now();
    engine.compact()?;
    Ok(Tidied { verified, compacted: began.elapsed() })
}

/// What processors worked for this process.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Shows on a terminal how far it is, and elsewhere nothing.
fn bar(what: &str, people: u64) -> Result<ProgressBar, Failure> {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos} of {len}, {eta} left")?;
    let bar = ProgressBar::new(people).with_style(style).with_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
