//! DigitalPersona U.are.U 4000, 4000B and 4500, and the Microsoft readers of that family.
//!
//! The driver keeps an interrupt transfer pending at all times and the image transfer pending
//! before it switches the reader to capture: a reader that finds nobody listening drops its frame.

mod auth;
mod driver;
pub mod image;

pub use driver::{Config, Model, SeedSource, Uru4000, recorded_seed};

#[cfg(test)]
mod tests;
