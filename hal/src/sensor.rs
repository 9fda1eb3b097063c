//! What every fingerprint reader can do, whatever wire it hangs on.
//!
//! Invariant: calls block, every one of them ends at its limit or when it is cancelled, and every
//! way to fail has its own type, so that the firmware can tell "try again" from "call someone".

use crate::frame::{Dpi, Frame};
use crate::wait::Wait;

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
    /// What it can do besides taking frames.
    pub capabilities: Capabilities,
}

/// What a reader can do besides taking frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It tells by itself when a finger comes; otherwise the driver asks again and again.
    pub finger_detect: bool,
    /// It has a light that [`FingerprintSensor::indicate`] controls.
    pub light: bool,
    /// It has a buzzer that [`FingerprintSensor::indicate`] controls.
    pub buzzer: bool,
}

/// What a reader shows to the person in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Nothing.
    Off,
    /// "Place your finger".
    Ready,
    /// "Wait".
    Busy,
    /// "Accepted".
    Accepted,
    /// "Refused".
    Refused,
    /// "Lift the finger and try again".
    Retry,
}

/// How a reader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Good,
    /// It answers, but something is wrong that people should see to.
    Degraded(String),
    /// It does not answer, or is gone.
    Failed(SensorError),
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
    /// The caller ended the wait.
    #[error("the wait was cancelled")]
    Cancelled,
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
    /// Bytes were altered on the wire.
    #[error("wrong checksum in {0}")]
    Checksum(&'static str),
    /// The reader said what it must not say here.
    #[error("the reader broke its protocol: {0}")]
    Protocol(String),
    /// The reader wants another password than it was given.
    #[error("the reader refused the password; set the one it was configured with")]
    WrongPassword,
    /// The finger was not lifted in time.
    #[error("the finger was not lifted")]
    StuckFinger,
    /// What arrived is not a frame.
    #[error("the reader sent what is not a frame: {0}")]
    BadFrame(String),
    /// The line to the reader failed.
    #[error("the line to the reader failed: {0}")]
    Line(String),
}

/// A fingerprint reader. Calls block, and every wait ends at its limit.
pub trait FingerprintSensor: Send {
    /// Model, geometry, resolution and capabilities.
    fn describe(&self) -> SensorInfo;

    /// Waits until a finger lies on the reader.
    ///
    /// # Errors
    /// [`SensorError::TimedOut`] at the limit, or what the reader ran into.
    fn wait_for_finger(&mut self, wait: &Wait) -> Result<(), SensorError>;

    /// Takes one frame of the finger that lies on the reader.
    ///
    /// # Errors
    /// What the reader ran into; the sensor can be used again unless it was removed.
    fn capture(&mut self, wait: &Wait) -> Result<Frame, SensorError>;

    /// Waits until the finger is lifted.
    ///
    /// # Errors
    /// [`SensorError::StuckFinger`] at the limit, or what the reader ran into.
    fn wait_for_lift(&mut self, wait: &Wait) -> Result<(), SensorError>;

    /// Shows something to the person in front of the reader, if it has the means.
    ///
    /// # Errors
    /// What the reader ran into; having no means is no error.
    fn indicate(&mut self, signal: Signal) -> Result<(), SensorError>;

    /// Asks the reader how it is.
    fn health(&mut self) -> Health;
}
