//! Time spent by one thread, whatever else the machine does meanwhile.

use std::time::{Duration, Instant};

/// Measures from its making. Invariant: both ends are read the same way, or the wall clock is taken.
pub(crate) struct Stopwatch {
    processor: Option<Duration>,
    wall: Instant,
}

impl Stopwatch {
    /// Starts.
    pub(crate) fn start() -> Self {
        Self { processor: processor_time(), wall: Instant::now() }
    }

    /// Processor time of this thread since the start where the system tells it (Linux), else the
    /// time that passed. The system counts in ticks of some milliseconds: for long stretches only.
    pub(crate) fn elapsed(&self) -> Duration {
        match (self.processor, processor_time()) {
            (Some(before), Some(now)) if now > before => now - before,
            _ => self.wall.elapsed(),
        }
    }
}

/// What the scheduler has counted for this thread: the first number of its `schedstat`, nanoseconds.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_and_takes_no_longer_than_the_wall_clock_says() {
        let watch = Stopwatch::start();
        let wall = Instant::now();
        let mut sum = 0u64;
        while wall.elapsed() < Duration::from_millis(60) {
            for k in 0..1000 {
                sum = std::hint::black_box(sum.wrapping_add(k));
            }
        }
        let counted = watch.elapsed();
        assert!(counted > Duration::ZERO);
        assert!(counted <= wall.elapsed() + Duration::from_millis(20), "{counted:?}");
    }
}
