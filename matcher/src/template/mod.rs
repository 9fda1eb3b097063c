//! The template: what is kept of a finger's impression, and its native coding.

mod codec;
pub(crate) mod flow;
pub(crate) mod packed;

use crate::{image::Image, minutiae::Minutia, params::FLOW_CELL};
use flow::{Flow, FlowCell};

/// Why bytes are not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The bytes do not begin as a template does.
    #[error("not an Authenteon template")]
    Magic,
    /// Made by a later version.
    #[error("template version {0} is newer than this program")]
    Version(u8),
    /// Fewer or more bytes than announced.
    #[error("template of {actual} bytes where {expected} were announced")]
    Length {
        /// Bytes announced.
        expected: usize,
        /// Bytes present.
        actual: usize,
    },
    /// A field holds what cannot be.
    #[error("template field out of range: {0}")]
    Field(&'static str),
}

/// Minutiae of one impression at 500 dpi. Invariant: at most [`Template::MAX_MINUTIAE`], all inside
/// the image, in a canonical order, so that equal templates have equal bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) minutiae: Vec<Minutia>,
    pub(crate) flow: Option<Flow>,
}

impl Template {
    /// More are not kept; the best by quality are.
    pub const MAX_MINUTIAE: usize = 128;
    /// The version of the native coding that is written.
    pub const VERSION: u8 = codec::WITH_FLOW;
    /// Longest side in pixels; that of [`Image`], with one for rounding.
    pub const MAX_SIDE: u16 = Image::MAX_SIDE as u16 + 1;

    /// Puts minutiae into canonical order. Those outside the image are dropped, and of too many
    /// the best are kept.
    pub(crate) fn new((width, height): (usize, usize), mut minutiae: Vec<Minutia>) -> Self {
        let side = |v: usize| v.clamp(1, usize::from(Self::MAX_SIDE)) as u16;
        let (width, height) = (side(width), side(height));
        minutiae.retain(|m| m.x < width * 10 && m.y < height * 10 && m.quality <= 100);
        minutiae.sort_by_key(codec::order);
        minutiae.dedup();
        if minutiae.len() > Self::MAX_MINUTIAE {
            minutiae.sort_by_key(|m| std::cmp::Reverse(m.quality));
            minutiae.truncate(Self::MAX_MINUTIAE);
            minutiae.sort_by_key(codec::order);
        }
        Self { width, height, minutiae, flow: None }
    }

    /// The same with the flow of its ridges.
    pub(crate) fn with_flow(self, flow: Flow) -> Self {
        Self { flow: Some(flow), ..self }
    }

    /// Makes a template of minutiae that somebody else found; their order does not matter, and when
    /// there are more than [`Template::MAX_MINUTIAE`] the best by quality are kept.
    ///
    /// # Errors
    /// [`TemplateError::Field`] when the image has no sane size or a minutia lies outside it.
    pub fn from_minutiae(width: u16, height: u16, minutiae: Vec<Minutia>) -> Result<Self, TemplateError> {
        let sides = 1..=Self::MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(TemplateError::Field("image size"));
        }
        if minutiae.iter().any(|m| m.x / 10 >= width || m.y / 10 >= height) {
            return Err(TemplateError::Field("minutia outside the image"));
        }
        if minutiae.iter().any(|m| m.quality > 100) {
            return Err(TemplateError::Field("quality"));
        }
        Ok(Self::new((usize::from(width), usize::from(height)), minutiae))
    }

    /// The same with a ridge flow as `at` tells it of the middle of each cell, in pixels from the top left: the
    /// ridges' angle in radians, counter-clockwise as seen, and their period in pixels; none where there are no
    /// clear ridges. For templates that no image was extracted for.
    #[must_use]
    pub fn with_flow_from(self, at: impl Fn(f32, f32) -> Option<(f32, f32)>) -> Self {
        let (width, height) = Flow::cells_of(usize::from(self.width), usize::from(self.height));
        let middle = |place: usize| (place * FLOW_CELL + FLOW_CELL / 2) as f32;
        let cell = |number: usize| {
            let found = at(middle(number % width), middle(number / width));
            found.map_or(FlowCell::NONE, |(angle, period)| FlowCell::of(angle, period))
        };
        let cells = (0..width * height).map(cell).collect();
        self.with_flow(Flow { width, height, cells })
    }

    /// Width of the image at 500 dpi, in pixels.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Height of the image at 500 dpi, in pixels.
    #[must_use]
    pub fn height(&self) -> u16 {
        self.height
    }

    /// The minutiae.
    #[must_use]
    pub fn minutiae(&self) -> &[Minutia] {
        &self.minutiae
    }

    /// The native coding: the same bytes for the same template on every platform.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the native coding.
    ///
    /// # Errors
    /// [`TemplateError`] for anything that [`Template::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TemplateError> {
        codec::decode(bytes)
    }
}

/// Minutiae are biometric data and stay out of logs.
impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({}x{}, {} minutiae)", self.width, self.height, self.minutiae.len())
    }
}
