//! Templates of others: minutiae records of ISO/IEC and ANSI/INCITS to [`Template`]s and back.
//!
//! Invariant: bytes that are not a record give a typed error, whatever lengths they announce; what
//! decodes encodes again. Coordinates become tenths of a pixel at 500 dpi on the way in, and whole
//! pixels at 197 per cm (500 dpi) on the way out. Extension blocks travel untouched.

mod ansi378;
mod bytes;
mod compact;
mod iso2005;
mod iso2011;

use crate::{
    minutiae::{Minutia, MinutiaKind},
    template::Template,
};
use bytes::Reader;

/// A published coding of minutiae.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// ISO/IEC 19794-2:2005, record format.
    Iso2005,
    /// ISO/IEC 19794-2:2011, record format.
    Iso2011,
    /// ANSI/INCITS 378-2004.
    Ansi2004,
    /// ANSI/INCITS 378-2009.
    Ansi2009,
    /// ISO/IEC 19794-2:2005, compact card format: minutiae only, three bytes each.
    Compact,
}

/// Why bytes are not a record, or a record does not fit a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterchangeError {
    /// The bytes begin as no known record does.
    #[error("not a minutiae record of ISO/IEC 19794-2 or ANSI/INCITS 378")]
    UnknownFormat,
    /// The bytes end before the record does.
    #[error("the record ends {missing} bytes early")]
    Truncated {
        /// Bytes that are missing.
        missing: usize,
    },
    /// A length contradicts what follows.
    #[error("the record's lengths contradict each other: {0}")]
    Length(&'static str),
    /// A field holds what the standard does not allow.
    #[error("record field out of range: {0}")]
    Field(&'static str),
    /// The record does not fit the format asked for.
    #[error("cannot be written in this format: {0}")]
    Unfit(&'static str),
}

/// One impression in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Finger position code (ISO/IEC 19794-2 table 2: 0 unknown, 1 right thumb to 10 left little).
    pub position: u8,
    /// Impression type code (0: live scan, plain).
    pub impression: u8,
    /// Quality 0 to 100, when reported.
    pub quality: Option<u8>,
    /// The minutiae.
    pub template: Template,
    /// Extension blocks as they stood in the record: ridge counts, cores and deltas, vendor data.
    pub extensions: Vec<u8>,
}

/// A minutiae record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The impressions, in the record's order.
    pub views: Vec<View>,
}

/// Tells the format from the first bytes. The compact card format has no header and is never
/// guessed; read it with [`decode_as`].
///
/// # Errors
/// [`InterchangeError::UnknownFormat`].
pub fn detect(bytes: &[u8]) -> Result<Format, InterchangeError> {
    let mut reader = Reader::new(bytes);
    match reader.take(8).map_err(|_| InterchangeError::UnknownFormat)? {
        // Both standards of the first generation share a magic; the length field tells them apart:
        // four bytes in ISO; two in ANSI, or two zeros and four bytes.
        b"FMR\0 20\0" => {
            let (high, low) = (reader.u16()?, reader.u16()?);
            Ok(if high >= 26 || (high == 0 && low < 24) { Format::Ansi2004 } else { Format::Iso2005 })
        }
        // And again in the second: only ISO's representations carry lengths that add up.
        b"FMR\x00030\0" => {
            Ok(if iso2011::lengths_add_up(bytes) { Format::Iso2011 } else { Format::Ansi2009 })
        }
        _ => Err(InterchangeError::UnknownFormat),
    }
}

/// Reads a record whose format its header tells.
///
/// # Errors
/// [`InterchangeError`].
pub fn decode(bytes: &[u8]) -> Result<Record, InterchangeError> {
    decode_as(bytes, detect(bytes)?)
}

/// Reads a record of a known format.
///
/// # Errors
/// [`InterchangeError`].
pub fn decode_as(bytes: &[u8], format: Format) -> Result<Record, InterchangeError> {
    match format {
        Format::Iso2005 => iso2005::decode(bytes),
        Format::Iso2011 => iso2011::decode(bytes),
        Format::Ansi2004 => ansi378::decode_2004(bytes),
        Format::Ansi2009 => ansi378::decode_2009(bytes),
        Format::Compact => compact::decode(bytes),
    }
}

/// Writes a record.
///
/// # Errors
/// [`InterchangeError::Unfit`] when the format cannot carry it.
pub fn encode(record: &Record, format: Format) -> Result<Vec<u8>, InterchangeError> {
    if record.views.is_empty() || record.views.len() > usize::from(u8::MAX) {
        return Err(InterchangeError::Unfit("a record has 1 to 255 views"));
    }
    match format {
        Format::Iso2005 => iso2005::encode(record),
        Format::Iso2011 => iso2011::encode(record),
        Format::Ansi2004 => ansi378::encode_2004(record),
        Format::Ansi2009 => ansi378::encode_2009(record),
        Format::Compact => compact::encode(record),
    }
}

/// Pixels per cm of 500 dpi, as every writer rounds it.
const STANDARD_DENSITY: u16 = 197;

/// Turns coordinates at a record's densities into tenths of a pixel at 500 dpi.
#[derive(Clone, Copy)]
struct Grid {
    /// Pixels per cm across and down.
    density: (u16, u16),
}

impl Grid {
    fn new(x: u16, y: u16) -> Result<Self, InterchangeError> {
        // 125 to 2000 dpi.
        let sane = 49..=788;
        if sane.contains(&x) && sane.contains(&y) {
            Ok(Self { density: (x, y) })
        } else {
            Err(InterchangeError::Field("resolution"))
        }
    }

    fn tenths(value: u16, density: u16) -> Result<u16, InterchangeError> {
        // 500 dpi is 196.85 per cm: written 197 and meant exactly.
        let scaled = if density.abs_diff(STANDARD_DENSITY) <= 1 {
            u32::from(value) * 10
        } else {
            // tenths = value * 10 * 500 / (density * 2.54), rounded.
            let divisor = u64::from(density) * 254;
            let tenths = (u64::from(value) * 500_000 + divisor / 2) / divisor;
            // What is so far out fails the check of its field.
            u32::try_from(tenths).unwrap_or(u32::MAX)
        };
        u16::try_from(scaled).map_err(|_| InterchangeError::Field("coordinate"))
    }

    fn x(self, value: u16) -> Result<u16, InterchangeError> {
        Self::tenths(value, self.density.0)
    }

    fn y(self, value: u16) -> Result<u16, InterchangeError> {
        Self::tenths(value, self.density.1)
    }
}

/// Minutia type codes shared by all of these formats. "Other" and "either" read as endings.
fn kind_of(code: u16) -> MinutiaKind {
    if code == 2 { MinutiaKind::Bifurcation } else { MinutiaKind::Ending }
}

fn code_of(kind: MinutiaKind) -> u16 {
    match kind {
        MinutiaKind::Ending => 1,
        MinutiaKind::Bifurcation => 2,
    }
}

/// Quality where none was reported: neither trusted nor doubted.
const UNREPORTED_QUALITY: u8 = 50;

fn quality_of(code: u8) -> u8 {
    match code {
        1..=100 => code,
        _ => UNREPORTED_QUALITY,
    }
}

/// The six-byte minutia: type and x, y, angle, quality.
fn read_minutia(
    reader: &mut Reader<'_>,
    grid: Grid,
    angle: fn(u8) -> Result<u8, InterchangeError>,
) -> Result<Minutia, InterchangeError> {
    let (type_and_x, y) = (reader.u16()?, reader.u16()?);
    let angle = angle(reader.u8()?)?;
    let quality = quality_of(reader.u8()?);
    Ok(Minutia {
        x: grid.x(type_and_x & 0x3FFF)?,
        y: grid.y(y & 0x3FFF)?,
        angle,
        kind: kind_of(type_and_x >> 14),
        quality,
    })
}

fn write_minutia(out: &mut Vec<u8>, m: &Minutia, angle: fn(u8) -> u8) {
    out.extend((code_of(m.kind) << 14 | pixels(m.x)).to_be_bytes());
    out.extend(pixels(m.y).to_be_bytes());
    out.push(angle(m.angle));
    out.push(m.quality.min(100));
}

/// Tenths of a pixel to whole pixels. The largest is 6554, within the 14 bits that formats have.
fn pixels(tenths: u16) -> u16 {
    tenths / 10 + u16::from(tenths % 10 >= 5)
}

/// Extension blocks: a length of two bytes, and so many bytes of blocks that fill it exactly.
fn read_extensions(reader: &mut Reader<'_>) -> Result<Vec<u8>, InterchangeError> {
    let length = usize::from(reader.u16()?);
    let blocks = reader.take(length)?;
    let mut inner = Reader::new(blocks);
    while !inner.is_empty() {
        let short = |_| InterchangeError::Length("an extension block overruns the extensions");
        inner.u16().map_err(short)?;
        let block = usize::from(inner.u16().map_err(short)?);
        // The block's length counts its own header of four bytes.
        let body = block
            .checked_sub(4)
            .ok_or(InterchangeError::Length("an extension block shorter than its header"))?;
        inner.take(body).map_err(short)?;
    }
    Ok(blocks.to_vec())
}

fn write_extensions(out: &mut Vec<u8>, extensions: &[u8]) -> Result<(), InterchangeError> {
    let length = u16::try_from(extensions.len())
        .map_err(|_| InterchangeError::Unfit("more than 65,535 bytes of extensions"))?;
    out.extend(length.to_be_bytes());
    out.extend(extensions);
    Ok(())
}

/// The record's size in pixels is the largest of its views'.
fn image_size(record: &Record) -> (u16, u16) {
    record.views.iter().fold((1, 1), |(w, h), v| (w.max(v.template.width()), h.max(v.template.height())))
}

/// The template of a view. Some writers announce an image smaller than their minutiae reach, so the
/// size grows to hold them all.
fn template(width: u16, height: u16, minutiae: Vec<Minutia>) -> Result<Template, InterchangeError> {
    let reach = |of: fn(&Minutia) -> u16| minutiae.iter().map(|m| of(m) / 10 + 1).max().unwrap_or(0);
    let (width, height) = (width.max(reach(|m| m.x)), height.max(reach(|m| m.y)));
    Template::from_minutiae(width, height, minutiae).map_err(|_| InterchangeError::Field("minutiae"))
}

#[cfg(test)]
mod tests;
