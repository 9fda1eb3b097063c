//! Fingerprint readers and the front panel.
//!
//! This crate turns a finger on a reader into a [`Frame`]: grey pixels with a resolution, and
//! nothing else. It knows no templates, no network and no async; the firmware adapts it.
#![deny(unsafe_code)]

pub mod clock;
pub mod decode;
pub mod discovery;
pub mod encode;
pub mod frame;
pub mod models;
pub mod nb1010;
pub mod panel;
pub mod replay;
mod rows;
pub mod selftest;
pub mod sensor;
pub mod sys;
pub mod transport;
pub mod uru4000;
pub mod wait;
pub mod watch;
pub mod zfm;

pub use frame::{Dpi, Frame, FrameError};
pub use sensor::{FingerprintSensor, SensorError, SensorInfo};
pub use wait::{CancelToken, Wait};
