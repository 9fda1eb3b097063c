//! A recovery code: 128 random bits that an officer gives to somebody whose finger is hurt, good once and for a time.
//!
//! Invariant: a code is shown once, to the officer; the box keeps its digest under the person's key.

use std::fmt;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    request::{hex, unhex},
};

/// Bytes of a code.
const CODE: usize = 16;
/// Digits that are written together.
const GROUP: usize = 4;

/// A code, which is never shown but by [`RecoveryCode::text`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RecoveryCode(Zeroizing<[u8; CODE]>);

/// A text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a recovery code has 32 digits of 0-9 and a-f, with or without dashes and spaces")]
pub struct NotARecoveryCode;

impl TryFrom<String> for RecoveryCode {
    type Error = NotARecoveryCode;

    fn try_from(text: String) -> Result<Self, NotARecoveryCode> {
        let text = Zeroizing::new(text);
        let plain = |c: &char| !matches!(c, '-' | ' ');
        let digits: Zeroizing<String> = Zeroizing::new(text.chars().filter(plain).collect());
        unhex(&digits).map(|bytes| Self(Zeroizing::new(bytes))).ok_or(NotARecoveryCode)
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("RecoveryCode")
    }
}

impl RecoveryCode {
    /// One that nobody can guess; `None` without randomness.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; CODE]);
        rand::fill(bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    /// What the officer gives.
    #[must_use]
    pub fn text(&self) -> String {
        let digits = Zeroizing::new(hex(self.0.as_slice()));
        let groups: Vec<&str> =
            (0..digits.len()).step_by(GROUP).filter_map(|at| digits.get(at..at + GROUP)).collect();
        groups.join("-")
    }

    /// For the digest of a request.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// 128 random bits need no salt and no slow derivation.
    fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"authenteon recovery code")
            .chain_update(self.as_bytes())
            .finalize()
            .into()
    }
}

/// A code that was given out and not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Issued {
    digest: String,
    /// From then on it is good,
    at: Timestamp,
    /// and until then.
    expires: Timestamp,
}

impl Issued {
    /// What is kept of a code.
    pub(crate) fn new(code: &RecoveryCode, at: Timestamp, expires: Timestamp) -> Self {
        Self { digest: hex(&code.digest()), at, expires }
    }

    pub(crate) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether it is that code, and good now. A clock that was set back to before it was given does not revive it.
    pub(crate) fn is(&self, code: &RecoveryCode, now: Timestamp) -> bool {
        let kept: Option<[u8; 32]> = unhex(&self.digest);
        let same = kept.is_some_and(|kept| kept.ct_eq(&code.digest()).into());
        same && self.at <= now && now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_written_down() {
        let code = RecoveryCode::random().unwrap();
        let text = code.text();
        assert_eq!(text.len(), 39);
        for written in [text.clone(), text.replace('-', " ").to_uppercase(), text.replace('-', "")] {
            assert_eq!(RecoveryCode::try_from(written), Ok(code.clone()));
        }
        for bad in ["", "12", &text[1..], &format!("{text}0"), "zzzz-zzzz-zzzz-zzzz-zzzz-zzzz-zzzz-zzzz"] {
            assert_eq!(RecoveryCode::try_from(bad.to_owned()), Err(NotARecoveryCode), "{bad}");
        }
        assert_ne!(RecoveryCode::random(), RecoveryCode::random());
        assert!(!format!("{code:?}").contains(&text[..4]));
    }

    #[test]
    fn a_code_is_good_between_its_two_moments_only() {
        let (code, other) = (RecoveryCode::random().unwrap(), RecoveryCode::random().unwrap());
        let at = Timestamp::from_millis;
        let issued = Issued::new(&code, at(1000), at(5000));
        assert!(issued.is(&code, at(1000)) && issued.is(&code, at(4999)) && !issued.is(&other, at(2000)));
        for gone in [999, 5000, 1_000_000] {
            assert!(!issued.is(&code, at(gone)), "{gone}");
        }
        assert!(!serde_json::to_string(&issued).unwrap().contains(&hex(code.as_bytes())));
    }
}
