//! A one-time code: eight digits that stand for a finger that was accepted a moment ago, where only a password can be typed.
//!
//! Invariant: each of the 100 million is as likely, and two are compared in a time that tells nothing.

use std::fmt;

use aws_lc_rs::rand;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Digits of a code.
const DIGITS: usize = 8;
/// How many codes there are.
const CODES: u32 = 100_000_000;

/// A code, which is never shown but by [`OneTimeCode::text`].
#[derive(Clone)]
pub struct OneTimeCode(Zeroizing<[u8; DIGITS]>);

/// A text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a one-time code has {DIGITS} digits, with or without spaces and dashes")]
pub struct NotAOneTimeCode;

impl TryFrom<&str> for OneTimeCode {
    type Error = NotAOneTimeCode;

    fn try_from(text: &str) -> Result<Self, NotAOneTimeCode> {
        let mut digits = Zeroizing::new([0; DIGITS]);
        let mut at = 0;
        for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            let place = digits.get_mut(at).ok_or(NotAOneTimeCode)?;
            *place = if byte.is_ascii_digit() { byte } else { return Err(NotAOneTimeCode) };
            at += 1;
        }
        if at == DIGITS { Ok(Self(digits)) } else { Err(NotAOneTimeCode) }
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OneTimeCode")
    }
}

impl PartialEq for OneTimeCode {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for OneTimeCode {}

impl OneTimeCode {
    /// One that nobody can guess; `None` without randomness.
    #[must_use]
    pub fn random() -> Option<Self> {
        // Of the numbers at the end, the small codes would be given more often.
        const EVEN: u32 = u32::MAX - u32::MAX % CODES;
        loop {
            let mut bytes = Zeroizing::new([0; 4]);
            rand::fill(bytes.as_mut_slice()).ok()?;
            let number = u32::from_be_bytes(*bytes);
            if number < EVEN {
                return Some(Self::of(number % CODES));
            }
        }
    }

    fn of(mut number: u32) -> Self {
        let mut digits = Zeroizing::new([b'0'; DIGITS]);
        for digit in digits.iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
        }
        Self(digits)
    }

    /// What is typed.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().copied().map(char::from).collect()
    }

    /// For the digest of a request.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_typed_and_nothing_else_is_one() {
        let code = OneTimeCode::of(1_234_567);
        assert_eq!(code.text(), "01234567");
        for typed in ["01234567", "0123 4567", " 0123-4567 "] {
            assert_eq!(OneTimeCode::try_from(typed), Ok(code.clone()), "{typed}");
        }
        for bad in ["", "1234567", "123456789", "1234567a", "secret", "\u{0661}2345678", "１２３４５６７８"]
        {
            assert_eq!(OneTimeCode::try_from(bad), Err(NotAOneTimeCode), "{bad}");
        }
        assert_ne!(code, OneTimeCode::of(1_234_568));
        assert_eq!(format!("{code:?}"), "OneTimeCode");
    }

    #[test]
    fn codes_are_eight_digits_of_which_each_is_drawn_as_often() {
        let mut seen = [[0_u32; 10]; DIGITS];
        for _ in 0..10_000 {
            let text = OneTimeCode::random().unwrap().text();
            assert_eq!(text.len(), DIGITS);
            for (place, digit) in text.bytes().enumerate() {
                seen[place][usize::from(digit - b'0')] += 1;
            }
        }
        // Each of them 1000 times; 5 standard deviations are 150, and 200 are one in some thousand million.
        assert!(seen.iter().flatten().all(|count| (800..1200).contains(count)), "{seen:?}");
    }
}
