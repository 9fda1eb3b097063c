//! Huffman-coded coefficients: canonical codes of up to 16 bits for runs of zeros, small values, and
//! escapes to larger ones.

use super::{WsqError, segments::Fields};

/// Bits of the longest code.
const LONGEST: usize = 16;

/// The codes of one table, by their length: codes of a length follow each other.
pub(super) struct HuffmanTable {
    /// The first code of each length.
    first: [u32; LONGEST],
    /// How many codes there are of each length.
    count: [u8; LONGEST],
    /// What the codes mean, in their order.
    values: Vec<u8>,
}

impl HuffmanTable {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, WsqError> {
        let mut count = [0; LONGEST];
        count.copy_from_slice(fields.take(LONGEST)?);
        let mut first = [0; LONGEST];
        let mut code = 0_u32;
        for (length, (first, count)) in first.iter_mut().zip(count).enumerate() {
            *first = code;
            code += u32::from(count);
            if code > 2 << length {
                return Err(WsqError::Table);
            }
            code <<= 1;
        }
        let values = count.iter().map(|&count| usize::from(count)).sum();
        Ok(Self { first, count, values: fields.take(values)?.to_vec() })
    }
}

/// Coded data bit by bit, the zero after each 0xFF left out.
struct Bits<'a> {
    bytes: std::slice::Iter<'a, u8>,
    byte: u8,
    left: u8,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            self.byte = *self.bytes.next()?;
            if self.byte == 0xFF {
                self.bytes.next();
            }
            self.left = 8;
        }
        self.left -= 1;
        Some(u32::from(self.byte >> self.left & 1))
    }

    fn bits(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |bits, _| Some(bits << 1 | self.bit()?))
    }
}

/// The coefficients of one block, in order.
pub(super) struct Block<'a> {
    bits: Bits<'a>,
    table: &'a HuffmanTable,
    /// Zeros of a run that are still to come.
    zeros: u32,
    /// Which block it is, from 1.
    number: usize,
}

impl<'a> Block<'a> {
    pub(super) fn new(coded: &'a [u8], table: &'a HuffmanTable, number: usize) -> Self {
        Self { bits: Bits { bytes: coded.iter(), byte: 0, left: 0 }, table, zeros: 0, number }
    }

    /// The next coefficient.
    pub(super) fn coefficient(&mut self) -> Result<i32, WsqError> {
        while self.zeros == 0 {
            match self.symbol()? {
                run @ 1..=100 => self.zeros = u32::from(run),
                101 => return self.extra(8),
                102 => return self.extra(8).map(|value| -value),
                103 => return self.extra(16),
                104 => return self.extra(16).map(|value| -value),
                // A run of no zeros is none: the next code follows.
                105 => self.zeros = self.extra(8)?.unsigned_abs(),
                106 => self.zeros = self.extra(16)?.unsigned_abs(),
                value @ 107..=254 => return Ok(i32::from(value) - 180),
                0 | 255 => return Err(WsqError::Code),
            }
        }
        self.zeros -= 1;
        Ok(0)
    }

    /// A run may not reach past the block. What is left of its last byte is padding.
    pub(super) fn end(&self) -> Result<(), WsqError> {
        if self.zeros == 0 && self.bits.bytes.as_slice().is_empty() {
            Ok(())
        } else {
            Err(WsqError::BlockLong(self.number))
        }
    }

    fn extra(&mut self, bits: usize) -> Result<i32, WsqError> {
        let value = self.bits.bits(bits).ok_or(WsqError::BlockShort(self.number))?;
        Ok(value as i32)
    }

    fn symbol(&mut self) -> Result<u8, WsqError> {
        let (mut code, mut passed) = (0, 0);
        for (first, count) in self.table.first.iter().zip(self.table.count) {
            code = code << 1 | self.bits.bit().ok_or(WsqError::BlockShort(self.number))?;
            let count = usize::from(count);
            if let Some(at) = code.checked_sub(*first).map(|at| at as usize).filter(|at| *at < count) {
                return self.table.values.get(passed + at).copied().ok_or(WsqError::Code);
            }
            passed += count;
        }
        Err(WsqError::Code)
    }
}
