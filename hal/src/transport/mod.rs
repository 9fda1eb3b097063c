//! The wires that readers hang on, and their recorded and scripted twins.

pub mod recording;
pub mod serial;
pub mod usb;
#[cfg(feature = "usb")]
pub mod usb_device;
