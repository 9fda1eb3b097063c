//! Every print of a set once through the extractor, on one thread and timed there, decoding left out.

use std::time::Duration;

use authenteon_matcher::{Dpi, Extraction, Image, Prepared, extract};

use super::{clock::Stopwatch, protocol::Progress};
use crate::sets::{PrintFile, Set, SetError, load_at};

/// Images decoded at a time: few enough for memory, enough for the clock.
const BATCH: usize = 64;

/// A print that gave no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub name: String,
    /// Why, in the extractor's words.
    pub reason: String,
}

/// The prints of a set, ready to be compared.
pub struct PreparedSet {
    /// In the order of the set; none for a failure.
    pub prints: Vec<Option<Prepared>>,
    /// Quality of each, 0 for a failure.
    pub qualities: Vec<u8>,
    /// Those that gave no template.
    pub failures: Vec<Failure>,
    /// Time in the extractor, all images together.
    pub extraction: Duration,
}

/// Extracts every print of a set.
///
/// # Errors
/// [`SetError`] when an image cannot be read; an image that gives no template is a [`Failure`].
pub fn prepare(set: &Set, progress: &dyn Progress) -> Result<PreparedSet, SetError> {
    let mut out = PreparedSet {
        prints: Vec::with_capacity(set.prints.len()),
        qualities: Vec::with_capacity(set.prints.len()),
        failures: Vec::new(),
        extraction: Duration::ZERO,
    };
    progress.begin(&format!("{}: extracting", set.name), set.prints.len());
    for prints in set.prints.chunks(BATCH) {
        let images = prints.iter().map(|print| image(set.dpi, print)).collect::<Result<Vec<_>, _>>()?;
        let watch = Stopwatch::start();
        let extracted: Vec<Result<Extraction, String>> =
            images.into_iter().map(|image| extract(&image?).map_err(|e| e.to_string())).collect();
        out.extraction += watch.elapsed();
        for (print, extracted) in prints.iter().zip(extracted) {
            match extracted {
                Ok(extraction) => {
                    out.prints.push(Some(Prepared::new(&extraction.template)));
                    out.qualities.push(extraction.quality);
                }
                Err(reason) => {
                    out.failures.push(Failure { name: print.name.clone(), reason });
                    out.prints.push(None);
                    out.qualities.push(0);
                }
            }
        }
        progress.advance(prints.len());
    }
    Ok(out)
}

/// Decodes an image; what cannot be an image of a finger is a failure to extract.
pub(crate) fn image(dpi: u32, print: &PrintFile) -> Result<Result<Image, String>, SetError> {
    let dpi = match authenteon_hal::Dpi::new(dpi) {
        Ok(dpi) => dpi,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let frame = load_at(&print.path, dpi)?;
    let dpi = Dpi::new(u32::from(frame.dpi().get())).map_err(|e| e.to_string());
    Ok(dpi.and_then(|dpi| {
        Image::new(frame.width(), frame.height(), dpi, frame.into_pixels()).map_err(|e| e.to_string())
    }))
}
