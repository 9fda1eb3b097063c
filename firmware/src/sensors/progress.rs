//! How far a capture is, for whoever wants to show it to the person at the reader.
//!
//! Invariant: nobody waits for who listens, and nothing of a finger is told.

use std::{fmt, sync::Arc};

/// What the person at the reader is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Lay a finger down.
    Place,
    /// Keep it there.
    Hold,
    /// Lift it.
    Lift,
}

/// Who is told, if anybody. Cheap to clone.
#[derive(Clone)]
pub struct Progress(Option<Arc<dyn Fn(Stage) + Send + Sync>>);

impl Progress {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Told on the reader's own thread, which must not be kept.
    pub fn to(listener: impl Fn(Stage) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells it.
    pub(super) fn tell(&self, stage: Stage) {
        if let Some(listener) = &self.0 {
            listener(stage);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Progress({})", self.0.is_some())
    }
}
