//! Checks that do not depend on each other, two at a time: most of what a machine does is to wait.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
};

use super::table::Table;
use crate::failure::Failure;

/// Machines at a time: more of them than cores, and trials would be given up that are only slow.
const AT_A_TIME: usize = 2;

/// Checks that follow each other.
pub(super) type Job<'a> = Box<dyn FnOnce(&mut Table) + Send + 'a>;

/// Runs all of them, the first ones first, and adds what they found to the table.
pub(super) fn run(jobs: Vec<Job<'_>>, table: &mut Table) -> Result<(), Failure> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        let mut found = Table::default();
        while let Some(job) = next() {
            job(&mut found);
        }
        found
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            table.append(worker.join().map_err(|_| Failure::Wrong("a check did not end".to_owned()))?);
        }
        Ok(())
    })
}
