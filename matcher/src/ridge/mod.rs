//! From grey pixels to ridges one pixel wide.

pub(crate) mod contrast;
pub(crate) mod enhance;
pub(crate) mod mask;
pub(crate) mod orientation;
pub(crate) mod period;
pub(crate) mod skeleton;
