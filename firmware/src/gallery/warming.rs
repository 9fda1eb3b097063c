//! Makes fingers ready to be searched in the background: sketches and index of what was read at the start, and of what was
//! enrolled since.
//!
//! A box serves before it is done: what has no sketch yet is compared one by one. Invariant: it takes processor time that
//! nobody else wants, holds nobody up, and ends with the services.

use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use tracing::{debug, info, warn};

use super::{SharedGallery, threads};

/// How often it looks for more.
const PAUSE: Duration = Duration::from_secs(2);

/// Starts it.
pub(crate) fn warm_up(gallery: &Arc<SharedGallery>) {
    let gallery = Arc::downgrade(gallery);
    let thread = thread::Builder::new().name("warming".to_owned()).spawn(move || {
        yield_to_others();
        warm(&gallery);
        while gallery.strong_count() > 0 {
            thread::sleep(PAUSE);
            build(&gallery);
        }
    });
    if let Err(why) = thread {
        warn!(%why, "fingers are not made ready in advance: searches take longer");
    }
}

/// Makes ready what there is now.
pub(super) fn warm(gallery: &Weak<SharedGallery>) {
    build(gallery);
    if let Some(gallery) = gallery.upgrade() {
        let snapshot = gallery.snapshot();
        info!(impressions = snapshot.impressions(), "the gallery is ready");
    }
}

/// Builds batch after batch, each beside what searches see.
fn build(gallery: &Weak<SharedGallery>) {
    loop {
        let Some(mut batch) = gallery.upgrade().and_then(|gallery| gallery.snapshot().batch()) else {
            return;
        };
        if !batch.sketch(threads(), || gallery.strong_count() > 0) {
            return;
        }
        let built = batch.build();
        let Some(gallery) = gallery.upgrade() else { return };
        gallery.change(|gallery| gallery.place(built));
    }
}

/// The lowest priority, for this thread alone: on Linux a thread is a process to this call.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(why) = rustix::process::setpriority_process(None, 19) {
        debug!(%why, "the warming has the priority of everything else");
    }
}
