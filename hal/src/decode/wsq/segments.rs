//! The chain of segments: markers, bodies with a length, and coded data up to the next marker.
//! Nothing is ever read past the end.

use super::WsqError;

/// What is left of the file.
pub(super) struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next marker.
    pub(super) fn marker(&mut self) -> Result<u16, WsqError> {
        let [high, low, rest @ ..] = self.rest else { return Err(WsqError::Truncated) };
        self.rest = rest;
        Ok(u16::from_be_bytes([*high, *low]))
    }

    /// The body of a segment; its length counts itself.
    pub(super) fn body(&mut self, name: &'static str) -> Result<Fields<'a>, WsqError> {
        let [high, low, rest @ ..] = self.rest else { return Err(WsqError::Truncated) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let length = length.checked_sub(2).ok_or(WsqError::Length(name))?;
        let (body, rest) = rest.split_at_checked(length).ok_or(WsqError::Truncated)?;
        self.rest = rest;
        Ok(Fields { rest: body, name })
    }

    /// Coded data up to the next marker: every 0xFF in it is followed by a zero.
    pub(super) fn coded(&mut self) -> Result<&'a [u8], WsqError> {
        let marker = |pair: &[u8]| matches!(pair, [0xFF, low] if *low != 0);
        let end = self.rest.windows(2).position(marker).ok_or(WsqError::Truncated)?;
        let (coded, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(coded)
    }
}

/// The body of one segment.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    name: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(super) fn all(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], WsqError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(WsqError::Length(self.name))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WsqError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WsqError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WsqError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WsqError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A decimal fraction: how many of its digits stand behind the point, and 16 bits of digits.
    pub(super) fn scaled(&mut self) -> Result<f32, WsqError> {
        let places = self.u8()?;
        Ok(decimal(u32::from(self.u16()?), places))
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), WsqError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WsqError::Length(self.name)) }
    }
}

/// `digits` with so many of them behind the point; of too many nothing is left.
pub(super) fn decimal(digits: u32, places: u8) -> f32 {
    (0..places).fold(f64::from(digits), |value, _| value / 10.0) as f32
}
