//! Reading big-endian fields without ever reading past the end.

use super::InterchangeError;

/// What is left of a record.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], InterchangeError> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(InterchangeError::Truncated { missing: count - self.rest.len() }),
        }
    }

    /// Ends the record where its length says, of the `total` bytes that there are: nothing behind it
    /// is part of it.
    pub(super) fn end_at(&mut self, length: usize, total: usize) -> Result<(), InterchangeError> {
        let behind = total
            .checked_sub(length)
            .ok_or_else(|| InterchangeError::Truncated { missing: length - total })?;
        let left = self.rest.len().checked_sub(behind).and_then(|left| self.rest.get(..left));
        self.rest = left.ok_or(InterchangeError::Length("a record shorter than its header"))?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InterchangeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, InterchangeError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, InterchangeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, InterchangeError> {
        self.array().map(u32::from_be_bytes)
    }
}

/// Puts the record's length where the header keeps it.
pub(super) fn set_length(record: &mut [u8], at: usize) -> Result<(), InterchangeError> {
    let length = u32::try_from(record.len()).map_err(|_| InterchangeError::Unfit("longer than 4 GiB"))?;
    if let Some(field) = record.get_mut(at..at + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// The number of minutiae as the one byte that formats have for it.
pub(super) fn count(minutiae: usize) -> Result<u8, InterchangeError> {
    u8::try_from(minutiae).map_err(|_| InterchangeError::Unfit("more than 255 minutiae"))
}
