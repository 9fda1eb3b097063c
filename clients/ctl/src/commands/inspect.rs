//! `inspect`: every intermediate picture of an extraction, for people to look at. Needs no box.
//!
//! Invariant: what is drawn is what the extraction of the same file gives the box.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use authenteon_hal::{Dpi, decode::decode, encode};
use authenteon_matcher::{Extraction, Image, Minutia, MinutiaKind, Observer, Picture, extract_observed};
use serde_json::json;

use crate::args::OneImage;
use crate::error::CtlError;
use crate::outcome::Outcome;

/// No image that makes a frame is larger.
const MAX_FILE: u64 = 64 << 20;
/// Pixels of the drawing for one of the print.
const ZOOM: usize = 3;
/// Length of a minutia's direction, in pixels of the drawing.
const TICK: f64 = 24.0;
/// Colours of ridge endings and bifurcations.
const ENDING: [u8; 3] = [220, 40, 30];
const BIFURCATION: [u8; 3] = [30, 80, 230];

/// Reads a picture of a print into an image that the matcher takes.
pub(super) fn read_image(path: &Path, dpi: u32) -> Result<Image, CtlError> {
    let refuse = |reason: &dyn std::fmt::Display| CtlError::File {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    };
    let length = fs::metadata(path).map_err(|error| refuse(&error))?.len();
    if length > MAX_FILE {
        return Err(refuse(&"too large for a picture of a print"));
    }
    let dpi = Dpi::new(dpi).map_err(|error| CtlError::Usage(error.to_string()))?;
    let bytes = fs::read(path).map_err(|error| refuse(&error))?;
    let frame = decode(&bytes, dpi).map_err(|error| refuse(&error))?;
    let dpi = authenteon_matcher::Dpi::new(u32::from(frame.dpi().get())).map_err(|error| refuse(&error))?;
    Image::new(frame.width(), frame.height(), dpi, frame.into_pixels()).map_err(|error| refuse(&error))
}

/// Keeps the pictures, and the time without drawing them.
struct Album {
    pictures: Vec<(&'static str, Picture)>,
    drawing: Duration,
}

impl Observer for Album {
    fn step(&mut self, name: &'static str, draw: &dyn Fn() -> Picture) {
        let begun = Instant::now();
        self.pictures.push((name, draw()));
        self.drawing += begun.elapsed();
    }
}

/// Runs the command.
pub(crate) fn run(image: &OneImage, out: &Path) -> Result<Outcome, CtlError> {
    let print = read_image(&image.file, image.dpi)?;
    let mut album = Album { pictures: Vec::new(), drawing: Duration::ZERO };
    let begun = Instant::now();
    let extracted = extract_observed(&print, &mut album);
    let ms = (begun.elapsed() - album.drawing).as_secs_f64() * 1000.0;
    let failed = |path: &Path, error: &dyn std::fmt::Display| CtlError::File {
        path: path.to_path_buf(),
        reason: error.to_string(),
    };
    fs::create_dir_all(out).map_err(|error| failed(out, &error))?;
    let mut written: Vec<PathBuf> = Vec::new();
    let mut write = |name: &str, file: Result<Vec<u8>, encode::EncodeError>| {
        let path = out.join(format!("{name}.png"));
        let file = file.map_err(|error| failed(&path, &error))?;
        fs::write(&path, file).map_err(|error| failed(&path, &error))?;
        written.push(path);
        Ok::<(), CtlError>(())
    };
    for (name, picture) in &album.pictures {
        write(name, encode::grey_png(picture.width, picture.height, &picture.pixels))?;
    }
    if let (Ok(Extraction { template, .. }), Some((_, print))) = (&extracted, album.pictures.first()) {
        let drawing = draw(print, template.minutiae());
        write("minutiae", encode::colour_png(print.width * ZOOM, print.height * ZOOM, &drawing))?;
    }
    let pictures = format!("{} pictures in {}", written.len(), out.display());
    match extracted {
        Ok(Extraction { template, quality, reasons }) => {
            let kinds = |kind| template.minutiae().iter().filter(|m| m.kind == kind).count();
            let (endings, forks) = (kinds(MinutiaKind::Ending), kinds(MinutiaKind::Bifurcation));
            let hints: Vec<&str> = reasons.iter().map(|reason| reason.hint()).collect();
            let advice = if hints.is_empty() { String::new() } else { format!(" ({})", hints.join("; ")) };
            let text = format!(
                "{} minutiae ({endings} endings, {forks} bifurcations), quality {quality}{advice}, {ms:.1} ms\n{pictures}",
                endings + forks
            );
            let names: Vec<&str> = reasons.iter().map(|reason| reason.name()).collect();
            let json = json!({
                "minutiae": endings + forks, "endings": endings, "bifurcations": forks,
                "quality": quality, "reasons": names, "hints": hints,
                "width": template.width(), "height": template.height(), "ms": ms, "pictures": written,
            });
            Ok(Outcome::done(text, json))
        }
        // The pictures show why.
        Err(error) => Err(failed(&image.file, &format!("{error}; {}; {pictures}", error.hint()))),
    }
}

/// The print, pale and enlarged, with its minutiae.
fn draw(print: &Picture, minutiae: &[Minutia]) -> Vec<u8> {
    let (width, height) = (print.width * ZOOM, print.height * ZOOM);
    let mut out = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let grey = print.pixels[y / ZOOM * print.width + x / ZOOM];
            out.extend([110 + (u32::from(grey) * 145 / 255) as u8; 3]);
        }
    }
    for minutia in minutiae {
        let colour = match minutia.kind {
            MinutiaKind::Ending => ENDING,
            MinutiaKind::Bifurcation => BIFURCATION,
        };
        // What is poor fades into the paper.
        let strength = 0.35 + 0.65 * f64::from(minutia.quality) / 100.0;
        let mut dot = |x: f64, y: f64| {
            let (Some(x), Some(y)) = (pixel(x, width), pixel(y, height)) else { return };
            for (channel, &ink) in out[3 * (y * width + x)..][..3].iter_mut().zip(&colour) {
                *channel = (f64::from(*channel) * (1.0 - strength) + f64::from(ink) * strength) as u8;
            }
        };
        let scale = ZOOM as f64 / 10.0;
        let (x, y) = (f64::from(minutia.x) * scale, f64::from(minutia.y) * scale);
        let angle = f64::from(minutia.angle) * std::f64::consts::TAU / 256.0;
        for step in 0..60 {
            let turn = f64::from(step) * std::f64::consts::TAU / 60.0;
            dot(x + 6.0 * turn.cos(), y + 6.0 * turn.sin());
            dot(x + 7.0 * turn.cos(), y + 7.0 * turn.sin());
        }
        // Angles are counter-clockwise, rows run down.
        for step in 0..(TICK as u32) {
            let far = 7.0 + f64::from(step);
            let (px, py) = (x + far * angle.cos(), y - far * angle.sin());
            dot(px, py);
            dot(px + 1.0, py);
        }
    }
    out
}

fn pixel(place: f64, side: usize) -> Option<usize> {
    (place >= 0.0 && (place as usize) < side).then_some(place as usize)
}
