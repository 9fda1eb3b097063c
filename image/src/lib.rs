//! The parts of the image maker that other packages' tests use too.
#![forbid(unsafe_code)]

pub mod bundle;
