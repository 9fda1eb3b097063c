//! A biometric sample as callers present it, and its way to a template: the only one there is.
//!
//! Pictures are extracted; a template that the caller brings is taken as it is, so that all that is asked of it is
//! asked here. Invariant: the digest is the same for the same pixels, and for the same minutiae, whatever file they
//! came in.

use authenteon_hal::{
    Dpi, Frame, FrameError,
    decode::{DecodeError, decode},
};
use authenteon_matcher::{
    ExtractError, Extraction, Image, ImageError, Template, TemplateError, extract,
    interchange::{self, InterchangeError},
    params::MINUTIAE_MIN,
};
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
    /// A template in the native coding.
    Template(Vec<u8>),
    /// A minutiae record of ISO/IEC 19794-2 or ANSI/INCITS 378, of one impression; its header tells which.
    Record(Vec<u8>),
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
    /// The bytes are no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The bytes are no minutiae record.
    #[error(transparent)]
    Record(#[from] InterchangeError),
    /// The record holds none, or several.
    #[error("the record holds {got} impressions: a sample is one, send each in a record of its own")]
    Impressions {
        /// How many.
        got: usize,
    },
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

/// A sample whose file was read: what is in it is not looked at yet.
pub struct Decoded {
    shown: Shown,
    /// Of pixels, size and resolution, or of the minutiae: the same for a bit-identical presentation only.
    pub digest: [u8; 32],
}

enum Shown {
    Frame(Frame),
    Template { template: Template, quality: u8 },
}

/// A sample that has been through the matcher.
pub struct Examined {
    /// What the matcher found, or what the caller says that it is.
    pub extraction: Extraction,
    /// As that of [`Decoded`].
    pub digest: [u8; 32],
}

impl Sample {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SampleError`], but for what is wrong with the finger.
    pub fn decode(self) -> Result<Decoded, SampleError> {
        let shown = match self {
            Self::Encoded { bytes, dpi } => Shown::Frame(decode(&bytes, dpi)?),
            Self::RawGrey { width, height, dpi, pixels } => {
                Shown::Frame(Frame::new(width, height, dpi, pixels)?)
            }
            Self::Frame(frame) => Shown::Frame(frame),
            Self::Template(bytes) => {
                let template = Template::from_bytes(&bytes)?;
                Shown::Template { quality: mean_quality(&template), template }
            }
            Self::Record(bytes) => {
                let views = interchange::decode(&bytes)?.views;
                let got = views.len();
                let [view] = <[_; 1]>::try_from(views).map_err(|_| SampleError::Impressions { got })?;
                let quality = view.quality.unwrap_or_else(|| mean_quality(&view.template));
                Shown::Template { quality, template: view.template }
            }
        };
        let digest = shown.digest();
        Ok(Decoded { shown, digest })
    }

    /// Reads the file and extracts the template.
    ///
    /// # Errors
    /// [`SampleError`].
    pub fn examine(self) -> Result<Examined, SampleError> {
        self.decode()?.examine()
    }
}

impl Decoded {
    /// Extracts the template.
    ///
    /// # Errors
    /// [`SampleError`].
    pub fn examine(self) -> Result<Examined, SampleError> {
        let extraction = match self.shown {
            Shown::Frame(frame) => {
                let dpi = authenteon_matcher::Dpi::new(u32::from(frame.dpi().get()))?;
                extract(&Image::new(frame.width(), frame.height(), dpi, frame.into_pixels())?)?
            }
            Shown::Template { template, quality } => {
                // As of an image: with fewer, any two fingers are alike.
                let found = template.minutiae().len();
                if found < MINUTIAE_MIN {
                    return Err(ExtractError::TooFewMinutiae { found }.into());
                }
                Extraction { template, quality, reasons: Vec::new() }
            }
        };
        Ok(Examined { extraction, digest: self.digest })
    }
}

impl Shown {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        match self {
            Self::Frame(frame) => {
                hash.update(b"frame");
                hash.update(frame.width().to_be_bytes());
                hash.update(frame.height().to_be_bytes());
                hash.update(frame.dpi().get().to_be_bytes());
                hash.update(frame.pixels());
            }
            Self::Template { template, .. } => {
                hash.update(b"template");
                hash.update(template.to_bytes());
            }
        }
        hash.finalize().into()
    }
}

/// What stands for the quality of an impression where nobody says it: that of its minutiae.
fn mean_quality(template: &Template) -> u8 {
    let qualities = template.minutiae().iter().map(|minutia| u32::from(minutia.quality));
    let count = template.minutiae().len().max(1) as u32;
    (qualities.sum::<u32>() / count).min(100) as u8
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use authenteon_matcher::interchange::{Format, Record, View};

    use super::*;

    fn picture() -> Sample {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prints/125_1.png");
        Sample::Encoded { bytes: std::fs::read(path).unwrap(), dpi: Dpi::STANDARD }
    }

    fn record(template: &Template, format: Format, quality: Option<u8>, views: usize) -> Sample {
        let view =
            View { position: 2, impression: 0, quality, template: template.clone(), extensions: Vec::new() };
        let record = Record { views: vec![view; views] };
        Sample::Record(interchange::encode(&record, format).unwrap())
    }

    fn refused(sample: Sample) -> SampleError {
        sample.examine().map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_template_is_taken_as_it_is_and_is_the_same_in_every_edition() {
        let found = picture().examine().unwrap().extraction.template;
        let native = Sample::Template(found.to_bytes()).examine().unwrap();
        assert!(native.extraction.template == found);
        let iso = record(&found, Format::Iso2005, None, 1).examine().unwrap();
        assert_eq!(iso.extraction.template.minutiae().len(), found.minutiae().len());
        assert_eq!(iso.digest, record(&found, Format::Iso2011, Some(3), 1).examine().unwrap().digest);
        assert_ne!(iso.digest, native.digest, "a record keeps whole pixels only");
        assert_ne!(native.digest, picture().examine().unwrap().digest);
    }

    #[test]
    fn the_quality_is_what_the_record_says_or_else_what_its_minutiae_have() {
        let minutia = |n: u16, quality| authenteon_matcher::Minutia {
            x: 100 * n,
            y: 70 * n,
            angle: n as u8,
            kind: authenteon_matcher::MinutiaKind::Ending,
            quality,
        };
        let minutiae = (1..=6).map(|n| minutia(n, if n <= 3 { 20 } else { 41 })).collect();
        let template = Template::from_minutiae(300, 300, minutiae).unwrap();
        let quality = |sample: Sample| sample.examine().unwrap().extraction.quality;
        assert_eq!(quality(record(&template, Format::Iso2005, Some(77), 1)), 77);
        assert_eq!(quality(record(&template, Format::Ansi2009, None, 1)), 30);
        assert_eq!(quality(Sample::Template(template.to_bytes())), 30);
    }

    #[test]
    fn what_is_no_template_of_one_impression_is_refused_for_what_it_is() {
        let found = picture().examine().unwrap().extraction.template;
        assert_eq!(
            refused(Sample::Record(b"FMR".to_vec())),
            SampleError::Record(InterchangeError::UnknownFormat)
        );
        assert_eq!(refused(Sample::Template(b"AUT".to_vec())), SampleError::Template(TemplateError::Magic));
        for views in [2, 3] {
            let several = record(&found, Format::Ansi2004, None, views);
            assert_eq!(refused(several), SampleError::Impressions { got: views });
        }
        let few = found.minutiae()[..MINUTIAE_MIN - 1].to_vec();
        let few = Template::from_minutiae(found.width(), found.height(), few).unwrap();
        let few = refused(Sample::Template(few.to_bytes()));
        assert!(few.retry_hint().is_some(), "another impression may have more: {few}");
    }
}
