//! The daemon's library.
#![forbid(unsafe_code)]
