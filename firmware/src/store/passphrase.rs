//! Passphrases, and the keys that come of them by argon2id (RFC 9106).
//!
//! Invariant: a passphrase that somebody chooses is long enough to be worth its name, and is never shown.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    StoreError, files, io_error,
    sealed::{KEY, SealingKey},
};

/// Characters of a passphrase: what is on a stolen card can be tried for years.
const SHORTEST: usize = 12;
const LONGEST: usize = 1024;
const SALT: usize = 16;
/// RFC 9106, section 4: the second recommended choice, with one lane. About a second on a Pi 4.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// What a file may ask of this machine.
const MOST_MEMORY_KIB: u32 = 256 << 10;
const MOST_PASSES: u32 = 16;

/// A passphrase. It is never shown.
pub struct Passphrase(Zeroizing<String>);

/// Why a text is no passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a passphrase has {SHORTEST} to {LONGEST} characters: four or five words, say")]
pub struct NoPassphrase;

impl Passphrase {
    /// A passphrase to be chosen.
    ///
    /// # Errors
    /// [`NoPassphrase`] when it is too short, or too long.
    pub fn new(text: String) -> Result<Self, NoPassphrase> {
        let text = Zeroizing::new(text);
        let characters = text.chars().count();
        let fits = (SHORTEST..=LONGEST).contains(&characters);
        if fits { Ok(Self(text)) } else { Err(NoPassphrase) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Passphrase")
    }
}

/// How a key comes of a passphrase; it lies in clear beside what the key seals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Derivation {
    pub(crate) salt: String,
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
}

impl Derivation {
    /// A fresh one.
    ///
    /// # Errors
    /// [`StoreError::Io`] without randomness.
    pub(crate) fn fresh() -> Result<Self, StoreError> {
        let salt = STANDARD.encode(files::random::<SALT>().map_err(|why| io_error(&why))?);
        Ok(Self { salt, memory_kib: MEMORY_KIB, passes: PASSES })
    }

    /// The key that comes of a passphrase; `None` when more is asked than a passphrase is worth.
    pub(crate) fn key(&self, passphrase: &str) -> Option<SealingKey> {
        let sane =
            (8..=MOST_MEMORY_KIB).contains(&self.memory_kib) && (1..=MOST_PASSES).contains(&self.passes);
        let salt = STANDARD.decode(&self.salt).ok().filter(|salt| sane && salt.len() == SALT)?;
        let parameters = Params::new(self.memory_kib, self.passes, 1, Some(KEY)).ok()?;
        let mut key = Zeroizing::new([0; KEY]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        argon.hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice()).ok()?;
        SealingKey::new(key).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_neither_short_nor_shown() {
        assert_eq!(Passphrase::new("short".to_owned()).err(), Some(NoPassphrase));
        assert_eq!(Passphrase::new("x".repeat(1025)).err(), Some(NoPassphrase));
        let shown = format!("{:?}", Passphrase::new("correct horse battery staple".to_owned()).unwrap());
        assert!(!shown.contains("horse"), "{shown}");
    }

    #[test]
    fn a_derivation_that_asks_too_much_or_too_little_gives_no_key() {
        let good = Derivation::fresh().unwrap();
        for bad in [
            Derivation { memory_kib: u32::MAX, ..good.clone() },
            Derivation { memory_kib: 7, ..good.clone() },
            Derivation { passes: 0, ..good.clone() },
            Derivation { passes: 4_000_000_000, ..good.clone() },
            Derivation { salt: "AA".to_owned(), ..good },
        ] {
            assert!(bad.key("correct horse battery staple").is_none(), "{bad:?}");
        }
    }
}
