//! Minutiae: where a ridge ends or forks, and which way it runs.

pub(crate) mod clean;
pub(crate) mod collect;
pub(crate) mod duality;
pub(crate) mod select;
pub(crate) mod skeleton;

/// What happens to the ridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MinutiaKind {
    /// A ridge ends.
    Ending,
    /// A ridge forks.
    Bifurcation,
}

/// One minutia at 500 dpi.
///
/// Coordinates run right and down from the image's top left corner, in tenths of a pixel.
/// `angle` is in 1/256 turns, counter-clockwise as seen on the screen (ISO/IEC 19794-2), zero to
/// the right; it points along the ridge: away from an ending into the ridge, and from a
/// bifurcation into the valley's side where the two branches enclose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Minutia {
    /// Tenths of a pixel from the left.
    pub x: u16,
    /// Tenths of a pixel from the top.
    pub y: u16,
    /// 1/256 turns, counter-clockwise on screen.
    pub angle: u8,
    /// Ending or bifurcation.
    pub kind: MinutiaKind,
    /// 0 (doubtful) to 100.
    pub quality: u8,
}

/// A minutia while it is being worked on: pixels, and a unit vector in screen axes (y down).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) dx: f32,
    pub(crate) dy: f32,
    pub(crate) kind: MinutiaKind,
    /// 0 to 1.
    pub(crate) quality: f32,
}
