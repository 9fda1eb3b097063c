//! The same work on many things by some threads.
//!
//! Searches share a crew of threads, one for each core: to begin a thread takes longer than a small stage. What takes long
//! (building a gallery) begins threads of its own, with the priority of who asked for it.
//! Invariant: the answers are in the order of the things, whoever was faster.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Things that a thread takes at a time, at most.
pub(super) const SHARE: usize = 64;

/// Does something on a thread of the crew, where [`map`] has the others at hand; where one thread is to do it, on this one.
pub(super) fn on_the_crew<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    static CREW: OnceLock<Option<ThreadPool>> = OnceLock::new();
    if threads <= 1 {
        return work();
    }
    // Without a crew every stage begins its own threads.
    let crew = CREW.get_or_init(|| {
        ThreadPoolBuilder::new().thread_name(|number| format!("search-{number}")).build().ok()
    });
    match crew {
        Some(crew) => crew.install(work),
        None => work(),
    }
}

/// Does it with so many threads, `share` things at a time.
pub(super) fn map<T: Sync, R: Send>(
    threads: usize,
    share: usize,
    things: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let shares: Vec<&[T]> = things.chunks(share.clamp(1, SHARE)).collect();
    let helpers = threads.min(shares.len()).saturating_sub(1);
    if helpers == 0 {
        return things.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(shares.len()));
    let run = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(share) = shares.get(number) else { return };
            let answers: Vec<R> = share.iter().map(&work).collect();
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, answers));
        }
    };
    if rayon::current_thread_index().is_some() {
        rayon::scope(|scope| {
            (0..helpers).for_each(|_| scope.spawn(|_| run()));
            run();
        });
    } else {
        thread::scope(|scope| {
            (0..helpers).for_each(|_| drop(scope.spawn(run)));
            run();
        });
    }
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
        let doubled: Vec<u32> = (0..1000).map(|thing| thing * 2).collect();
        for threads in [0, 1, 2, 7] {
            let done = || map(threads, 9, &things, |thing| thing * 2);
            assert_eq!(done(), doubled);
            assert_eq!(on_the_crew(threads, done), doubled);
        }
        assert_eq!(map(2, 9, &[0u32; 0], |thing| *thing), []);
    }
}
