//! What a gallery of many fingers costs: its filling, its memory, and how long searches and enrolments wait for
//! each other.
//!
//! `cargo run --release -p authenteon --example gallery -- [FINGERS] [SECONDS]`
//!
//! Fingers of one impression each, all different and drawn by chance: about 45 minutiae along a smooth flow. Their
//! count and size are those of real ones, so time and memory are; how well they are told apart says nothing.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod drawn;

use std::{
    error::Error,
    fs,
    hint::black_box,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use authenteon::{
    gallery::{FingerKey, SharedGallery, fill},
    store::{StoreError, Table, ValueRef},
};
use authenteon_matcher::{
    Prepared, Template,
    search::{Finger, Gallery},
};

use self::drawn::{Random, key, native, stored_key, value};

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gallery: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let cores = thread::available_parallelism()?.get();
    println!("{count} fingers of one impression, {cores} cores");

    let stored = Stored::drawn(count, cores)?;
    println!("a value in the store: {} bytes on average", stored.bytes.len() / count.max(1));

    let before = resident()?;
    let began = Instant::now();
    let gallery = stored.filled(count)?;
    let took = began.elapsed();
    let grown = resident()?.saturating_sub(before);
    println!("filled from values in memory: {took:.2?}");
    println!("resident memory grew by {} kB: {} bytes a finger", grown, grown * 1024 / count.max(1));
    let shared = Arc::new(SharedGallery::new(gallery));

    let mut snapshots = timed(10_000, || shared.snapshot());
    report("a snapshot, nothing else going on", &mut snapshots);
    let mut more = newcomers(count)?;
    let mut inserts = timed(1000, || insert(&shared, &mut more));
    report("an insert, nothing else going on", &mut inserts);

    // They end with the program: a search of a million fingers takes minutes.
    for seed in 0..cores as u64 {
        let (shared, probe) = (Arc::clone(&shared), Prepared::new(&template(u64::MAX - seed)?));
        thread::spawn(move || {
            loop {
                black_box(shared.snapshot().search(&probe, 11));
            }
        });
    }
    // By turns with work that takes no lock, which tells what the scheduler alone does.
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut inserts, mut controls) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        inserts.extend(timed(1, || insert(&shared, &mut more)));
        thread::sleep(Duration::from_millis(1));
        controls.extend(timed(1, compute));
        thread::sleep(Duration::from_millis(1));
    }
    report(&format!("an insert while {cores} threads search"), &mut inserts);
    report("as long a computation that takes no lock, by turns", &mut controls);

    let stop = Arc::new(AtomicBool::new(false));
    let inserting = {
        let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                insert(&shared, &mut more);
            }
        })
    };
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut snapshots = Vec::new();
    while Instant::now() < until {
        snapshots.extend(timed(1, || shared.snapshot()));
        thread::sleep(Duration::from_micros(200));
    }
    stop.store(true, Ordering::Relaxed);
    inserting.join().map_err(|_| "the inserting thread ended early")?;
    report(&format!("a snapshot while one thread inserts and {cores} search"), &mut snapshots);
    Ok(())
}

/// The values of many fingers, one after another.
struct Stored {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Stored {
    fn drawn(count: usize, cores: usize) -> Result<Self, Failure> {
        let share = count.div_ceil(cores).max(1);
        let parts = thread::scope(|scope| {
            let draw = |first: usize| {
                let mut values = Vec::new();
                for number in first..count.min(first + share) {
                    values.push(value(number as u64));
                }
                values
            };
            let parts: Vec<_> =
                (0..count).step_by(share).map(|first| scope.spawn(move || draw(first))).collect();
            parts.into_iter().map(|part| part.join().map_err(|_| "a thread ended early")).collect::<Vec<_>>()
        });
        let mut all = Self { bytes: Vec::new(), ends: Vec::with_capacity(count) };
        for part in parts {
            for value in part? {
                all.bytes.extend(value?);
                all.ends.push(all.bytes.len());
            }
        }
        Ok(all)
    }

    /// A gallery of the first `count`, read as from a store.
    fn filled(&self, count: usize) -> Result<Gallery<FingerKey>, Failure> {
        let value = |number: usize| {
            let first = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[first..self.ends[number]]
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let gallery = fill(Some(count), |look| {
            let give = |number: usize| {
                let key = stored_key(number as u64);
                look(ValueRef { table: Table::Fingers, key: &key, value: value(number) })
            };
            thread::scope(|scope| {
                let give = &give;
                let from = |core: usize| move || (core..count).step_by(cores).try_for_each(give);
                let readers: Vec<_> = (0..cores).map(|core| scope.spawn(from(core))).collect();
                readers.into_iter().try_for_each(|reader| {
                    reader.join().unwrap_or_else(|_| Err(StoreError::Io("a thread ended early".to_owned())))
                })
            })
        });
        Ok(gallery?)
    }
}

/// Fingers that come later, made before the clock runs.
fn newcomers(count: usize) -> Result<impl Iterator<Item = (FingerKey, Finger)> + use<>, Failure> {
    let views = (0..1000).map(template).collect::<Result<Vec<_>, _>>()?;
    Ok((0..).map(move |number| {
        let view = views[number % views.len()].clone();
        (key((count + number) as u64), Finger::new(&[view]))
    }))
}

fn insert(shared: &SharedGallery, more: &mut impl Iterator<Item = (FingerKey, Finger)>) {
    if let Some((key, finger)) = more.next() {
        shared.change(|gallery| gallery.insert(key, finger));
    }
}

/// About as much work as an insert.
fn compute() {
    let mut random = Random(1);
    for _ in 0..50_000 {
        black_box(random.next());
    }
}

/// How long each of them took; what it gave is dropped when the time is taken.
fn timed<T>(times: usize, mut what: impl FnMut() -> T) -> Vec<Duration> {
    let one = |_| {
        let began = Instant::now();
        let _given = black_box(what());
        began.elapsed()
    };
    (0..times).map(one).collect()
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 1000).min(times.len() - 1)).copied();
    if let (Some(half), Some(most), Some(last)) = (at(500), at(990), times.last()) {
        let late = times.iter().filter(|time| **time > Duration::from_millis(5)).count();
        let all = times.len();
        println!("{what}: median {half:?}, p99 {most:?}, longest {last:?}; {late} of {all} over 5 ms");
    }
}

/// Resident memory in kB.
fn resident() -> Result<usize, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

fn template(seed: u64) -> Result<Template, Failure> {
    Ok(Template::from_bytes(&native(seed)?)?)
}
