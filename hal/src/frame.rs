//! A frame: what a reader delivers.
//!
//! Invariant: `pixels.len() == width * height`, both sides are within [`Frame::MIN_SIDE`] and
//! [`Frame::MAX_SIDE`], ridges are dark on light, and the resolution is known.

use std::fmt;

/// Resolution in pixels per inch, within what fingerprint readers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dpi(u16);

impl Dpi {
    /// Below this no ridge of an adult finger is resolved (ISO/IEC 19794-4 starts at 125).
    pub const MIN: u16 = 125;
    /// Above this no reader delivers.
    pub const MAX: u16 = 2000;
    /// The resolution that templates are made at.
    pub const STANDARD: Dpi = Dpi(500);

    /// Checks a resolution.
    ///
    /// # Errors
    /// [`FrameError::Resolution`] outside [`Dpi::MIN`]..=[`Dpi::MAX`].
    pub fn new(value: u32) -> Result<Self, FrameError> {
        u16::try_from(value)
            .ok()
            .filter(|v| (Self::MIN..=Self::MAX).contains(v))
            .map(Dpi)
            .ok_or(FrameError::Resolution { value })
    }

    /// Pixels per inch.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Dpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dpi", self.0)
    }
}

/// Why pixels are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The resolution is not one that a fingerprint reader has.
    #[error("resolution of {value} dpi is outside {min} to {max}", min = Dpi::MIN, max = Dpi::MAX)]
    Resolution {
        /// What was given, in pixels per inch.
        value: u32,
    },
    /// The frame is too small to hold a fingerprint, or too large to be one.
    #[error("a frame of {width}x{height} pixels is outside {min} to {max} on a side", min = Frame::MIN_SIDE, max = Frame::MAX_SIDE)]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The number of pixels is not width times height.
    #[error("{actual} bytes of pixels where {expected} were announced")]
    Length {
        /// Width times height.
        expected: usize,
        /// Bytes present.
        actual: usize,
    },
}

/// 8-bit grey pixels, row by row from the top left, dark ridges on light.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u16,
    height: u16,
    dpi: Dpi,
    pixels: Vec<u8>,
}

impl Frame {
    /// Shortest side accepted, in pixels.
    pub const MIN_SIDE: u32 = 64;
    /// Longest side accepted, in pixels: four fingers at 1000 dpi fit.
    pub const MAX_SIDE: u32 = 4000;

    /// Makes a frame from grey pixels.
    ///
    /// # Errors
    /// [`FrameError`] when size and number of pixels do not fit.
    pub fn new(width: u32, height: u32, dpi: Dpi, pixels: Vec<u8>) -> Result<Self, FrameError> {
        Self::check_size(width, height)?;
        let expected = width as usize * height as usize;
        if pixels.len() != expected {
            return Err(FrameError::Length { expected, actual: pixels.len() });
        }
        match (u16::try_from(width), u16::try_from(height)) {
            (Ok(width), Ok(height)) => Ok(Self { width, height, dpi, pixels }),
            _ => Err(FrameError::Size { width, height }),
        }
    }

    /// Checks a size before any pixel is read.
    ///
    /// # Errors
    /// [`FrameError::Size`] outside [`Frame::MIN_SIDE`]..=[`Frame::MAX_SIDE`].
    pub fn check_size(width: u32, height: u32) -> Result<(), FrameError> {
        let sides = Self::MIN_SIDE..=Self::MAX_SIDE;
        if sides.contains(&width) && sides.contains(&height) {
            Ok(())
        } else {
            Err(FrameError::Size { width, height })
        }
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        u32::from(self.width)
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        u32::from(self.height)
    }

    /// Resolution.
    #[must_use]
    pub fn dpi(&self) -> Dpi {
        self.dpi
    }

    /// The pixels, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels, without a copy.
    #[must_use]
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

/// Pixels are biometric data and stay out of logs.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}x{}, {})", self.width, self.height, self.dpi)
    }
}
