//! Image to template: the table of contents of the extraction.

use crate::{
    image::{
        Image,
        condition::{self, QualityReason},
        contrast::equalise,
        normalise::normalise,
        plane::Plane,
        quality,
        segment::segment,
    },
    minutiae::{MinutiaKind, clean::clean, collect::collect, duality::join, select::select},
    observe::{self, Blind, Observer, Picture},
    params::{AREA_MIN, CELL, MINUTIAE_MIN, PERIOD_BELIEVED},
    ridge::{
        bits::Bits,
        enhance::enhance,
        flow,
        orientation::{self, Orientation},
        period,
        thin::thin,
    },
    template::Template,
};

/// What an extraction gives.
#[derive(Clone, Debug)]
pub struct Extraction {
    /// The minutiae found.
    pub template: Template,
    /// 0 (useless) to 100, see `image::quality`.
    pub quality: u8,
    /// What is wrong with the print, the most important first; often nothing.
    pub reasons: Vec<QualityReason>,
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
    extract_observed(image, &mut Blind)
}

/// Extracts, and shows every intermediate picture to an observer.
///
/// # Errors
/// [`ExtractError`] when the image shows no usable fingerprint.
pub fn extract_observed(image: &Image, observer: &mut dyn Observer) -> Result<Extraction, ExtractError> {
    let grey = normalise(image);
    observer.step("1-normalised", &|| observe::grey(&grey, 0.0, 255.0));
    let mask = segment(&grey);
    observer.step("2-mask", &|| observe::grey(&mask.map(|m| f32::from(u8::from(m))), 0.0, 1.0));
    check_area(&mask)?;
    let equalised = equalise(&grey);
    observer.step("3-equalised", &|| observe::grey(&equalised, 2.0, -2.0));
    let orientation = orientation::estimate(&equalised, &mask);
    observer.step("4-coherence", &|| observe::grey(&orientation.coherence, 0.0, 1.0));
    let period = period::estimate(&equalised, &mask, &orientation);
    observer.step("5-period", &|| observe::grey(&period.log.map(libm::expf), 4.0, 16.0));
    check_period(period.median)?;
    let enhanced = enhance(&equalised, &mask, &orientation, &period);
    observer.step("6-enhanced", &|| observe::grey(&enhanced, 1.5, -1.5));
    let clarity = quality::clarity(&equalised, &enhanced, &mask);
    observer.step("7-clarity", &|| observe::grey(&clarity, 0.0, 1.0));
    let ridges = skeleton(&enhanced, &orientation, |v| v > 0.0);
    observer.step("8-ridges", &|| draw_bits(&ridges));
    let valleys = skeleton(&enhanced, &orientation, |v| v < 0.0);
    observer.step("9-valleys", &|| draw_bits(&valleys));
    let (ending, fork) = (MinutiaKind::Ending, MinutiaKind::Bifurcation);
    let of_ridges = collect(&ridges, &orientation, ending, fork);
    let of_valleys = collect(&valleys, &orientation, fork, ending);
    let joined = join(&of_ridges, &of_valleys);
    let size = (grey.width, grey.height);
    let minutiae = select(joined, &mask, &orientation, &clarity, size);
    if minutiae.len() < MINUTIAE_MIN {
        return Err(ExtractError::TooFewMinutiae { found: minutiae.len() });
    }
    let reasons = condition::reasons(&grey, &mask);
    let quality = quality::grade(&clarity, &mask, minutiae.len());
    let flow = flow::collect(&orientation, &period, &clarity, &mask, size);
    Ok(Extraction { template: Template::new(size, minutiae).with_flow(flow), quality, reasons })
}

fn check_area(mask: &Plane<bool>) -> Result<(), ExtractError> {
    match mask.data.iter().filter(|&&m| m).count() * CELL * CELL {
        0 => Err(ExtractError::NoFingerprint),
        area if area < AREA_MIN => Err(ExtractError::TooLittleArea),
        _ => Ok(()),
    }
}

fn check_period(median: f32) -> Result<(), ExtractError> {
    if (PERIOD_BELIEVED[0]..=PERIOD_BELIEVED[1]).contains(&median) {
        Ok(())
    } else {
        Err(ExtractError::Resolution { tenths: (median * 10.0) as u16 })
    }
}

fn skeleton(enhanced: &Plane<f32>, orientation: &Orientation, of: impl Fn(f32) -> bool) -> Bits {
    let mut bits = Bits::of(enhanced, of);
    thin(&mut bits);
    clean(&mut bits, orientation);
    bits
}

fn draw_bits(bits: &Bits) -> Picture {
    let mut pixels = vec![255; bits.width * bits.height];
    for (x, y) in bits.ones() {
        pixels[y as usize * bits.width + x as usize] = 0;
    }
    Picture { width: bits.width, height: bits.height, pixels }
}
