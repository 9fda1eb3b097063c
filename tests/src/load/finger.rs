//! The fingers of the load: synthetic, each with three impressions to enrol and others to present, all distinct.

use authenteon_matcher::{
    Dpi, Image, extract,
    interchange::{Format, Record, View, encode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{LoadError, Sample};
use crate::{
    accuracy::{Progress, in_parallel},
    sets::png,
    synthetic::{Conditions, DPI, Finger, Impression},
};

/// Impressions that are enrolled.
const ENROLLED: u64 = 3;
/// Probes of one finger at most: many fingers are enrolled, as in an office.
const PROBES_EACH: usize = 25;

/// A person of the load.
pub(super) struct Person {
    /// What is enrolled, as the API takes it.
    pub(super) enrol: Vec<Value>,
    /// What is presented, as the API takes it.
    pub(super) probes: Vec<Value>,
}

/// People with so many probes in all, no two alike.
pub(super) fn people(
    probes: usize,
    sample: Sample,
    progress: &dyn Progress,
) -> Result<Vec<Person>, LoadError> {
    let wanted: Vec<(u64, usize)> = (0..probes.div_ceil(PROBES_EACH).max(1))
        .map(|at| (at as u64 + 1, (probes - at * PROBES_EACH).min(PROBES_EACH)))
        .collect();
    progress.begin("rendering fingers", wanted.len());
    in_parallel(&wanted, progress, |(seed, probes)| person(*seed, *probes, sample)).into_iter().collect()
}

fn person(seed: u64, probes: usize, sample: Sample) -> Result<Person, LoadError> {
    let finger = Finger::new(seed);
    let impression = |number| finger.impression(number, &Conditions::good());
    let enrol = (1..=ENROLLED).map(|number| picture(&impression(number))).collect::<Result<_, _>>()?;
    let mut presented = Vec::with_capacity(probes);
    let mut number = ENROLLED;
    while presented.len() < probes {
        number += 1;
        let impression = impression(number);
        // A print that a reader would not have taken is not sent.
        let Ok(extraction) = extract(&image(&impression)?) else { continue };
        presented.push(match sample {
            Sample::Image => picture(&impression)?,
            Sample::Template => record(extraction)?,
        });
    }
    Ok(Person { enrol, probes: presented })
}

fn image(impression: &Impression) -> Result<Image, LoadError> {
    let fails = |why: authenteon_matcher::ImageError| LoadError::Print(why.to_string());
    let dpi = Dpi::new(u32::from(DPI)).map_err(fails)?;
    Image::new(impression.width, impression.height, dpi, impression.pixels.clone()).map_err(fails)
}

fn picture(impression: &Impression) -> Result<Value, LoadError> {
    let file = png(impression.width, impression.height, &impression.pixels, false)
        .map_err(|why| LoadError::Print(why.to_string()))?;
    Ok(json!({ "format": "png", "data": STANDARD.encode(file) }))
}

fn record(extraction: authenteon_matcher::Extraction) -> Result<Value, LoadError> {
    let view = View {
        position: 0,
        impression: 0,
        quality: Some(extraction.quality),
        template: extraction.template,
        extensions: Vec::new(),
    };
    let bytes = encode(&Record { views: vec![view] }, Format::Iso2005)
        .map_err(|why| LoadError::Print(why.to_string()))?;
    Ok(json!({ "format": "minutiae-record", "data": STANDARD.encode(bytes) }))
}
