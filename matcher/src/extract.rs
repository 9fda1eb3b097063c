//! Image to template: the table of contents of the extraction.

use crate::{
    image::{Image, normalise::normalise, quality::quality},
    minutiae::{
        Minutia,
        detect::candidates,
        duality::{kept, merged, minutia},
    },
    params::{CELL, LEAST_AREA, LEAST_MINUTIAE, PLAUSIBLE_PERIOD},
    ridge::{
        contrast::normalised,
        enhance::enhanced,
        mask::{depth, mask},
        orientation::orientation,
        period::periods,
        skeleton::thinned,
    },
    template::Template,
};

/// What an extraction gives.
#[derive(Clone, Debug)]
pub struct Extraction {
    /// The minutiae found.
    pub template: Template,
    /// 0 (useless) to 100: area, clarity of the ridges, and minutiae that can be trusted.
    pub quality: u8,
}

/// Why an image gave no template. [`ExtractError::hint`] says what the person at the reader can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtractError {
    /// No ridges anywhere: blank, noise, or not a finger.
    #[error("no fingerprint in the image")]
    NoFingerprint,
    /// Ridges cover too little of the image.
    #[error("the finger covers too little of the reader")]
    TooLittleArea,
    /// The ridges are not as far apart as a finger's are at this resolution.
    #[error("ridges are {tenths} tenths of a pixel apart at 500 dpi: the resolution given is wrong")]
    Resolution {
        /// Median ridge period at 500 dpi in tenths of a pixel.
        tenths: u16,
    },
    /// Too few minutiae to tell a finger by.
    #[error("only {found} minutiae found")]
    TooFewMinutiae {
        /// How many were found.
        found: usize,
    },
}

impl ExtractError {
    /// What the person at the reader, or who calls, can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoFingerprint => "place a clean finger flat on the reader",
            Self::TooLittleArea => "move the finger to the centre and press harder",
            Self::Resolution { .. } => "say the true resolution of the image",
            Self::TooFewMinutiae { .. } => "place the finger flat, in the centre, and hold still",
        }
    }
}

/// Extracts the minutiae of one impression.
///
/// # Errors
/// [`ExtractError`] when the image shows no usable fingerprint.
pub fn extract(image: &Image) -> Result<Extraction, ExtractError> {
    let pixels = normalise(image);
    let mask = mask(&pixels).ok_or(ExtractError::NoFingerprint)?;
    let area = mask.data.iter().filter(|inside| **inside).count() as f32 * (CELL * CELL) as f32;
    if area < LEAST_AREA {
        return Err(ExtractError::TooLittleArea);
    }
    let contrast = normalised(&pixels);
    let orientation = orientation(&contrast, &mask);
    let periods = periods(&contrast, &mask, &orientation).ok_or(ExtractError::NoFingerprint)?;
    let (least, most) = PLAUSIBLE_PERIOD;
    if !(least..=most).contains(&periods.median) {
        return Err(ExtractError::Resolution { tenths: libm::rintf(periods.median * 10.0) as u16 });
    }
    let ridges = enhanced(&contrast, &mask, &orientation, &periods);
    let depth = depth(&mask);
    let on_ridges = candidates(&thinned(ridges.map(|v| v > 0.0)), &depth);
    let on_valleys = candidates(&thinned(ridges.map(|v| v < 0.0)), &depth);
    let all = kept(merged(&on_ridges, &on_valleys));
    let minutiae: Vec<Minutia> = all.iter().map(|c| minutia(c, pixels.width, pixels.height)).collect();
    if minutiae.len() < LEAST_MINUTIAE {
        return Err(ExtractError::TooFewMinutiae { found: minutiae.len() });
    }
    let template = Template::new(pixels.width as u16, pixels.height as u16, minutiae)
        .map_err(|_| ExtractError::NoFingerprint)?;
    let quality = quality(&mask, area, &orientation, template.minutiae());
    Ok(Extraction { template, quality })
}
