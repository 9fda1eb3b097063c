//! What every fingerprint reader can do, whatever wire it hangs on.

use std::time::Duration;

use crate::frame::{Dpi, Frame};

/// What a reader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorInfo {
    /// Maker and model, for people.
    pub model: String,
    /// Serial number, where the reader has one.
    pub serial: Option<String>,
    /// Width and height of its frames in pixels, where they are always the same.
    pub geometry: Option<(u32, u32)>,
    /// Resolution of its frames.
    pub dpi: Dpi,
}

/// Why a reader gave no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SensorError {
    /// No such reader.
    #[error("the reader is not present: {0}")]
    NotPresent(String),
    /// Nothing happened within the deadline.
    #[error("timed out waiting for {0}")]
    TimedOut(&'static str),
    /// The reader was taken away.
    #[error("the reader was removed")]
    Removed,
    /// The frame arrived in part only.
    #[error("partial frame: {received} of {expected} bytes")]
    PartialFrame {
        /// Bytes received.
        received: usize,
        /// Bytes announced.
        expected: usize,
    },
    /// The finger was not lifted in time.
    #[error("the finger was not lifted")]
    StuckFinger,
    /// What arrived is not a frame.
    #[error("the reader sent what is not a frame: {0}")]
    BadFrame(String),
}

/// A fingerprint reader. Calls block, and every wait ends at its limit.
pub trait FingerprintSensor: Send {
    /// Model, geometry and resolution.
    fn describe(&self) -> SensorInfo;

    /// Waits until a finger lies on the reader.
    ///
    /// # Errors
    /// [`SensorError::TimedOut`] after `limit`, or what the reader ran into.
    fn wait_for_finger(&mut self, limit: Duration) -> Result<(), SensorError>;

    /// Takes one frame of the finger that lies on the reader.
    ///
    /// # Errors
    /// What the reader ran into; the sensor can be used again unless it was removed.
    fn capture(&mut self) -> Result<Frame, SensorError>;

    /// Waits until the finger is lifted.
    ///
    /// # Errors
    /// [`SensorError::StuckFinger`] after `limit`.
    fn wait_for_lift(&mut self, limit: Duration) -> Result<(), SensorError>;
}
