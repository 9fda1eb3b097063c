//! ISO/IEC 19794-2:2005, compact card format (clause 8): three bytes a minutia, no header. x and y in
//! tenths of a millimetre, two bits of type, six bits of angle.

use super::{InterchangeError, Record, View, code_of, kind_of, template};
use crate::minutiae::Minutia;

/// Tenths of a pixel at 500 dpi in a tenth of a millimetre, times 254: 0.1 mm = 500 / 254 pixels.
const TENTHS_TIMES_254: u32 = 5000;

pub(super) fn decode(bytes: &[u8]) -> Result<Record, InterchangeError> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(3) {
        return Err(InterchangeError::Length("a compact record is a whole number of three-byte minutiae"));
    }
    if bytes.len() / 3 > usize::from(u8::MAX) {
        return Err(InterchangeError::Length("more than 255 minutiae"));
    }
    let tenths = |unit: u8| {
        let scaled = (u32::from(unit) * TENTHS_TIMES_254 + 127) / 254;
        u16::try_from(scaled).map_err(|_| InterchangeError::Field("coordinate"))
    };
    let minutiae = bytes
        .as_chunks::<3>()
        .0
        .iter()
        .map(|&[x, y, type_and_angle]| {
            Ok(Minutia {
                x: tenths(x)?,
                y: tenths(y)?,
                angle: (type_and_angle & 0x3F) << 2,
                kind: kind_of(u16::from(type_and_angle >> 6)),
                quality: super::UNREPORTED_QUALITY,
            })
        })
        .collect::<Result<_, InterchangeError>>()?;
    let template = template(1, 1, minutiae)?;
    Ok(Record {
        views: vec![View { position: 0, impression: 0, quality: None, template, extensions: Vec::new() }],
    })
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>, InterchangeError> {
    let [view] = record.views.as_slice() else {
        return Err(InterchangeError::Unfit("a compact record holds one view"));
    };
    let unit = |tenths: u16| {
        let scaled = (u32::from(tenths) * 254 + TENTHS_TIMES_254 / 2) / TENTHS_TIMES_254;
        u8::try_from(scaled).map_err(|_| InterchangeError::Unfit("a compact record reaches 25.5 mm"))
    };
    let mut out = Vec::with_capacity(view.template.minutiae().len() * 3);
    for m in view.template.minutiae() {
        // Six bits of angle, rounded, and round the circle.
        let angle = (m.angle.wrapping_add(2)) >> 2;
        let kind = (code_of(m.kind) as u8) << 6;
        out.extend([unit(m.x)?, unit(m.y)?, kind | angle]);
    }
    Ok(out)
}
