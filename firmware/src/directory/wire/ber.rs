//! BER as LDAP uses it (RFC 4511 section 5.1): definite lengths, low tag numbers, octet strings in one piece.
//!
//! Invariant: nothing here copies, recurses or panics, whatever comes in.

/// Bytes that are no BER of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed BER")]
pub(in crate::directory) struct Malformed;

/// Tags that are met.
pub(in crate::directory) mod tag {
    pub(in crate::directory) const BOOLEAN: u8 = 0x01;
    pub(in crate::directory) const INTEGER: u8 = 0x02;
    pub(in crate::directory) const OCTETS: u8 = 0x04;
    pub(in crate::directory) const ENUMERATED: u8 = 0x0a;
    pub(in crate::directory) const SEQUENCE: u8 = 0x30;
    pub(in crate::directory) const SET: u8 = 0x31;
}

/// Where the content of what `bytes` begin with lies: how long its header is, and how long it. `None`: more bytes are needed
/// to say so.
pub(in crate::directory) fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let [tag, length, rest @ ..] = bytes else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    match length {
        0..=0x7f => Ok(Some((2, usize::from(*length)))),
        0x81..=0x84 => {
            let count = usize::from(length & 0x7f);
            let Some(octets) = rest.get(..count) else { return Ok(None) };
            let length = octets.iter().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet));
            Ok(Some((2 + count, usize::try_from(length).map_err(|_| Malformed)?)))
        }
        _ => Err(Malformed),
    }
}

/// Reads one element after the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::directory) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(in crate::directory) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(in crate::directory) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, whatever it is: its tag and its content.
    pub(in crate::directory) fn any(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (before, length) = header(self.0)?.ok_or(Malformed)?;
        let content = self.0.get(before..).and_then(|rest| rest.get(..length)).ok_or(Malformed)?;
        let tag = *self.0.first().ok_or(Malformed)?;
        self.0 = &self.0[before + length..];
        Ok((tag, content))
    }

    /// The content of the next element, which has this tag.
    pub(in crate::directory) fn required(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.any()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// The content of the next element if it has this tag; else it stays.
    pub(in crate::directory) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.0.first() == Some(&tag) { self.required(tag).map(Some) } else { Ok(None) }
    }

    /// Nothing follows.
    pub(in crate::directory) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// A whole number out of the content of INTEGER or ENUMERATED.
pub(in crate::directory) fn integer(content: &[u8]) -> Result<i64, Malformed> {
    let (first, rest) = content.split_first().ok_or(Malformed)?;
    if rest.len() > 7 {
        return Err(Malformed);
    }
    let start = i64::from(first.cast_signed());
    Ok(rest.iter().fold(start, |sum, octet| sum << 8 | i64::from(*octet)))
}

/// An element around this content.
pub(in crate::directory) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let length: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
            bytes.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            bytes.extend(length);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// INTEGER, as short as it can be.
pub(in crate::directory) fn of_integer(number: i64) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let spare = octets
        .windows(2)
        .take_while(|pair| {
            matches!(pair, [0, next] if next & 0x80 == 0) || matches!(pair, [0xff, next] if next & 0x80 != 0)
        })
        .count();
    element(tag::INTEGER, &octets[spare..])
}

/// SEQUENCE of these elements.
pub(in crate::directory) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(tag::SEQUENCE, &elements.concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(number: i64) {
            let bytes = of_integer(number);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.required(tag::INTEGER).and_then(integer), Ok(number));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn an_element_is_read_as_it_was_written(content in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let bytes = element(tag::OCTETS, &content);
            prop_assert_eq!(Reader::new(&bytes).any(), Ok((tag::OCTETS, content.as_slice())));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while !reader.is_empty() && reader.any().is_ok() {}
        }
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        assert_eq!(of_integer(0), [2, 1, 0]);
        assert_eq!(of_integer(127), [2, 1, 127]);
        assert_eq!(of_integer(128), [2, 2, 0, 128]);
        assert_eq!(of_integer(i64::from(i32::MIN)), [2, 4, 0x80, 0, 0, 0]);
    }

    #[test]
    fn lengths_without_end_and_high_tags_are_refused() {
        assert_eq!(header(&[0x30, 0x80]), Err(Malformed));
        assert_eq!(header(&[0x30, 0x85, 0, 0, 0, 0, 1]), Err(Malformed));
        assert_eq!(header(&[0x1f, 1]), Err(Malformed));
        assert_eq!(header(&[0x30]), Ok(None));
        assert_eq!(header(&[0x30, 0x82, 1]), Ok(None));
    }
}
