//! Serial modules of the 0xEF01 family: ZFM-20/60, R301 to R307, R503, AS608, FPM10A.
//!
//! [`packet`] turns bytes into packets, [`protocol`] numbers into meanings, [`Link`] a command into
//! its answer in spite of what wires do, and [`Zfm`] all that into a
//! [`FingerprintSensor`](crate::FingerprintSensor). Nothing on the wire path allocates per packet.

mod driver;
#[cfg(any(test, feature = "emulator"))]
pub mod emulator;
mod image;
mod link;
pub mod packet;
pub mod protocol;
#[cfg(any(test, feature = "emulator"))]
pub mod pty;

pub use driver::{Config, Model, TouchLine, Zfm};
pub use link::Link;

#[cfg(test)]
mod tests;
