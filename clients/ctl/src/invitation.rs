//! The code of an invitation, as an administrator passed it on: what to know of the box before anything is sent to it.
//! Its form is described in the daemon's `credential/invitation.rs`.
//!
//! Invariant: a code that was mistyped, or cut, is none; and it has no `Debug` that tells its secret.

use std::fmt;
use std::str::FromStr;

use authenteon_box::Fingerprint;
use sha2::{Digest, Sha256};

use crate::args::client_name;

const PREFIX: &str = "AU1";
/// Bytes of the ticket, of the authority's SHA-256, and of the check at the end.
const TICKET: usize = 20;
const AUTHORITY: usize = 32;
const CHECK: usize = 4;
/// Symbols of the ticket, of five bits each.
const SYMBOLS: usize = TICKET * 8 / 5;

/// What a code says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// What is shown to the box, as symbols.
    pub(crate) ticket: String,
    /// SHA-256 of the box's authority.
    pub(crate) authority: Fingerprint,
    /// What its holder is to be called.
    pub(crate) name: String,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FromStr for Invitation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const BAD: &str =
            "not the code of an invitation: it begins with AU1, and a symbol is missing or wrong";
        let typed = text.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase());
        let typed: String = typed.collect();
        let symbols = typed.strip_prefix(PREFIX).ok_or(BAD)?.replace('O', "0").replace(['I', 'L'], "1");
        let ticket = symbols.get(..SYMBOLS).ok_or(BAD)?.to_owned();
        let bytes = decode(&symbols).ok_or(BAD)?;
        let (said, check) = bytes.split_at_checked(bytes.len().saturating_sub(CHECK)).ok_or(BAD)?;
        if Sha256::digest(said).get(..CHECK) != Some(check) {
            return Err(BAD);
        }
        let rest = said.get(TICKET..).ok_or(BAD)?;
        let (authority, rest) = rest.split_first_chunk::<AUTHORITY>().ok_or(BAD)?;
        // When it ends, and the role, are the box's to say.
        let name = rest.get(5..).and_then(|name| std::str::from_utf8(name).ok()).ok_or(BAD)?;
        let name = client_name(name).map_err(|_| BAD)?;
        Ok(Self { ticket, authority: Fingerprint::from(*authority), name })
    }
}

/// Bytes of Crockford's base 32.
fn decode(symbols: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(symbols.len() * 5 / 8);
    let (mut bits, mut held) = (0_u32, 0);
    for symbol in symbols.bytes() {
        let value = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".iter().position(|known| *known == symbol)?;
        bits = (bits << 5 | u32::try_from(value).ok()?) & 0xFFFF;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xFF) as u8);
        }
    }
    (held < 5 && bits & ((1 << held) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same text is written in the daemon's `credential/invitation.rs`.
    const CODE: &str = include_str!("../../../docs/examples/invitation.txt");

    #[test]
    fn a_code_is_read_as_the_box_writes_it_however_it_is_typed() {
        let code = CODE.trim();
        let read: Invitation = code.parse().unwrap();
        assert_eq!((read.name.as_str(), read.authority.to_string()), ("desk-1", "ab".repeat(32)));
        assert_eq!(read.ticket, code[3..35]);
        let grouped: Vec<String> =
            code.as_bytes().chunks(5).map(|c| String::from_utf8(c.to_vec()).unwrap()).collect();
        for typed in [code.to_lowercase(), grouped.join("-"), grouped.join(" "), code.replace('0', "O")] {
            assert_eq!(typed.parse(), Ok(read.clone()), "{typed}");
        }
        assert!(!format!("{read:?}").contains(&read.ticket));
    }

    #[test]
    fn a_code_with_a_wrong_or_missing_symbol_is_none() {
        let code = CODE.trim();
        for place in 0..code.len() {
            let mut wrong = code.as_bytes().to_vec();
            wrong[place] = if wrong[place] == b'Z' { b'Y' } else { b'Z' };
            assert!(String::from_utf8(wrong).unwrap().parse::<Invitation>().is_err(), "{place}");
            assert!(code[..place].parse::<Invitation>().is_err(), "cut to {place}");
        }
        for bad in ["", "AU1", "\u{e9}", "AU2", &format!("{code}0")] {
            assert!(bad.parse::<Invitation>().is_err(), "{bad}");
        }
    }
}
