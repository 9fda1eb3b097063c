//! What is compared with what, and the hands that do it.
//!
//! Invariant: results come in the order of the jobs, whatever the threads do.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::protocol::Progress;
use crate::sets::PrintFile;

/// One comparison: a probe with an enrolled finger, prints by their place in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) probe: usize,
    /// The impressions enrolled.
    pub(crate) references: Vec<usize>,
}

/// All pairs of so many prints.
#[must_use]
pub fn all_pairs(count: usize) -> Vec<(usize, usize)> {
    (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j))).collect()
}

/// The comparisons of a set when fingers are enrolled with so many impressions.
///
/// With one impression, all pairs. With more, every run of so many successive impressions of a
/// finger (from the last on to the first again) is an enrolment in turn; the finger's other impressions
/// are compared with it, and those of every other finger that have the same places in their finger.
pub(crate) fn jobs(prints: &[PrintFile], enrol: NonZeroUsize) -> Vec<Job> {
    if enrol.get() == 1 {
        let pair = |(probe, reference)| Job { probe, references: vec![reference] };
        return all_pairs(prints.len()).into_iter().map(pair).collect();
    }
    let mut fingers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, print) in prints.iter().enumerate() {
        fingers.entry(&print.finger).or_default().push(at);
    }
    let mut out = Vec::new();
    for (finger, impressions) in &fingers {
        let count = impressions.len();
        if count <= enrol.get() {
            continue;
        }
        for start in 0..count {
            let enrolled = |place: usize| (place + count - start) % count < enrol.get();
            let references: Vec<usize> =
                (0..count).filter(|&place| enrolled(place)).map(|place| impressions[place]).collect();
            for others in fingers.values() {
                for (place, &probe) in others.iter().enumerate() {
                    if place >= count || !enrolled(place) {
                        out.push(Job { probe, references: references.clone() });
                    }
                }
            }
            debug_assert!(prints[references[0]].finger == *finger);
        }
    }
    out
}

/// Does the work of each item on all cores, and says how far it is.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    progress: &dyn Progress,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let hands = std::thread::available_parallelism().map_or(1, Into::into);
    // Small enough that no hand waits long for the last one.
    let size = (items.len() / (16 * hands)).clamp(1, 512);
    let hand = || {
        let mut done = Vec::new();
        loop {
            let share = next.fetch_add(1, Ordering::Relaxed);
            let Some(mine) = items.chunks(size).nth(share) else { return done };
            done.push((share, mine.iter().map(&work).collect::<Vec<R>>()));
            progress.advance(mine.len());
        }
    };
    let mut shares: Vec<(usize, Vec<R>)> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..hands).map(|_| scope.spawn(hand)).collect();
        // The matcher does not panic; if it does, its panic is passed on rather than its scores lost.
        hands
            .into_iter()
            .flat_map(|hand| hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    shares.sort_by_key(|(share, _)| *share);
    shares.into_iter().flat_map(|(_, results)| results).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(fingers: usize, impressions: usize) -> Vec<PrintFile> {
        let name =
            |f, i| PrintFile { name: format!("{f}_{i}"), finger: format!("{f}"), path: Default::default() };
        (0..fingers).flat_map(|f| (0..impressions).map(move |i| name(f, i))).collect()
    }

    #[test]
    fn no_probe_is_compared_with_an_enrolment_that_holds_it_or_its_twin() {
        let prints = prints(4, 8);
        let jobs = jobs(&prints, NonZeroUsize::new(3).unwrap());
        // Of every finger 8 enrolments, each with 5 probes of every finger.
        assert_eq!(jobs.len(), 4 * 8 * 4 * 5);
        let genuine = jobs.iter().filter(|j| prints[j.probe].finger == prints[j.references[0]].finger);
        assert_eq!(genuine.count(), 4 * 8 * 5);
        for job in &jobs {
            assert_eq!(job.references.len(), 3);
            assert!(job.references.iter().all(|r| r % 8 != job.probe % 8));
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let items: Vec<usize> = (0..5000).collect();
        assert_eq!(in_parallel(&items, &(), |&i| i * 2), items.iter().map(|i| i * 2).collect::<Vec<_>>());
    }
}
