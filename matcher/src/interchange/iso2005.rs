//! ISO/IEC 19794-2:2005, record format (clause 7): a header of 24 bytes, then views.

use super::{
    Grid, InterchangeError, Record, STANDARD_DENSITY, View,
    bytes::{Reader, count, set_length},
    image_size, read_extensions, read_minutia, template, write_extensions, write_minutia,
};

pub(super) fn decode(bytes: &[u8]) -> Result<Record, InterchangeError> {
    let mut reader = Reader::new(bytes);
    reader.take(8)?;
    let length = reader.u32()? as usize;
    reader.end_at(length, bytes.len())?;
    let _device = reader.u16()?;
    let (width, height) = (reader.u16()?, reader.u16()?);
    let grid = Grid::new(reader.u16()?, reader.u16()?)?;
    let (width, height) = (grid.x(width)? / 10, grid.y(height)? / 10);
    let (views, _reserved) = (reader.u8()?, reader.u8()?);
    let views = (0..views)
        .map(|_| {
            let position = reader.u8()?;
            let impression = reader.u8()? & 0x0F;
            let quality = Some(reader.u8()?).filter(|q| (1..=100).contains(q));
            let minutiae = reader.u8()?;
            let minutiae =
                (0..minutiae).map(|_| read_minutia(&mut reader, grid, Ok)).collect::<Result<_, _>>()?;
            let extensions = read_extensions(&mut reader)?;
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

pub(super) fn encode(record: &Record) -> Result<Vec<u8>, InterchangeError> {
    let (width, height) = image_size(record);
    let mut out = b"FMR\0 20\0\0\0\0\0\0\0".to_vec();
    for field in [width, height, STANDARD_DENSITY, STANDARD_DENSITY] {
        out.extend(field.to_be_bytes());
    }
    out.extend([count(record.views.len())?, 0]);
    for (number, view) in record.views.iter().enumerate() {
        let number = u8::try_from(number).ok().filter(|n| *n < 16);
        let number = number.ok_or(InterchangeError::Unfit("more than 16 views"))?;
        out.extend([view.position, number << 4 | view.impression & 0x0F, view.quality.unwrap_or(0)]);
        out.push(count(view.template.minutiae().len())?);
        for minutia in view.template.minutiae() {
            write_minutia(&mut out, minutia, |angle| angle);
        }
        write_extensions(&mut out, &view.extensions)?;
    }
    set_length(&mut out, 8)?;
    Ok(out)
}
