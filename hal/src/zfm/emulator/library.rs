//! The little library that such a module keeps for hosts that let it match by itself.
//!
//! It has no matcher: a template is the image that it was made of, and only the very same image
//! matches. Invariant: it answers every command of the library with the length that the manuals give,
//! found or not, and says no to what it cannot do.

use std::collections::BTreeMap;

/// Pages that the library has.
pub(super) const CAPACITY: u16 = 200;

const OK: u8 = 0x00;
const NO_MATCH: u8 = 0x08;
const NOT_FOUND: u8 = 0x09;
const NOT_ONE_FINGER: u8 = 0x0A;
const BAD_PAGE: u8 = 0x0B;
const CANNOT_LOAD: u8 = 0x0C;
const CANNOT_UPLOAD: u8 = 0x0D;
const CANNOT_RECEIVE: u8 = 0x0E;
const CANNOT_DELETE: u8 = 0x10;
const NO_IMAGE: u8 = 0x15;
/// What it says of two images that are the same; manuals tell no scale.
const SCORE: u8 = 100;

/// A finger as this module remembers it.
type Template = Vec<u8>;

#[derive(Default)]
pub(super) struct Library {
    buffers: [Option<Template>; 2],
    pages: BTreeMap<u16, Template>,
}

impl Library {
    /// Power is cut: flash stays.
    pub(super) fn power_cut(&mut self) {
        self.buffers = [None, None];
    }

    /// The answer to a command of the library; `None` for other commands.
    pub(super) fn obey(&mut self, command: &[u8], image: Option<&[u8]>) -> Option<Vec<u8>> {
        Some(match command {
            [0x02, buffer] => match image {
                Some(image) => {
                    *self.buffer(*buffer) = Some(image.to_vec());
                    vec![OK]
                }
                None => vec![NO_IMAGE],
            },
            [0x03] => match &self.buffers {
                [Some(one), Some(other)] if one == other => vec![OK, 0, SCORE],
                _ => vec![NO_MATCH, 0, 0],
            },
            [0x04 | 0x1B, buffer, start @ .., n1, n0] if start.len() == 2 => {
                let first = page(start).unwrap_or_default();
                let end = first.saturating_add(u16::from_be_bytes([*n1, *n0]));
                let wanted = self.buffer(*buffer).clone();
                let mut pages = self.pages.range(first..end.max(first));
                match pages.find(|(_, template)| Some(*template) == wanted.as_ref()) {
                    Some((found, _)) => [&[OK][..], &found.to_be_bytes(), &[0, SCORE]].concat(),
                    None => vec![NOT_FOUND, 0, 0, 0, 0],
                }
            }
            [0x05] => match &self.buffers {
                [Some(one), Some(other)] if one == other => vec![OK],
                _ => vec![NOT_ONE_FINGER],
            },
            [0x06, buffer, at @ ..] => vec![match (page(at), self.buffer(*buffer).clone()) {
                (Some(at), Some(template)) => {
                    self.pages.insert(at, template);
                    OK
                }
                _ => BAD_PAGE,
            }],
            [0x07, buffer, at @ ..] => vec![match page(at).map(|at| self.pages.get(&at).cloned()) {
                Some(Some(template)) => {
                    *self.buffer(*buffer) = Some(template);
                    OK
                }
                Some(None) => CANNOT_LOAD,
                None => BAD_PAGE,
            }],
            [0x08, _] => vec![CANNOT_UPLOAD],
            [0x09, _] | [0x0B] => vec![CANNOT_RECEIVE],
            [0x0C, p1, p0, n1, n0] => vec![match page(&[*p1, *p0]) {
                Some(first) => {
                    let end = first.saturating_add(u16::from_be_bytes([*n1, *n0]));
                    self.pages.retain(|at, _| !(first..end).contains(at));
                    OK
                }
                None => CANNOT_DELETE,
            }],
            [0x0D] => {
                self.pages.clear();
                vec![OK]
            }
            [0x1D] => {
                let count = u16::try_from(self.pages.len()).unwrap_or(u16::MAX);
                [&[OK][..], &count.to_be_bytes()].concat()
            }
            [0x1F, index] => {
                let mut table = [0_u8; 32];
                for at in self.pages.keys().filter(|at| *at >> 8 == u16::from(*index)) {
                    let [_, low] = at.to_be_bytes();
                    if let Some(byte) = table.get_mut(usize::from(low / 8)) {
                        *byte |= 1 << (low % 8);
                    }
                }
                [&[OK][..], &table].concat()
            }
            _ => return None,
        })
    }

    /// Whatever is not the first buffer is the second, say the manuals.
    fn buffer(&mut self, number: u8) -> &mut Option<Template> {
        let [one, two] = &mut self.buffers;
        if number == 1 { one } else { two }
    }
}

/// A page that the library has.
fn page(bytes: &[u8]) -> Option<u16> {
    let page = u16::from_be_bytes(bytes.try_into().ok()?);
    (page < CAPACITY).then_some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(library: &mut Library, command: &[u8], image: Option<&[u8]>) -> Vec<u8> {
        library.obey(command, image).unwrap()
    }

    #[test]
    fn a_finger_is_enrolled_found_counted_and_deleted() {
        let mut library = Library::default();
        let (thumb, other) = (Some(&[1, 2, 3][..]), Some(&[4, 5, 6][..]));
        assert_eq!(told(&mut library, &[0x02, 1], None), [NO_IMAGE]);
        told(&mut library, &[0x02, 1], thumb);
        told(&mut library, &[0x02, 2], other);
        assert_eq!(told(&mut library, &[0x03], None), [NO_MATCH, 0, 0]);
        assert_eq!(told(&mut library, &[0x05], None), [NOT_ONE_FINGER]);
        told(&mut library, &[0x02, 2], thumb);
        assert_eq!(told(&mut library, &[0x03], None), [OK, 0, SCORE]);
        assert_eq!(told(&mut library, &[0x05], None), [OK]);
        assert_eq!(told(&mut library, &[0x06, 1, 0, 199], None), [OK]);
        assert_eq!(told(&mut library, &[0x06, 1, 0, 200], None), [BAD_PAGE]);
        assert_eq!(told(&mut library, &[0x1D], None), [OK, 0, 1]);
        assert_eq!(told(&mut library, &[0x1F, 0], None)[1 + 24], 0x80);
        assert_eq!(told(&mut library, &[0x04, 1, 0, 0, 0, 200], None), [OK, 0, 199, 0, SCORE]);
        assert_eq!(told(&mut library, &[0x1B, 1, 0, 0, 0, 199], None), [NOT_FOUND, 0, 0, 0, 0]);
        told(&mut library, &[0x02, 1], other);
        assert_eq!(told(&mut library, &[0x04, 1, 0, 0, 0, 200], None), [NOT_FOUND, 0, 0, 0, 0]);
        assert_eq!(told(&mut library, &[0x07, 1, 0, 199], None), [OK]);
        library.power_cut();
        assert_eq!(told(&mut library, &[0x03], None), [NO_MATCH, 0, 0]);
        assert_eq!(told(&mut library, &[0x1D], None), [OK, 0, 1], "flash stays");
        assert_eq!(told(&mut library, &[0x0C, 0, 199, 0, 1], None), [OK]);
        assert_eq!(told(&mut library, &[0x07, 1, 0, 199], None), [CANNOT_LOAD]);
        assert_eq!(library.obey(&[0x0F], None), None);
    }
}
