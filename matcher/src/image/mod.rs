//! The biometric sample as the matcher takes it: 8-bit grey, dark ridges on light, known resolution.

pub mod condition;
pub(crate) mod contrast;
pub(crate) mod grid;
pub(crate) mod normalise;
pub(crate) mod plane;
pub(crate) mod quality;
pub(crate) mod segment;

/// Resolution in pixels per inch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dpi(u16);

impl Dpi {
    /// Templates live at this resolution.
    pub const STANDARD: Dpi = Dpi(500);

    /// Checks a resolution.
    ///
    /// # Errors
    /// [`ImageError::Resolution`] outside 125 to 2000.
    pub fn new(value: u32) -> Result<Self, ImageError> {
        u16::try_from(value)
            .ok()
            .filter(|v| (125..=2000).contains(v))
            .map(Dpi)
            .ok_or(ImageError::Resolution { value })
    }

    /// Pixels per inch.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// Why pixels are not an image that can be worked on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The resolution is not one that a fingerprint reader has.
    #[error("resolution of {value} dpi is outside 125 to 2000")]
    Resolution {
        /// What was given, in pixels per inch.
        value: u32,
    },
    /// Too small to hold a fingerprint, or too large to be one, at 500 dpi.
    #[error("an image of {width}x{height} pixels at 500 dpi is outside {min} to {max} on a side", min = Image::MIN_SIDE, max = Image::MAX_SIDE)]
    Size {
        /// Width in pixels at 500 dpi.
        width: u32,
        /// Height in pixels at 500 dpi.
        height: u32,
    },
    /// The number of pixels is not width times height.
    #[error("{actual} pixels where {expected} were announced")]
    Length {
        /// Width times height.
        expected: usize,
        /// Pixels present.
        actual: usize,
    },
}

/// An image and its resolution. Invariant: `pixels.len() == width * height`.
#[derive(Clone)]
pub struct Image {
    width: u32,
    height: u32,
    dpi: Dpi,
    pixels: Vec<u8>,
}

impl Image {
    /// Shortest side in pixels, after scaling to 500 dpi.
    pub const MIN_SIDE: u32 = 64;
    /// Longest side in pixels, after scaling to 500 dpi.
    pub const MAX_SIDE: u32 = 2000;

    /// Takes grey pixels, row by row from the top left, dark ridges on light.
    ///
    /// # Errors
    /// [`ImageError`] when the size is out of bounds or does not fit the pixels.
    pub fn new(width: u32, height: u32, dpi: Dpi, pixels: Vec<u8>) -> Result<Self, ImageError> {
        let scaled = |side: u32| u64::from(side) * 500 / u64::from(dpi.get());
        let sides = u64::from(Self::MIN_SIDE)..=u64::from(Self::MAX_SIDE);
        if !sides.contains(&scaled(width)) || !sides.contains(&scaled(height)) {
            let clamp = |side| u32::try_from(scaled(side)).unwrap_or(u32::MAX);
            return Err(ImageError::Size { width: clamp(width), height: clamp(height) });
        }
        let expected = width as usize * height as usize;
        if pixels.len() != expected {
            return Err(ImageError::Length { expected, actual: pixels.len() });
        }
        Ok(Self { width, height, dpi, pixels })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
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
}
