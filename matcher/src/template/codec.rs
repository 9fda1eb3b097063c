//! The native coding of a template. Strict: what is read is exactly what would be written.
//!
//! `"AUTM"`, version, width and height in pixels (u16), number of minutiae (u8), then six bytes
//! each: x, y in tenths of a pixel (u16), angle (u8), quality with the top bit set for a
//! bifurcation (u8). Numbers are big-endian; minutiae are in ascending order of (y, x, angle,
//! kind, quality) and all different. Version 1 ends here: a template of another maker's minutiae.
//! Version 2 goes on with the ridge flow, row by row, two bytes a cell: angle in 1/256 of half a
//! turn and period in twelfths of a pixel, or twice zero where the ridges are not clear.

use super::{
    Template, TemplateError,
    flow::{Flow, FlowCell},
};
use crate::minutiae::{Minutia, MinutiaKind};

const MAGIC: &[u8; 4] = b"AUTM";
const MINUTIAE_ALONE: u8 = 1;
pub(super) const WITH_FLOW: u8 = 2;
const HEADER: usize = 10;
pub(super) const RECORD: usize = 6;
pub(super) const CELL: usize = 2;
const BIFURCATION: u8 = 0x80;

/// The order that makes equal templates equal bytes.
pub(super) fn order(m: &Minutia) -> (u16, u16, u8, bool, u8) {
    (m.y, m.x, m.angle, m.kind == MinutiaKind::Bifurcation, m.quality)
}

pub(super) fn record_of(m: &Minutia) -> [u8; RECORD] {
    let ([x0, x1], [y0, y1]) = (m.x.to_be_bytes(), m.y.to_be_bytes());
    let kind = if m.kind == MinutiaKind::Bifurcation { BIFURCATION } else { 0 };
    [x0, x1, y0, y1, m.angle, m.quality | kind]
}

/// Of any record; whether there can be such a minutia is not looked at.
pub(super) fn minutia_of(&[x0, x1, y0, y1, angle, quality]: &[u8; RECORD]) -> Minutia {
    Minutia {
        x: u16::from_be_bytes([x0, x1]),
        y: u16::from_be_bytes([y0, y1]),
        angle,
        kind: if quality & BIFURCATION == 0 { MinutiaKind::Ending } else { MinutiaKind::Bifurcation },
        quality: quality & !BIFURCATION,
    }
}

pub(super) fn encode(template: &Template) -> Vec<u8> {
    let cells = template.flow.as_ref().map_or(&[][..], |flow| &flow.cells);
    let mut out = Vec::with_capacity(HEADER + RECORD * template.minutiae.len() + CELL * cells.len());
    out.extend_from_slice(MAGIC);
    out.push(if template.flow.is_some() { WITH_FLOW } else { MINUTIAE_ALONE });
    out.extend_from_slice(&template.width.to_be_bytes());
    out.extend_from_slice(&template.height.to_be_bytes());
    out.push(template.minutiae.len() as u8);
    out.extend(template.minutiae.iter().flat_map(record_of));
    out.extend(cells.iter().flat_map(|cell| [cell.angle, cell.period]));
    out
}

/// A template in its native coding, which was read strictly.
pub(super) struct Coded<'a> {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) records: &'a [[u8; RECORD]],
    /// Angle and period of each cell, where it has a flow.
    pub(super) cells: Option<&'a [[u8; CELL]]>,
}

impl Coded<'_> {
    fn template(&self) -> Template {
        let (width, height) = Flow::cells_of(usize::from(self.width), usize::from(self.height));
        let cell = |&[angle, period]: &[u8; CELL]| FlowCell { angle, period };
        Template {
            width: self.width,
            height: self.height,
            minutiae: self.records.iter().map(minutia_of).collect(),
            flow: self.cells.map(|cells| Flow { width, height, cells: cells.iter().map(cell).collect() }),
        }
    }
}

/// Reads a template.
pub(super) fn decode(bytes: &[u8]) -> Result<Template, TemplateError> {
    parse(bytes).map(|coded| coded.template())
}

/// Reads one without making it.
pub(super) fn parse(bytes: &[u8]) -> Result<Coded<'_>, TemplateError> {
    let Some((magic, rest)) = bytes.split_first_chunk::<4>() else { return Err(TemplateError::Magic) };
    if magic != MAGIC {
        return Err(TemplateError::Magic);
    }
    let short = TemplateError::Length { expected: HEADER, actual: bytes.len() };
    let Some((&version, rest)) = rest.split_first() else { return Err(short) };
    let with_flow = match version {
        MINUTIAE_ALONE => false,
        WITH_FLOW => true,
        0 => return Err(TemplateError::Field("version")),
        later => return Err(TemplateError::Version(later)),
    };
    let Some((&[w0, w1, h0, h1, count], rest)) = rest.split_first_chunk::<5>() else { return Err(short) };
    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
    let count = usize::from(count);
    if width == 0 || height == 0 || width > Template::MAX_SIDE || height > Template::MAX_SIDE {
        return Err(TemplateError::Field("size"));
    }
    if count > Template::MAX_MINUTIAE {
        return Err(TemplateError::Field("count"));
    }
    let (across, down) = Flow::cells_of(usize::from(width), usize::from(height));
    let cells = if with_flow { across * down } else { 0 };
    let wrong =
        TemplateError::Length { expected: HEADER + RECORD * count + CELL * cells, actual: bytes.len() };
    if rest.len() != RECORD * count + CELL * cells {
        return Err(wrong);
    }
    let (records, cells) = rest.split_at(RECORD * count);
    let (records, _) = records.as_chunks::<RECORD>();
    let mut last = None;
    for m in records.iter().map(minutia_of) {
        if m.x >= width * 10 || m.y >= height * 10 {
            return Err(TemplateError::Field("place"));
        }
        if m.quality > 100 {
            return Err(TemplateError::Field("quality"));
        }
        let this = Some(order(&m));
        if last >= this {
            return Err(TemplateError::Field("order"));
        }
        last = this;
    }
    let (cells, _) = cells.as_chunks::<CELL>();
    // Of one that is not clear nothing is said. Not the first that is found: all at once is faster.
    if cells.iter().fold(false, |bad, &[angle, period]| bad | (period == 0 && angle != 0)) {
        return Err(TemplateError::Field("flow"));
    }
    Ok(Coded { width, height, records, cells: with_flow.then_some(cells) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minutia() -> impl Strategy<Value = Minutia> {
        (0u16..5000, 0u16..4000, any::<u8>(), any::<bool>(), 0u8..=100).prop_map(
            |(x, y, angle, fork, quality)| {
                let kind = if fork { MinutiaKind::Bifurcation } else { MinutiaKind::Ending };
                Minutia { x, y, angle, kind, quality }
            },
        )
    }

    fn flow() -> impl Strategy<Value = Flow> {
        let (width, height) = Flow::cells_of(500, 400);
        let cell = (any::<u8>(), any::<u8>()).prop_map(|(angle, period)| match period {
            0..100 => FlowCell::NONE,
            period => FlowCell { angle, period },
        });
        proptest::collection::vec(cell, width * height).prop_map(move |cells| Flow { width, height, cells })
    }

    pub(in crate::template) fn template() -> impl Strategy<Value = Template> {
        (proptest::collection::vec(minutia(), 0..140), proptest::option::of(flow())).prop_map(
            |(list, flow)| {
                let template = Template::new((500, 400), list);
                match flow {
                    Some(flow) => template.with_flow(flow),
                    None => template,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(template in template()) {
            let bytes = template.to_bytes();
            prop_assert!(Template::from_bytes(&bytes) == Ok(template));
        }

        #[test]
        fn no_bytes_make_the_reader_panic_and_what_it_takes_it_writes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(template) = Template::from_bytes(&bytes) {
                prop_assert_eq!(template.to_bytes(), bytes);
            }
        }

        #[test]
        fn a_changed_byte_is_an_error_or_another_template(template in template(), at in any::<proptest::sample::Index>(), value in any::<u8>()) {
            let mut bytes = template.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = value;
            if let Ok(read) = Template::from_bytes(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }

        #[test]
        fn a_cut_template_is_refused(template in template(), at in any::<proptest::sample::Index>()) {
            let bytes = template.to_bytes();
            prop_assert!(Template::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn a_later_version_says_so() {
        let mut bytes = Template::new((10, 10), Vec::new()).to_bytes();
        bytes[4] = 9;
        assert!(matches!(Template::from_bytes(&bytes), Err(TemplateError::Version(9))));
    }

    #[test]
    fn the_order_of_the_minutiae_given_does_not_matter() {
        let m = |x, angle| Minutia { x, y: 7, angle, kind: MinutiaKind::Ending, quality: 50 };
        let one = Template::new((100, 100), vec![m(1, 2), m(3, 4), m(3, 4)]);
        let other = Template::new((100, 100), vec![m(3, 4), m(1, 2)]);
        assert_eq!(one.to_bytes(), other.to_bytes());
    }
}
