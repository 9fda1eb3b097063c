//! `sensor replay`: what a reader's driver makes of recorded traffic. Needs no box.

use std::fs;
use std::path::Path;

use authenteon_hal::replay::traffic;
use authenteon_hal::{Dpi, encode};
use serde_json::json;

use crate::args::Recording;
use crate::error::CtlError;
use crate::outcome::Outcome;

/// No recording that holds one frame is larger.
const MAX_RECORDING: u64 = 256 << 20;

/// Runs the command.
pub(super) fn run(recording: Recording) -> Result<Outcome, CtlError> {
    let Recording { device, capture, out, dpi } = recording;
    let dpi = dpi.map(Dpi::new).transpose().map_err(|error| CtlError::Usage(error.to_string()))?;
    let description = read(&device)?;
    let description = String::from_utf8_lossy(&description);
    let played = traffic::play(&description, &read(&capture)?, dpi);
    let (info, frame) = played.map_err(|error| refuse(&capture, &error))?;
    let png = encode::png(&frame).map_err(|error| refuse(&out, &error))?;
    fs::write(&out, png).map_err(|error| refuse(&out, &error))?;
    let (width, height, dpi) = (frame.width(), frame.height(), frame.dpi().get());
    let text = format!("{}: {width}x{height} at {dpi} dpi written to {}", info.model, out.display());
    let json = json!({"model": info.model, "width": width, "height": height, "dpi": dpi, "out": out});
    Ok(Outcome::done(text, json))
}

fn read(path: &Path) -> Result<Vec<u8>, CtlError> {
    let length = fs::metadata(path).map_err(|error| refuse(path, &error))?.len();
    if length > MAX_RECORDING {
        return Err(refuse(path, &"too large for a recording"));
    }
    fs::read(path).map_err(|error| refuse(path, &error))
}

fn refuse(path: &Path, reason: &dyn std::fmt::Display) -> CtlError {
    CtlError::File { path: path.to_path_buf(), reason: reason.to_string() }
}
