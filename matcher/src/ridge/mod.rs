//! Ridges: which way they run, how far apart they are, and a clean picture of them.

pub(crate) mod bits;
pub(crate) mod enhance;
pub(crate) mod flow;
pub(crate) mod kernels;
pub(crate) mod orientation;
pub(crate) mod period;
pub(crate) mod thin;
