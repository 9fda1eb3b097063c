//! ISO/IEC 19794-2:2011, record format (clause 8): a header of 15 bytes, then representations, each
//! with its own length, date, device, qualities, resolution and size.

use super::{
    Grid, InterchangeError, Record, STANDARD_DENSITY, View,
    bytes::{Reader, count, set_length},
    kind_of, quality_of, read_extensions, template, write_extensions, write_minutia,
};
use crate::minutiae::Minutia;

/// Bytes of the record's header.
const HEADER: usize = 15;
/// Shortest representation: no quality block, no minutia.
const SHORTEST: usize = 34;
/// "No date": all bits set (ISO/IEC 19794-1:2011, 7.4).
const NO_DATE: [u8; 9] = [0xFF; 9];
/// Quality "not reported".
const UNREPORTED: u8 = 254;

/// Whether the representations' lengths add up to the record's: what tells it from ANSI 378-2009.
pub(super) fn lengths_add_up(bytes: &[u8]) -> bool {
    let sum = || -> Result<bool, InterchangeError> {
        let mut reader = Reader::new(bytes);
        reader.take(8)?;
        let total = reader.u32()? as usize;
        let representations = reader.u16()?;
        reader.u8()?;
        let mut sum = HEADER;
        for _ in 0..representations {
            let length = reader.u32()? as usize;
            if length < SHORTEST {
                return Ok(false);
            }
            reader.take(length - 4)?;
            sum += length;
        }
        Ok(sum == total)
    };
    sum().unwrap_or(false)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Record, InterchangeError> {
    let mut reader = Reader::new(bytes);
    reader.take(8)?;
    let length = reader.u32()? as usize;
    reader.end_at(length, bytes.len())?;
    let representations = reader.u16()?;
    let certified = reader.u8()? != 0;
    let views = (0..representations)
        .map(|_| {
            let length = reader.u32()? as usize;
            let body = length
                .checked_sub(4)
                .ok_or(InterchangeError::Length("a representation shorter than its length"))?;
            let mut body = Reader::new(reader.take(body)?);
            let view = representation(&mut body, certified)?;
            if body.is_empty() {
                Ok(view)
            } else {
                Err(InterchangeError::Length("a representation longer than what is in it"))
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(Record { views })
}

fn representation(reader: &mut Reader<'_>, certified: bool) -> Result<View, InterchangeError> {
    reader.take(9 + 1 + 2 + 2)?; // date, technology, vendor, device
    let mut quality = None;
    for _ in 0..reader.u8()? {
        let value = reader.u8()?;
        quality = quality.or(Some(value).filter(|q| *q <= 100));
        reader.take(4)?; // vendor, algorithm
    }
    if certified {
        let blocks = usize::from(reader.u8()?);
        reader.take(blocks * 3)?;
    }
    let (position, _number) = (reader.u8()?, reader.u8()?);
    let grid = Grid::new(reader.u16()?, reader.u16()?)?;
    let impression = reader.u8()?;
    let (width, height) = (reader.u16()?, reader.u16()?);
    let with_quality = match reader.u8()? >> 4 {
        5 => false,
        6 => true,
        _ => return Err(InterchangeError::Field("minutia length")),
    };
    let minutiae = reader.u8()?;
    let minutiae = (0..minutiae)
        .map(|_| {
            let (type_and_x, y) = (reader.u16()?, reader.u16()?);
            let angle = reader.u8()?;
            let quality = quality_of(if with_quality { reader.u8()? } else { UNREPORTED });
            let (x, y) = (grid.x(type_and_x & 0x3FFF)?, grid.y(y & 0x3FFF)?);
            Ok(Minutia { x, y, angle, kind: kind_of(type_and_x >> 14), quality })
        })
        .collect::<Result<_, InterchangeError>>()?;
    let extensions = read_extensions(reader)?;
    let template = template(grid.x(width)? / 10, grid.y(height)? / 10, minutiae)?;
    Ok(View { position, impression, quality, template, extensions })
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>, InterchangeError> {
    let mut out = b"FMR\x00030\0\0\0\0\0".to_vec();
    out.extend(u16::from(count(record.views.len())?).to_be_bytes());
    out.push(0); // no certification blocks
    for (number, view) in record.views.iter().enumerate() {
        let start = out.len();
        out.extend([0; 4]);
        out.extend(NO_DATE);
        out.extend([0; 5]); // technology, vendor, device: unknown
        match view.quality {
            // Vendor and algorithm unknown.
            Some(quality) => out.extend([1, quality, 0, 0, 0, 0]),
            None => out.push(0),
        }
        out.extend([view.position, count(number)?]);
        out.extend([STANDARD_DENSITY.to_be_bytes(), STANDARD_DENSITY.to_be_bytes()].concat());
        out.push(view.impression);
        out.extend([view.template.width().to_be_bytes(), view.template.height().to_be_bytes()].concat());
        // Six bytes a minutia; endings lie where the valley's skeleton forks (type 0).
        out.extend([6 << 4, count(view.template.minutiae().len())?]);
        for minutia in view.template.minutiae() {
            write_minutia(&mut out, minutia, |angle| angle);
        }
        write_extensions(&mut out, &view.extensions)?;
        set_representation_length(&mut out, start)?;
    }
    set_length(&mut out, 8)?;
    Ok(out)
}

fn set_representation_length(out: &mut [u8], start: usize) -> Result<(), InterchangeError> {
    match out.get_mut(start..) {
        Some(representation) => set_length(representation, 0),
        None => Ok(()),
    }
}
