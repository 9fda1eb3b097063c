//! ANSI/INCITS 378-2004 and 378-2009: as ISO's, but angles in two degrees and other headers.

use super::{
    Grid, InterchangeError, Record, STANDARD_DENSITY, View,
    bytes::{Reader, count, set_length},
    image_size, read_extensions, read_minutia, template, write_extensions, write_minutia,
};

/// CBEFF product owner "unknown" is not allowed; this is the value that registers reserve for it.
const OWNER_UNKNOWN: u16 = 0x0103;
/// Quality "not reported" in the edition of 2009.
const UNREPORTED: u8 = 254;

/// Two degrees to 1/256 turns.
fn from_two_degrees(angle: u8) -> Result<u8, InterchangeError> {
    if angle >= 180 {
        return Err(InterchangeError::Field("angle"));
    }
    let turns = (u16::from(angle) * 256 + 90) / 180;
    Ok((turns % 256) as u8)
}

/// 1/256 turns to two degrees.
fn to_two_degrees(angle: u8) -> u8 {
    let degrees = (u16::from(angle) * 180 + 128) / 256;
    (degrees % 180) as u8
}

pub(super) fn decode_2004(bytes: &[u8]) -> Result<Record, InterchangeError> {
    let mut reader = Reader::new(bytes);
    reader.take(8)?;
    let mut length = usize::from(reader.u16()?);
    if length == 0 {
        length = reader.u32()? as usize;
    }
    reader.end_at(length, bytes.len())?;
    reader.take(2 + 2 + 2)?; // owner, type, device
    let (width, height) = (reader.u16()?, reader.u16()?);
    let grid = Grid::new(reader.u16()?, reader.u16()?)?;
    let (width, height) = (grid.x(width)? / 10, grid.y(height)? / 10);
    let (views, _reserved) = (reader.u8()?, reader.u8()?);
    let views = (0..views)
        .map(|_| {
            let position = reader.u8()?;
            let impression = reader.u8()? & 0x0F;
            let quality = Some(reader.u8()?).filter(|q| *q <= 100);
            let (minutiae, extensions) = minutiae_and_extensions(&mut reader, grid)?;
            Ok(View {
                position,
                impression,
                quality,
                template: template(width, height, minutiae)?,
                extensions,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Record { views })
}

pub(super) fn decode_2009(bytes: &[u8]) -> Result<Record, InterchangeError> {
    let mut reader = Reader::new(bytes);
    reader.take(8)?;
    let length = reader.u32()? as usize;
    reader.end_at(length, bytes.len())?;
    reader.take(2 + 2 + 1 + 2)?; // owner, type, certification, device
    let (views, _reserved) = (reader.u8()?, reader.u8()?);
    let views = (0..views)
        .map(|_| {
            let (position, _number, impression) = (reader.u8()?, reader.u8()?, reader.u8()?);
            let quality = Some(reader.u8()?).filter(|q| *q <= 100);
            reader.take(2 + 2)?; // quality's vendor, algorithm
            let (width, height) = (reader.u16()?, reader.u16()?);
            let grid = Grid::new(reader.u16()?, reader.u16()?)?;
            let (width, height) = (grid.x(width)? / 10, grid.y(height)? / 10);
            let (minutiae, extensions) = minutiae_and_extensions(&mut reader, grid)?;
            Ok(View {
                position,
                impression,
                quality,
                template: template(width, height, minutiae)?,
                extensions,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Record { views })
}

fn minutiae_and_extensions(
    reader: &mut Reader<'_>,
    grid: Grid,
) -> Result<(Vec<crate::minutiae::Minutia>, Vec<u8>), InterchangeError> {
    let minutiae = reader.u8()?;
    let minutiae =
        (0..minutiae).map(|_| read_minutia(reader, grid, from_two_degrees)).collect::<Result<_, _>>()?;
    Ok((minutiae, read_extensions(reader)?))
}

pub(super) fn encode_2004(record: &Record) -> Result<Vec<u8>, InterchangeError> {
    let mut body = Vec::new();
    for field in [OWNER_UNKNOWN, 0, 0] {
        body.extend(field.to_be_bytes());
    }
    let (width, height) = image_size(record);
    for field in [width, height, STANDARD_DENSITY, STANDARD_DENSITY] {
        body.extend(field.to_be_bytes());
    }
    body.extend([count(record.views.len())?, 0]);
    for (number, view) in record.views.iter().enumerate() {
        let number = u8::try_from(number).ok().filter(|n| *n < 16);
        let number = number.ok_or(InterchangeError::Unfit("more than 16 views"))?;
        body.extend([
            view.position,
            number << 4 | view.impression & 0x0F,
            view.quality.unwrap_or(UNREPORTED),
        ]);
        write_view(&mut body, view)?;
    }
    let mut out = b"FMR\0 20\0".to_vec();
    match u16::try_from(out.len() + 2 + body.len()) {
        Ok(length) => {
            out.extend(length.to_be_bytes());
            out.extend(body);
        }
        Err(_) => {
            out.extend([0; 6]);
            out.extend(body);
            set_length(&mut out, 10)?;
        }
    }
    Ok(out)
}

pub(super) fn encode_2009(record: &Record) -> Result<Vec<u8>, InterchangeError> {
    let mut out = b"FMR\x00030\0\0\0\0\0".to_vec();
    for field in [OWNER_UNKNOWN, 0] {
        out.extend(field.to_be_bytes());
    }
    out.extend([0, 0, 0, count(record.views.len())?, 0]); // certification, device, views, reserved
    for (number, view) in record.views.iter().enumerate() {
        let quality = view.quality.unwrap_or(UNREPORTED);
        out.extend([view.position, count(number)?, view.impression, quality]);
        let (width, height) = (view.template.width(), view.template.height());
        for field in [OWNER_UNKNOWN, 1, width, height, STANDARD_DENSITY, STANDARD_DENSITY] {
            out.extend(field.to_be_bytes());
        }
        write_view(&mut out, view)?;
    }
    set_length(&mut out, 8)?;
    Ok(out)
}

fn write_view(out: &mut Vec<u8>, view: &View) -> Result<(), InterchangeError> {
    out.push(count(view.template.minutiae().len())?);
    for minutia in view.template.minutiae() {
        write_minutia(out, minutia, to_two_degrees);
    }
    write_extensions(out, &view.extensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_of_two_degrees_survive_the_way_in_and_out() {
        for angle in 0..180 {
            assert_eq!(to_two_degrees(from_two_degrees(angle).unwrap()), angle);
        }
        assert_eq!(from_two_degrees(180), Err(InterchangeError::Field("angle")));
    }
}
