//! What the services tell of the time that their steps take, and to whom: nobody, unless somebody measures.
//!
//! Invariant: only a step's name and its time are told, never whose they were.

use std::time::Duration;

/// A step whose time is worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From an image to a template, with its quality.
    Extraction,
    /// From a template to a decision: the comparison with one or the search among all.
    Comparison,
    /// Until a change and its audit record are durable.
    Commit,
}

/// Whoever measures.
pub trait Observer: Send + Sync {
    /// Time since some fixed moment, by a clock that never goes back.
    fn now(&self) -> Duration;

    /// A step took so long.
    fn took(&self, step: Step, time: Duration);
}

/// Does a step, and tells the observer, where there is one, how long it took.
pub(crate) fn timed<T>(observer: Option<&dyn Observer>, step: Step, work: impl FnOnce() -> T) -> T {
    let Some(observer) = observer else { return work() };
    let began = observer.now();
    let done = work();
    observer.took(step, observer.now().saturating_sub(began));
    done
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use authenteon_hal::clock::{Clock, VirtualClock};

    use super::*;

    #[derive(Default)]
    struct Noted {
        clock: VirtualClock,
        steps: Mutex<Vec<(Step, Duration)>>,
    }

    impl Observer for Noted {
        fn now(&self) -> Duration {
            self.clock.now()
        }

        fn took(&self, step: Step, time: Duration) {
            self.steps.lock().unwrap().push((step, time));
        }
    }

    #[test]
    fn a_step_is_told_with_the_time_that_it_took_and_done_without_anybody_to_tell() {
        let noted = Noted::default();
        let second = Duration::from_secs(1);
        assert_eq!(timed(Some(&noted), Step::Commit, || noted.clock.sleep(second)), ());
        assert_eq!(*noted.steps.lock().unwrap(), [(Step::Commit, second)]);
        assert_eq!(timed(None, Step::Commit, || 7), 7);
    }
}
