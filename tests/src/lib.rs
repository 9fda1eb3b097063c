//! The bench: what Authenteon is measured with.
//!
//! [`synthetic`] makes prints whose truth is known, [`sets`] reads and writes folders of prints,
//! [`accuracy`] says how often the matcher errs on them, [`calibration`] fits what its scores mean.

#![forbid(unsafe_code)]

pub mod accuracy;
pub mod calibration;
pub mod sets;
pub mod synthetic;
