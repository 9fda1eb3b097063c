//! Durable enrolments per second: one change a person, by one writer and by several at once.
#![allow(clippy::expect_used, reason = "a benchmark ends where it fails")]

use std::{
    cell::RefCell,
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use authenteon::store::Change;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime};

use crate::{
    disk,
    engine::{Engine, Failure},
    ours::Ours,
    redb::Redb,
    workload::People,
};

/// Writers at once.
const WRITERS: [usize; 2] = [1, 8];
/// Enrolments of an iteration: as many for each writer.
const TOGETHER: usize = 64;
/// People who are enrolled before: an empty store is faster.
const BEFORE: u64 = 10_000;

/// Enrolments a second with so many writers.
pub(crate) struct Rates {
    pub(crate) writers: usize,
    pub(crate) ours: f64,
    pub(crate) redb: f64,
}

/// Measures both; those of which a filter leaves one out have no rates.
pub(crate) fn measure() -> Result<Vec<Rates>, Failure> {
    let people = People::drawn()?;
    let folder = disk::folder()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("durable enrolments");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(TOGETHER as u64));
    let mut rates = Vec::new();
    for writers in WRITERS {
        let ours = bench::<Ours>(&mut group, folder.path(), &people, writers)?;
        let redb = bench::<Redb>(&mut group, folder.path(), &people, writers)?;
        if let (Some(ours), Some(redb)) = (ours, redb) {
            rates.push(Rates { writers, ours, redb });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(rates)
}

/// Measures one, in a store of its own, and gives its median rate.
fn bench<E: Engine>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    folder: &Path,
    people: &People,
    writers: usize,
) -> Result<Option<f64>, Failure> {
    let folder = folder.join(format!("{}-{writers}", E::NAME));
    let samples = RefCell::new(Vec::new());
    let next = AtomicU64::new(BEFORE);
    let mut engine = None;
    let id = BenchmarkId::new(E::NAME, format!("{writers} at once"));
    group.bench_function(id, |bencher| {
        // Not before: it may be left out.
        let engine: &E = engine.get_or_insert_with(|| filled(&folder, people).expect("a store is made"));
        bencher.iter_custom(|iterations| {
            let each = iterations as usize * TOGETHER / writers;
            let first = next.fetch_add((each * writers) as u64, Ordering::Relaxed);
            let enrolments = (first..first + (each * writers) as u64).map(|number| people.enrolment(number));
            let enrolments: Vec<_> = enrolments.collect::<Result<_, _>>().expect("people are drawn");
            let took = timed(engine, &enrolments, each);
            samples.borrow_mut().push(enrolments.len() as f64 / took.as_secs_f64());
            took
        });
    });
    let mut samples = samples.into_inner();
    samples.sort_by(f64::total_cmp);
    Ok(samples.get(samples.len() / 2).copied())
}

fn filled<E: Engine>(folder: &Path, people: &People) -> Result<E, Failure> {
    std::fs::create_dir_all(folder)?;
    let engine = E::open(folder)?;
    for first in (0..BEFORE).step_by(1000) {
        engine.commit(&people.together(first..BEFORE.min(first + 1000))?)?;
    }
    Ok(engine)
}

/// How long writers of `each` enrolments take together.
fn timed<E: Engine>(engine: &E, enrolments: &[Vec<Change>], each: usize) -> Duration {
    let start = Barrier::new(enrolments.len() / each + 1);
    let began = thread::scope(|scope| {
        for share in enrolments.chunks(each) {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for enrolment in share {
                    engine.commit(enrolment).expect("an enrolment is made durable");
                }
            });
        }
        start.wait();
        Instant::now()
    });
    began.elapsed()
}
