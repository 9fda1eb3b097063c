//! The native coding of a template. Strict: what is read is exactly what would be written.
//!
//! `"AUTM"`, version 1, width and height in pixels (u16), number of minutiae (u8), then six bytes
//! each: x, y in tenths of a pixel (u16), angle (u8), quality with the top bit set for a
//! bifurcation (u8). Numbers are big-endian; minutiae are in ascending order of (y, x, angle,
//! kind, quality) and all different.

use super::{Template, TemplateError};
use crate::minutiae::{Minutia, MinutiaKind};

const MAGIC: &[u8; 4] = b"AUTM";
const VERSION: u8 = 1;
const HEADER: usize = 10;
const RECORD: usize = 6;
const BIFURCATION: u8 = 0x80;

/// The order that makes equal templates equal bytes.
pub(super) fn order(m: &Minutia) -> (u16, u16, u8, bool, u8) {
    (m.y, m.x, m.angle, m.kind == MinutiaKind::Bifurcation, m.quality)
}

pub(super) fn encode(template: &Template) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + RECORD * template.minutiae.len());
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&template.width.to_be_bytes());
    out.extend_from_slice(&template.height.to_be_bytes());
    out.push(template.minutiae.len() as u8);
    for m in &template.minutiae {
        out.extend_from_slice(&m.x.to_be_bytes());
        out.extend_from_slice(&m.y.to_be_bytes());
        out.push(m.angle);
        out.push(m.quality | if m.kind == MinutiaKind::Bifurcation { BIFURCATION } else { 0 });
    }
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Template, TemplateError> {
    let Some((magic, rest)) = bytes.split_first_chunk::<4>() else { return Err(TemplateError::Magic) };
    if magic != MAGIC {
        return Err(TemplateError::Magic);
    }
    let short = TemplateError::Length { expected: HEADER, actual: bytes.len() };
    let Some((&version, rest)) = rest.split_first() else { return Err(short) };
    match version {
        VERSION => {}
        0 => return Err(TemplateError::Field("version")),
        later => return Err(TemplateError::Version(later)),
    }
    let Some((&[w0, w1, h0, h1, count], rest)) = rest.split_first_chunk::<5>() else { return Err(short) };
    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
    let count = usize::from(count);
    if width == 0 || height == 0 || width > Template::MAX_SIDE || height > Template::MAX_SIDE {
        return Err(TemplateError::Field("size"));
    }
    if count > Template::MAX_MINUTIAE {
        return Err(TemplateError::Field("count"));
    }
    let (records, left) = rest.as_chunks::<RECORD>();
    if records.len() != count || !left.is_empty() {
        return Err(TemplateError::Length { expected: HEADER + RECORD * count, actual: bytes.len() });
    }
    let mut minutiae: Vec<Minutia> = Vec::with_capacity(count);
    for &[x0, x1, y0, y1, angle, quality] in records {
        let m = Minutia {
            x: u16::from_be_bytes([x0, x1]),
            y: u16::from_be_bytes([y0, y1]),
            angle,
            kind: if quality & BIFURCATION == 0 { MinutiaKind::Ending } else { MinutiaKind::Bifurcation },
            quality: quality & !BIFURCATION,
        };
        if m.x >= width * 10 || m.y >= height * 10 {
            return Err(TemplateError::Field("place"));
        }
        if m.quality > 100 {
            return Err(TemplateError::Field("quality"));
        }
        if minutiae.last().is_some_and(|last| order(last) >= order(&m)) {
            return Err(TemplateError::Field("order"));
        }
        minutiae.push(m);
    }
    Ok(Template { width, height, minutiae })
}

#[cfg(test)]
mod tests {
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

    fn template() -> impl Strategy<Value = Template> {
        proptest::collection::vec(minutia(), 0..140).prop_map(|list| Template::new((500, 400), list))
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
