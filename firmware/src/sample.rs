//! A biometric sample as callers present it, and its way to a template: the only one there is.

use authenteon_hal::{
    Dpi, Frame, FrameError,
    decode::{DecodeError, decode},
};
use authenteon_matcher::{ExtractError, Extraction, Image, ImageError, extract};
use sha2::{Digest, Sha256};

/// What a caller may present.
#[derive(Clone)]
pub enum Sample {
    /// An image file: PNG, TIFF, BMP or WSQ.
    Encoded {
        /// The file.
        bytes: Vec<u8>,
        /// Its resolution, unless it is a WSQ file that tells its own.
        dpi: Dpi,
    },
    /// Grey pixels, row by row, dark ridges on light.
    RawGrey {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Resolution.
        dpi: Dpi,
        /// The pixels.
        pixels: Vec<u8>,
    },
    /// What a reader delivered.
    Frame(Frame),
}

/// Why a sample is none. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The bytes are no image.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The pixels are no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The frame is no size for a fingerprint.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image shows no usable fingerprint.
    #[error("{0}; {hint}", hint = .0.hint())]
    Extract(#[from] ExtractError),
}

impl SampleError {
    /// What the person at the reader can do, when it lies with the finger and not with the caller.
    #[must_use]
    pub fn retry_hint(&self) -> Option<&'static str> {
        match self {
            Self::Extract(
                why @ (ExtractError::NoFingerprint
                | ExtractError::TooLittleArea
                | ExtractError::TooFewMinutiae { .. }),
            ) => Some(why.hint()),
            _ => None,
        }
    }
}

/// A sample that has been through the matcher.
pub struct Examined {
    /// What the matcher found.
    pub extraction: Extraction,
    /// Digest of pixels, size and resolution: the same for a bit-identical presentation only.
    pub digest: [u8; 32],
}

impl Sample {
    /// The frame of it.
    ///
    /// # Errors
    /// [`SampleError::Decode`] or [`SampleError::Frame`].
    pub fn into_frame(self) -> Result<Frame, SampleError> {
        match self {
            Self::Encoded { bytes, dpi } => Ok(decode(&bytes, dpi)?),
            Self::RawGrey { width, height, dpi, pixels } => Ok(Frame::new(width, height, dpi, pixels)?),
            Self::Frame(frame) => Ok(frame),
        }
    }

    /// Extracts the template.
    ///
    /// # Errors
    /// [`SampleError`].
    pub fn examine(self) -> Result<Examined, SampleError> {
        let frame = self.into_frame()?;
        let digest = digest(&frame);
        let dpi = authenteon_matcher::Dpi::new(u32::from(frame.dpi().get()))?;
        let image = Image::new(frame.width(), frame.height(), dpi, frame.into_pixels())?;
        Ok(Examined { extraction: extract(&image)?, digest })
    }
}

fn digest(frame: &Frame) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(frame.width().to_be_bytes());
    hash.update(frame.height().to_be_bytes());
    hash.update(frame.dpi().get().to_be_bytes());
    hash.update(frame.pixels());
    hash.finalize().into()
}
