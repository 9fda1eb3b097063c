//! Codes of six digits that change every half minute (RFC 6238), as every authenticator app makes them.
//!
//! Invariant: a code is worth something once: who keeps the step of the last one that was right refuses it and all before.

use std::fmt::Write as _;

use aws_lc_rs::{hmac, rand};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::clock::Timestamp;

/// Seconds of a step.
const STEP: u64 = 30;
/// Steps before and after the box's own that are taken too: clocks of telephones differ.
const SLACK: u64 = 1;
/// Bytes of a secret, as RFC 4226 recommends.
pub(super) const SECRET: usize = 20;

/// A fresh secret; nothing without randomness.
pub(super) fn secret() -> Option<Zeroizing<[u8; SECRET]>> {
    let mut secret = Zeroizing::new([0; SECRET]);
    rand::fill(secret.as_mut_slice()).ok()?;
    Some(secret)
}

/// The step in which a code is right at this moment, after the step `last`.
pub(super) fn step_of(secret: &[u8; SECRET], code: &str, now: Timestamp, last: u64) -> Option<u64> {
    let present = now.millis() / 1000 / STEP;
    let mut found = None;
    // All of them, whichever is right.
    for step in present.saturating_sub(SLACK)..=present + SLACK {
        let right: bool = digits(secret, step).as_bytes().ct_eq(code.as_bytes()).into();
        if right && step > last {
            found = Some(step);
        }
    }
    found
}

/// The code of a step: the last six digits of the dynamic truncation of RFC 4226, section 5.3.
pub(super) fn digits(secret: &[u8; SECRET], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let four = tag.get(offset..).and_then(<[u8]>::first_chunk::<4>).copied().unwrap_or_default();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7FFF_FFFF) % 1_000_000)
}

/// A secret in RFC 4648's base 32, as people type it into an app.
pub(super) fn text(secret: &[u8; SECRET]) -> Zeroizing<String> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(SECRET * 8 / 5));
    let (chunks, _) = secret.as_chunks::<5>();
    for chunk in chunks {
        let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            let value = usize::try_from(bits >> (5 * place) & 31).unwrap_or_default();
            text.push(char::from(ALPHABET.get(value).copied().unwrap_or(b'A')));
        }
    }
    text
}

/// What an app reads from a picture. An account's name has no character that needs an escape.
pub(super) fn uri(secret: &[u8; SECRET], account: &str) -> Zeroizing<String> {
    let mut uri = Zeroizing::new(String::new());
    // Writing to a String cannot fail.
    let _ = write!(uri, "otpauth://totp/Authenteon:{account}?secret={}&issuer=Authenteon", *text(secret));
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B.
    const KEY: &[u8; SECRET] = b"12345678901234567890";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step_of(KEY, code, at(seconds), 0), Some(seconds / 30), "{code}");
        }
        assert_eq!(text(KEY).as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(uri(KEY, "ada").starts_with("otpauth://totp/Authenteon:ada?secret=GEZD"));
    }

    #[test]
    fn a_code_is_good_for_a_minute_and_once() {
        let (code, step) = ("081804", 1_111_111_109 / 30);
        for seconds in [step * 30 - 30, step * 30, step * 30 + 59] {
            assert_eq!(step_of(KEY, code, at(seconds), 0), Some(step));
            assert_eq!(step_of(KEY, code, at(seconds), step), None, "it was used");
            assert_eq!(step_of(KEY, code, at(seconds), step + 1), None, "a later one was used");
        }
        for seconds in [step * 30 - 31, step * 30 + 60] {
            assert_eq!(step_of(KEY, code, at(seconds), 0), None);
        }
        for wrong in ["", "81804", "0818040", "081805", "\u{e9}"] {
            assert_eq!(step_of(KEY, wrong, at(step * 30), 0), None, "{wrong}");
        }
    }
}
