//! Passwords of accounts: kept as what argon2id makes of them.
//!
//! Invariant: a comparison takes the same work whether there is an account or not.

use std::sync::LazyLock;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::request::{hex, unhex};

/// Characters of a password that somebody chooses.
const SHORTEST: usize = 12;
const LONGEST: usize = 1024;
/// What the OWASP cheat sheet on password storage recommends for argon2id: it is tried over the network only, unless the
/// disk and its key are taken; then each guess costs this.
const MEMORY_KIB: u32 = 19 << 10;
const PASSES: u32 = 2;

/// What is compared with when there is no account.
static NOBODY: LazyLock<Hashed> = LazyLock::new(|| Hashed { salt: hex(&[0; 16]), hash: hex(&[0; 32]) });

/// A password, for as long as it is looked at.
pub struct Password(Zeroizing<String>);

/// A text that is too short or too long to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has {SHORTEST} to {LONGEST} characters: four or five words, say")]
pub struct NoPassword;

impl Password {
    /// One that was typed, whatever it is.
    #[must_use]
    pub fn typed(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// One that is to be chosen.
    ///
    /// # Errors
    /// [`NoPassword`].
    pub fn chosen(text: String) -> Result<Self, NoPassword> {
        let typed = Self::typed(text);
        let fits = (SHORTEST..=LONGEST).contains(&typed.0.chars().count());
        if fits { Ok(typed) } else { Err(NoPassword) }
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What is kept of a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hashed {
    salt: String,
    hash: String,
}

impl Hashed {
    /// What is to be kept of it; nothing without randomness.
    pub(super) fn of(password: &str) -> Option<Self> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).ok()?;
        Some(Self { salt: hex(&salt), hash: hex(work(password, &salt)?.as_slice()) })
    }

    /// Whether it is the password.
    pub(super) fn is(&self, password: &str) -> bool {
        let (Some(salt), Some(hash)) = (unhex::<16>(&self.salt), unhex::<32>(&self.hash)) else {
            return false;
        };
        let same = |worked: Zeroizing<[u8; 32]>| worked.ct_eq(&hash).into();
        password.len() <= 4 * LONGEST && work(password, &salt).is_some_and(same)
    }

    /// What is kept of nobody's.
    pub(super) fn nobody_s() -> &'static Self {
        &NOBODY
    }

    /// The work of a comparison, with nobody's.
    pub(super) fn nobody(password: &str) {
        // The result is a matter of chance, of 256 bits.
        let _ = NOBODY.is(password);
    }
}

fn work(password: &str, salt: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let parameters = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).ok()?;
    let mut hash = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon.hash_password_into(password.as_bytes(), salt, hash.as_mut_slice()).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_hashes_of_one_differ() {
        let [one, two] = [(); 2].map(|()| Hashed::of("correct horse battery").unwrap());
        assert!(one.is("correct horse battery") && two.is("correct horse battery"));
        assert_ne!(one, two);
        assert!(!one.is("correct horse batterx") && !one.is("") && !one.is(&"x".repeat(5000)));
        assert!(!serde_json::to_string(&one).unwrap().contains("horse"));
    }

    #[test]
    fn a_short_password_is_not_chosen_and_none_is_shown() {
        assert_eq!(Password::chosen("short".into()).unwrap_err(), NoPassword);
        assert_eq!(format!("{:?}", Password::chosen("correct horse".into()).unwrap()), "Password(..)");
    }
}
