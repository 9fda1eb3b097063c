//! The bench: what Authenteon is measured with.
//!
//! [`synthetic`] makes prints whose truth is known, [`sets`] reads and writes folders of prints.

#![forbid(unsafe_code)]

pub mod sets;
pub mod synthetic;
