//! A window on the extraction: every intermediate picture by name, for people to look at and for
//! tests to compare. Nothing is drawn unless it is asked for.

use crate::image::plane::Plane;

/// An intermediate result as an 8-bit grey picture.
pub struct Picture {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Row by row, from the top left.
    pub pixels: Vec<u8>,
}

/// Takes the intermediate results of an extraction.
pub trait Observer {
    /// Called once for each step, in order. `draw` makes the picture; call it or leave it.
    fn step(&mut self, name: &'static str, draw: &dyn Fn() -> Picture);
}

/// Looks at nothing.
pub(crate) struct Blind;

impl Observer for Blind {
    fn step(&mut self, _: &'static str, _: &dyn Fn() -> Picture) {}
}

/// Draws a field with `low` black and `high` white.
pub(crate) fn grey(plane: &Plane<f32>, low: f32, high: f32) -> Picture {
    let pixels =
        plane.data.iter().map(|&v| ((v - low) / (high - low) * 255.0).clamp(0.0, 255.0) as u8).collect();
    Picture { width: plane.width, height: plane.height, pixels }
}
