//! From the store's entries to the gallery, read on all cores as the store gives them.
//!
//! Invariant: every template was read by the strict reader before it is in the gallery; one that cannot be
//! read ends the filling.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use authenteon_matcher::search::{Finger, Gallery};
use tracing::info;

use super::stored::{FingerKey, finger_of};
use crate::{
    services::OpenError,
    store::{Look, StoreError, ValueRef},
};

/// How long a start says nothing.
const QUIET: Duration = Duration::from_secs(2);
/// Fingers after which it is looked how long it takes.
const LOOKED_AT_CLOCK: usize = 4096;

/// Fills a gallery with the fingers that `feed` gives, in any order and from any threads; `all` of them where that is known.
///
/// # Errors
/// [`OpenError`], the feed's own among them.
pub fn fill(
    all: Option<usize>,
    feed: impl FnOnce(&Look<'_>) -> Result<(), StoreError>,
) -> Result<Gallery<FingerKey>, OpenError> {
    let began = Instant::now();
    let filling = Mutex::new(Filling { fingers: Vec::new(), bad: None, progress: Progress::new(all) });
    let fed = feed(&|ValueRef { key, value, .. }| {
        // Beside the other threads.
        let read = finger_of(key, value);
        filling.lock().unwrap_or_else(PoisonError::into_inner).take(read, began)
    });
    let Filling { fingers, bad, .. } = filling.into_inner().unwrap_or_else(PoisonError::into_inner);
    bad.map_or(Ok(()), Err)?;
    fed?;
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

/// What was read so far.
struct Filling {
    fingers: Vec<(FingerKey, Finger)>,
    /// Why it ended.
    bad: Option<OpenError>,
    progress: Progress,
}

impl Filling {
    fn take(
        &mut self,
        read: Result<(FingerKey, Finger), OpenError>,
        began: Instant,
    ) -> Result<(), StoreError> {
        match read {
            // Another thread found one that cannot be read.
            _ if self.bad.is_some() => Err(ended()),
            Ok(finger) => {
                self.fingers.push(finger);
                if self.fingers.len().is_multiple_of(LOOKED_AT_CLOCK) {
                    self.progress.now_at(self.fingers.len(), began.elapsed());
                }
                Ok(())
            }
            Err(why) => {
                self.bad = Some(why);
                Err(ended())
            }
        }
    }
}

/// What the feed is told; why is told by [`fill`].
fn ended() -> StoreError {
    StoreError::Io("the gallery takes no more".to_owned())
}

/// Says in the log how far it is, now and then.
struct Progress {
    all: Option<usize>,
    said: Duration,
}

impl Progress {
    fn new(all: Option<usize>) -> Self {
        Self { all, said: Duration::ZERO }
    }

    /// So many were read, at this time since it began; true when it said so.
    fn now_at(&mut self, done: usize, now: Duration) -> bool {
        let due = now >= self.said + QUIET;
        if due {
            self.said = now;
            info!(done, all = self.all, "reading fingers into memory");
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
        let said = [0, 1, 2, 3, 5, 6, 7].map(|now| progress.now_at(10, Duration::from_secs(now)));
        assert_eq!(said, [false, false, true, false, true, false, true]);
    }
}
