//! Who says which readers may be used: the services do, once they are open.
//!
//! Invariant: while nobody can say it, no reader may be used.

use crate::{
    lock::Lock,
    reader::{Reader, Standing},
};

/// Knows which readers may be used, and is told which are there.
pub trait Steward: Send + Sync {
    /// Whether this reader may be used.
    fn standing(&self, reader: &Reader) -> Standing;

    /// These are there now; told about once a second.
    fn seen(&self, present: &[Reader]);
}

impl Steward for Lock {
    fn standing(&self, reader: &Reader) -> Standing {
        self.services().map_or(Standing::Unknown, |services| services.standing(reader))
    }

    fn seen(&self, present: &[Reader]) {
        if let Some(services) = self.services() {
            services.readers_seen(present);
        }
    }
}
