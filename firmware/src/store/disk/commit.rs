//! Commits of a group: who comes while the disk works waits, and all of them share the next synchronisation.
//!
//! One of those who wait writes for all of them, and those who come meanwhile are the next group. Invariant: changes are
//! written in the order in which they were submitted; when one is not, none that was submitted after it is.

use std::{
    collections::VecDeque,
    sync::{Arc, MutexGuard, OnceLock, PoisonError},
};

use tracing::error;

use super::{Core, indexing::Indexing};
use crate::store::{
    Change, StoreError, Ticket, erases,
    ledger::{Given, Ledger, Staged},
    value::Owner,
};

/// Changes that are written together, at most.
const GROUP: usize = 256;

/// What becomes of a submission.
pub(in crate::store) type Outcome = Arc<OnceLock<Result<(), StoreError>>>;

struct Submission {
    changes: Vec<Change>,
    outcome: Outcome,
}

/// Who waits.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Submission>,
    /// One of them writes.
    led: bool,
    /// Grows when something was not written: what was submitted in the belief that it would be is void.
    epoch: u64,
}

/// Whoever writes for all: when he has, or cannot, another one can.
struct Leading<'a>(&'a Core);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.queue().led = false;
        self.0.settled.notify_all();
    }
}

fn settle(outcome: &Outcome, done: Result<(), StoreError>) {
    // Only who holds the ledger settles, and each once.
    let _ = outcome.set(done);
}

impl Core {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.queue().epoch
    }

    pub(super) fn submit(&self, changes: Vec<Change>, epoch: u64) -> Result<Ticket, StoreError> {
        if changes.iter().any(|change| change.table().is_of_people()) {
            // Before it is in anybody's way.
            self.indexing().trees()?;
        }
        let outcome = Outcome::default();
        let mut queue = self.queue();
        if queue.epoch != epoch {
            return Err(StoreError::Superseded);
        }
        queue.waiting.push_back(Submission { changes, outcome: Arc::clone(&outcome) });
        Ok(Ticket::of(outcome))
    }

    pub(super) fn wait(&self, ticket: &Ticket) -> Result<(), StoreError> {
        let Some(outcome) = ticket.outcome() else { return Ok(()) };
        let mut queue = self.queue();
        loop {
            if let Some(done) = outcome.get() {
                return done.clone();
            }
            // Nobody but who writes waits for the ledger: the others would write groups of one.
            if queue.led {
                queue = self.settled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.led = true;
            drop(queue);
            let leading = Leading(self);
            self.write_group(&mut self.ledger());
            drop(leading);
            queue = self.queue();
        }
    }

    /// Writes the next group of those who wait.
    fn write_group(&self, ledger: &mut Ledger) {
        let mut group: Vec<(Staged, Outcome)> = Vec::new();
        let mut given = Given::new();
        let mut bytes = 0;
        let mut refused = None;
        while group.len() < GROUP {
            let Some(next) = self.queue().waiting.pop_front() else { break };
            let alone = next.changes.iter().any(erases);
            if alone && !group.is_empty() {
                // It rests on what the index says, so what is before it is written first.
                self.queue().waiting.push_front(next);
                break;
            }
            let staged = if alone {
                self.stage_alone(ledger, &next.changes)
            } else {
                self.stage(ledger, &next, &mut given)
            };
            match staged {
                Ok(staged) if group.is_empty() || bytes + staged.frame_bytes() <= ledger.capacity() => {
                    bytes += staged.frame_bytes();
                    group.push((staged, next.outcome));
                    if alone {
                        break;
                    }
                }
                Ok(staged) => {
                    // The next group has room for it.
                    ledger.put_back(&staged);
                    self.queue().waiting.push_front(next);
                    break;
                }
                Err(why) => {
                    refused = Some((next.outcome, why));
                    break;
                }
            }
        }
        let (staged, outcomes): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let done = if staged.is_empty() { Ok(()) } else { self.write_and_index(ledger, &staged) };
        if refused.is_some() || done.is_err() {
            self.void_the_rest();
        }
        for outcome in &outcomes {
            settle(outcome, done.clone());
        }
        if let Some((outcome, why)) = refused {
            settle(&outcome, Err(why));
        }
    }

    /// Whoever waits is told to begin anew.
    fn void_the_rest(&self) {
        let mut queue = self.queue();
        queue.epoch += 1;
        for submission in queue.waiting.drain(..) {
            settle(&submission.outcome, Err(StoreError::Superseded));
        }
    }

    fn stage(&self, ledger: &Ledger, next: &Submission, given: &mut Given) -> Result<Staged, StoreError> {
        if next.changes.iter().any(|change| change.table().is_of_people()) {
            self.indexing().trees()?;
        }
        ledger.stage(&next.changes, given)
    }

    /// Stages what takes something of a person away.
    fn stage_alone(&self, ledger: &Ledger, changes: &[Change]) -> Result<Staged, StoreError> {
        self.remove_snapshot()?;
        let mut owners: Vec<Owner> = changes
            .iter()
            .filter(|change| erases(change))
            .filter_map(|change| Owner::of(change.table(), change.key()))
            .collect();
        owners.sort_unstable();
        owners.dedup();
        ledger.stage_removal(changes, &self.of_people(&owners)?)
    }

    pub(super) fn write_and_index(&self, ledger: &mut Ledger, staged: &[Staged]) -> Result<(), StoreError> {
        ledger.write(staged)?;
        let applied: Vec<_> = staged.iter().flat_map(|staged| staged.applied.iter().cloned()).collect();
        // From here on it is durable, whatever becomes of the index.
        let applies = match &*self.indexing() {
            Indexing::Ready(trees) => Some(trees.apply_each(&applied)),
            Indexing::Making { .. } | Indexing::Lost | Indexing::Closed => None,
        };
        match applies {
            Some(Ok(())) => {}
            Some(Err(why)) => {
                error!(%why, "the index does not take a change: it is made anew from the journal");
                self.give_up_index();
            }
            None => {
                if let Indexing::Making { pending, .. } = &mut *self.indexing_mut() {
                    pending.extend(applied);
                }
            }
        }
        ledger.settle()
    }
}
