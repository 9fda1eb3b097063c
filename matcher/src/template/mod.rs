//! The template: what is kept of a finger's impression, and its native coding.

use crate::minutiae::{Minutia, MinutiaKind};

/// Why bytes are not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The bytes do not begin as a template does.
    #[error("not an Authenteon template")]
    Magic,
    /// Made by a later version.
    #[error("template version {0} is newer than this program")]
    Version(u8),
    /// Fewer or more bytes than announced.
    #[error("template of {actual} bytes where {expected} were announced")]
    Length {
        /// Bytes announced.
        expected: usize,
        /// Bytes present.
        actual: usize,
    },
    /// A field holds what cannot be.
    #[error("template field out of range: {0}")]
    Field(&'static str),
}

/// Minutiae of one impression at 500 dpi. Invariant: at most [`Template::MAX_MINUTIAE`], all inside
/// the image, in a canonical order, so that equal templates have equal bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) minutiae: Vec<Minutia>,
}

impl Template {
    /// More are not kept; the best by quality are.
    pub const MAX_MINUTIAE: usize = 128;

    /// Makes a template; the order of the minutiae does not matter, and when there are more than
    /// [`Template::MAX_MINUTIAE`] the best by quality are kept.
    ///
    /// # Errors
    /// [`TemplateError::Field`] when the image is empty or a minutia lies outside it.
    pub fn new(width: u16, height: u16, mut minutiae: Vec<Minutia>) -> Result<Self, TemplateError> {
        if width == 0 || height == 0 {
            return Err(TemplateError::Field("image size"));
        }
        if minutiae.iter().any(|m| m.x / 10 >= width || m.y / 10 >= height) {
            return Err(TemplateError::Field("minutia outside the image"));
        }
        if minutiae.iter().any(|m| m.quality > 100) {
            return Err(TemplateError::Field("quality"));
        }
        minutiae.sort_by_key(|m| (u8::MAX - m.quality, order(m)));
        minutiae.truncate(Self::MAX_MINUTIAE);
        minutiae.sort_by_key(order);
        Ok(Self { width, height, minutiae })
    }

    /// Width of the image at 500 dpi, in pixels.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Height of the image at 500 dpi, in pixels.
    #[must_use]
    pub fn height(&self) -> u16 {
        self.height
    }

    /// The minutiae.
    #[must_use]
    pub fn minutiae(&self) -> &[Minutia] {
        &self.minutiae
    }

    /// The native coding: the same bytes for the same template on every platform. Magic, version,
    /// width, height, count, then six bytes a minutia: x, y, angle, kind and quality; numbers are
    /// big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.minutiae.len() * PER_MINUTIA);
        bytes.extend(MAGIC);
        bytes.push(VERSION);
        bytes.extend(self.width.to_be_bytes());
        bytes.extend(self.height.to_be_bytes());
        // At most MAX_MINUTIAE, which a byte holds.
        bytes.push(self.minutiae.len() as u8);
        for m in &self.minutiae {
            bytes.extend(m.x.to_be_bytes());
            bytes.extend(m.y.to_be_bytes());
            let fork = u8::from(m.kind == MinutiaKind::Bifurcation);
            bytes.extend([m.angle, fork << 7 | m.quality]);
        }
        bytes
    }

    /// Reads the native coding.
    ///
    /// # Errors
    /// [`TemplateError`] for anything that [`Template::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TemplateError> {
        let body = bytes.strip_prefix(&MAGIC).ok_or(TemplateError::Magic)?;
        let (&[version, w0, w1, h0, h1, count], body) = body
            .split_first_chunk()
            .ok_or(TemplateError::Length { expected: HEADER, actual: bytes.len() })?;
        if version != VERSION {
            return Err(TemplateError::Version(version));
        }
        let expected = HEADER + usize::from(count) * PER_MINUTIA;
        if bytes.len() != expected {
            return Err(TemplateError::Length { expected, actual: bytes.len() });
        }
        if usize::from(count) > Self::MAX_MINUTIAE {
            return Err(TemplateError::Field("count"));
        }
        let minutiae: Vec<Minutia> = body
            .as_chunks::<PER_MINUTIA>()
            .0
            .iter()
            .map(|&[x0, x1, y0, y1, angle, kind_and_quality]| Minutia {
                x: u16::from_be_bytes([x0, x1]),
                y: u16::from_be_bytes([y0, y1]),
                angle,
                kind: if kind_and_quality >> 7 == 1 { MinutiaKind::Bifurcation } else { MinutiaKind::Ending },
                quality: kind_and_quality & 0x7F,
            })
            .collect();
        if !minutiae.is_sorted_by_key(order) {
            return Err(TemplateError::Field("order"));
        }
        Self::new(u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]), minutiae)
    }
}

const MAGIC: [u8; 4] = *b"ATNT";
const VERSION: u8 = 1;
/// Magic, version, width, height, count.
const HEADER: usize = 10;
/// x, y, angle, kind and quality.
const PER_MINUTIA: usize = 6;

/// The canonical order of a template's minutiae.
fn order(m: &Minutia) -> (u16, u16, u8, bool, u8) {
    (m.y, m.x, m.angle, m.kind == MinutiaKind::Bifurcation, m.quality)
}

/// Minutiae are biometric data and stay out of logs.
impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({}x{}, {} minutiae)", self.width, self.height, self.minutiae.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn minutia()(x in 0_u16..4000, y in 0_u16..5000, angle in any::<u8>(), fork in any::<bool>(), quality in 0_u8..=100)
            -> Minutia {
            let kind = if fork { MinutiaKind::Bifurcation } else { MinutiaKind::Ending };
            Minutia { x, y, angle, kind, quality }
        }
    }

    proptest! {
        #[test]
        fn a_template_survives_its_coding_whatever_order_it_was_made_in(minutiae in prop::collection::vec(minutia(), 0..200)) {
            let template = Template::new(400, 500, minutiae.clone()).unwrap();
            let reversed = Template::new(400, 500, minutiae.into_iter().rev().collect()).unwrap();
            prop_assert!(template.minutiae().len() <= Template::MAX_MINUTIAE);
            prop_assert_eq!(template.to_bytes(), reversed.to_bytes());
            prop_assert_eq!(Template::from_bytes(&template.to_bytes()).unwrap(), template);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), magic in any::<bool>()) {
            if magic && bytes.len() >= 5 {
                bytes[..4].copy_from_slice(&MAGIC);
                bytes[4] = VERSION;
            }
            if let Ok(template) = Template::from_bytes(&bytes) {
                prop_assert_eq!(template.to_bytes(), bytes);
            }
        }

        #[test]
        fn a_template_cut_short_or_drawn_out_is_refused(minutiae in prop::collection::vec(minutia(), 1..50), cut in 1_usize..6) {
            let bytes = Template::new(400, 500, minutiae).unwrap().to_bytes();
            prop_assert!(Template::from_bytes(&bytes[..bytes.len() - cut]).is_err());
            prop_assert!(Template::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        }
    }

    #[test]
    fn a_minutia_outside_the_image_is_refused() {
        let outside = Minutia { x: 4000, y: 0, angle: 0, kind: MinutiaKind::Ending, quality: 50 };
        assert_eq!(
            Template::new(400, 500, vec![outside]),
            Err(TemplateError::Field("minutia outside the image"))
        );
    }

    #[test]
    fn a_template_of_a_later_version_says_so() {
        let mut bytes = Template::new(400, 500, Vec::new()).unwrap().to_bytes();
        bytes[4] = 2;
        assert_eq!(Template::from_bytes(&bytes), Err(TemplateError::Version(2)));
    }
}
