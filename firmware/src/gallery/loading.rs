//! From the store's entries to the gallery, read on all cores while the store gives more.
//!
//! Invariant: every template was read by the strict reader before it is in the gallery; one that cannot be
//! read ends the filling.

use std::{
    panic::resume_unwind,
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

use authenteon_matcher::search::{Finger, Gallery};
use tracing::info;

use super::stored::{FingerKey, finger_of};
use crate::{
    services::OpenError,
    store::{Entries, StoreError},
};

/// How long a start says nothing.
const QUIET: Duration = Duration::from_secs(2);

/// Fills a gallery with what `feed` gives, pages of entries in any order; `all` of them where that is known.
///
/// # Errors
/// [`OpenError`], the feed's own among them.
pub fn fill(
    all: Option<usize>,
    feed: impl FnOnce(&mut (dyn FnMut(Entries) -> Result<(), StoreError> + Send)) -> Result<(), StoreError>,
) -> Result<Gallery<FingerKey>, OpenError> {
    let began = Instant::now();
    let cores = available_parallelism().map_or(1, usize::from);
    let fingers = thread::scope(|scope| {
        let (senders, readers): (Vec<_>, Vec<_>) = (0..cores)
            .map(|_| {
                let (sender, pages) = sync_channel(1);
                (sender, scope.spawn(move || read(&pages)))
            })
            .unzip();
        let mut turns = senders.iter().cycle();
        let mut progress = Progress::new(all);
        let fed = feed(&mut |page| {
            progress.more(page.len(), began.elapsed());
            // A reader that takes no more says itself why.
            let taken = turns.next().is_some_and(|reader| reader.send(page).is_ok());
            if taken { Ok(()) } else { Err(StoreError::Io("the gallery takes no more".to_owned())) }
        });
        // The readers end when no more can come.
        drop(senders);
        let mut fingers = Vec::new();
        for reader in readers {
            fingers.extend(reader.join().unwrap_or_else(|why| resume_unwind(why))?);
        }
        fed?;
        Ok::<_, OpenError>(fingers)
    })?;
    let mut gallery = Gallery::new();
    gallery.extend(fingers);
    let (fingers, impressions) = (gallery.fingers(), gallery.impressions());
    info!(
        fingers,
        impressions,
        milliseconds = began.elapsed().as_millis() as u64,
        "the gallery is in memory"
    );
    Ok(gallery)
}

fn read(pages: &Receiver<Entries>) -> Result<Vec<(FingerKey, Finger)>, OpenError> {
    let mut fingers = Vec::new();
    for page in pages {
        for entry in &page {
            fingers.push(finger_of(entry)?);
        }
    }
    Ok(fingers)
}

/// Says in the log how far it is, now and then.
struct Progress {
    all: Option<usize>,
    done: usize,
    said: Duration,
}

impl Progress {
    fn new(all: Option<usize>) -> Self {
        Self { all, done: 0, said: Duration::ZERO }
    }

    /// So many more, at this time since it began; true when it said so.
    fn more(&mut self, fingers: usize, now: Duration) -> bool {
        self.done += fingers;
        let due = now >= self.said + QUIET;
        if due {
            self.said = now;
            info!(done = self.done, all = self.all, "reading fingers into memory");
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_start_says_every_two_seconds_how_far_it_is() {
        let mut progress = Progress::new(None);
        let said = [0, 1, 2, 3, 5, 6, 7].map(|now| progress.more(10, Duration::from_secs(now)));
        assert_eq!(said, [false, false, true, false, true, false, true]);
        assert_eq!(progress.done, 70);
    }
}
