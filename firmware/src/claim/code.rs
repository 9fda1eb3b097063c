//! The claim code: 80 random bits and a check, in symbols that a person can read off a screen.
//!
//! Invariant: a code is written in one place only, the console; everything else keeps its digest. It has
//! no `Debug` that tells it, so that no log can.

use std::fmt;

use rustls::crypto::SecureRandom;
use sha2::{Digest, Sha256};

use crate::symbols::{symbol, value};

/// Symbols of five bits each, without the check.
const SYMBOLS: usize = 16;

/// A code, as the values of its symbols.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code([u8; SYMBOLS]);

/// A text that is no code: a symbol is missing, or the last does not fit the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a code as the box shows it")]
pub(super) struct NotACode;

impl Code {
    /// A code that nobody can guess.
    pub(super) fn random(source: &dyn SecureRandom) -> Result<Self, rustls::crypto::GetRandomFailed> {
        let mut bytes = [0; SYMBOLS];
        source.fill(&mut bytes)?;
        // 256 is a multiple of 32: every symbol is as likely as the others.
        Ok(Self(bytes.map(|byte| byte % 32)))
    }

    /// Reads what a person typed: in either case, with or without dashes and spaces, O for 0, I or L for 1.
    pub(super) fn parse(text: &str) -> Result<Self, NotACode> {
        let mut values = [0; SYMBOLS + 1];
        let mut places = values.iter_mut();
        for symbol in text.bytes().filter(|b| !matches!(b, b'-' | b' ')) {
            *places.next().ok_or(NotACode)? = value(symbol).ok_or(NotACode)?;
        }
        if places.next().is_some() {
            return Err(NotACode);
        }
        let [code @ .., last] = values;
        if check(&code) == last { Ok(Self(code)) } else { Err(NotACode) }
    }

    /// What the box remembers of it.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.map(symbol)).into()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.0.chunks(4) {
            for value in group {
                write!(f, "{}", char::from(symbol(*value)))?;
            }
            f.write_str("-")?;
        }
        write!(f, "{}", char::from(symbol(check(&self.0))))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// Weights are odd, so that every single wrong symbol changes the sum.
fn check(values: &[u8; SYMBOLS]) -> u8 {
    let weighted = values.iter().zip((1_u32..).step_by(2)).map(|(value, weight)| u32::from(*value) * weight);
    (weighted.sum::<u32>() % 32) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> Code {
        Code::random(rustls::crypto::aws_lc_rs::default_provider().secure_random).unwrap()
    }

    #[test]
    fn a_code_has_80_bits_and_survives_being_typed_by_a_person() {
        const { assert!(SYMBOLS * 5 >= 80) };
        for _ in 0..200 {
            let code = random();
            let shown = code.to_string();
            assert_eq!(shown.len(), 4 * 5 + 1, "{shown}");
            for typed in [
                shown.clone(),
                shown.to_lowercase(),
                shown.replace('-', ""),
                shown.replace('-', " "),
                shown.replace('0', "O").replace('1', "I"),
                shown.replace('0', "o").replace('1', "l"),
            ] {
                assert_eq!(Code::parse(&typed), Ok(code.clone()), "{typed}");
            }
            assert_ne!(random().digest(), code.digest());
        }
    }

    #[test]
    fn every_single_wrong_symbol_is_noticed() {
        let plain = random().to_string().replace('-', "");
        for place in 0..plain.len() {
            for wrong in b"0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
                let mut bytes = plain.clone().into_bytes();
                if bytes[place] == *wrong {
                    continue;
                }
                bytes[place] = *wrong;
                assert_eq!(Code::parse(std::str::from_utf8(&bytes).unwrap()), Err(NotACode));
            }
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_of_other_symbols_is_no_code() {
        let plain = random().to_string();
        for bad in ["", "-", "U", &plain[..20], &format!("{plain}0"), &plain.replacen('-', "*", 1), "ÄÖÜ"]
        {
            assert_eq!(Code::parse(bad), Err(NotACode), "{bad}");
        }
    }

    #[test]
    fn a_code_does_not_tell_itself_to_a_log() {
        let code = random();
        assert_eq!(format!("{code:?}"), "Code(..)");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*") {
            let _ = Code::parse(&text);
        }
    }
}
