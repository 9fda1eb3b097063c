//! The same work on many things by some threads.
//!
//! Invariant: the answers are in the order of the things, whoever was faster.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Things that a thread takes at a time, at most.
pub(super) const SHARE: usize = 64;

/// Does it with so many threads, each with a place to work in of its own, `share` things at a time.
pub(super) fn map<T: Sync, R: Send, S: Default>(
    threads: usize,
    share: usize,
    things: &[T],
    work: impl Fn(&mut S, &T) -> R + Sync,
) -> Vec<R> {
    let shares: Vec<&[T]> = things.chunks(share.clamp(1, SHARE)).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(shares.len()));
    let run = || {
        let mut place = S::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(share) = shares.get(number) else { return };
            let answers: Vec<R> = share.iter().map(|thing| work(&mut place, thing)).collect();
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, answers));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(shares.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().flat_map(|(_, answers)| answers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_in_order_with_any_number_of_threads() {
        let things: Vec<u32> = (0..1000).collect();
        for threads in [0, 1, 2, 7] {
            let done = map(threads, 9, &things, |count: &mut u32, thing| {
                *count += 1;
                thing * 2
            });
            assert_eq!(done, (0..1000).map(|thing| thing * 2).collect::<Vec<_>>());
        }
        assert_eq!(map(2, 9, &[0u32; 0], |(), thing| *thing), []);
    }
}
