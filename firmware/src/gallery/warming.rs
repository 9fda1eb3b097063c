//! Prepares fingers in the background once the box serves, so that searches find them prepared.
//!
//! A box serves before it is warm: who searches earlier prepares for itself, and what is prepared then is kept
//! as well. Invariant: it takes what the budget of the gallery has, processor time that nobody else wants, and
//! ends with the services.

use std::{
    sync::{Arc, Weak},
    thread,
};

use tracing::{debug, info, warn};

use super::SharedGallery;

/// Starts it.
pub(crate) fn warm_up(gallery: &Arc<SharedGallery>) {
    let gallery = Arc::downgrade(gallery);
    let thread = thread::Builder::new().name("warming".to_owned()).spawn(move || {
        yield_to_others();
        warm(&gallery);
    });
    if let Err(why) = thread {
        warn!(%why, "fingers are not prepared in advance: the first searches take longer");
    }
}

/// Warms what there is now; what is enrolled later is prepared by who searches it.
pub(super) fn warm(gallery: &Weak<SharedGallery>) {
    let Some(snapshot) = gallery.upgrade().map(|gallery| gallery.snapshot()) else { return };
    snapshot.warm(|| gallery.strong_count() > 0);
    info!(bytes = snapshot.kept_bytes(), "the gallery is warm");
}

/// The lowest priority, for this thread alone: on Linux a thread is a process to this call.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(why) = rustix::process::setpriority_process(None, 19) {
        debug!(%why, "the warming has the priority of everything else");
    }
}
