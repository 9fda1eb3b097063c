//! A PIN: what only the person knows.
//!
//! Few digits are guessed in no time by whoever has what is kept of them, however slow the derivation: what protects
//! them is the person's key, under which they lie, and at the reader the lockout. So argon2id is given what fifty
//! verifications a second leave: a few milliseconds.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Characters of a PIN.
const SHORTEST: usize = 4;
const LONGEST: usize = 64;
/// About 3 ms on one x86-64 core, 15 on a Pi 4; bounded here as it is read from the store.
const MEMORY_KIB: u32 = 4 << 10;
const PASSES: u32 = 1;
const MOST_MEMORY_KIB: u32 = 64 << 10;
const MOST_PASSES: u32 = 8;
const HASH: usize = 32;

/// A PIN. It is never shown.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pin(Zeroizing<String>);

/// Why a text is no PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPin {
    /// Too short, too long, or with what cannot be typed.
    #[error("a PIN has {SHORTEST} to {LONGEST} characters and no control characters")]
    Length,
    /// The first that anybody tries.
    #[error("a PIN is not one character over and over, nor a row such as 1234 or 4321")]
    Row,
}

impl TryFrom<String> for Pin {
    type Error = NotAPin;

    fn try_from(text: String) -> Result<Self, NotAPin> {
        let text = Zeroizing::new(text);
        let fits =
            (SHORTEST..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(NotAPin::Length) }
    }
}

impl Pin {
    /// Whether it may be chosen.
    ///
    /// # Errors
    /// [`NotAPin::Row`].
    pub fn check(&self) -> Result<(), NotAPin> {
        let values: Vec<i64> = self.0.chars().map(|c| i64::from(u32::from(c))).collect();
        let row = |step: i64| values.windows(2).all(|pair| matches!(pair, [a, b] if b - a == step));
        if [0, 1, -1].into_iter().any(row) { Err(NotAPin::Row) } else { Ok(()) }
    }

    /// For the digest of a request.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Pin")
    }
}

/// What is kept of a PIN.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PinHash {
    salt: String,
    memory_kib: u32,
    passes: u32,
    hash: String,
}

impl fmt::Debug for PinHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PinHash")
    }
}

impl PinHash {
    /// What is to be kept; `None` where the derivation fails, which it does not with these parameters.
    pub(crate) fn new(pin: &Pin) -> Option<Self> {
        let salt = Uuid::new_v4();
        let hash = derived(pin, salt.as_bytes(), MEMORY_KIB, PASSES)?;
        Some(Self {
            salt: STANDARD.encode(salt.as_bytes()),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            hash: STANDARD.encode(hash.as_slice()),
        })
    }

    /// Whether it is that PIN.
    pub(crate) fn is(&self, pin: &Pin) -> bool {
        let sane =
            (8..=MOST_MEMORY_KIB).contains(&self.memory_kib) && (1..=MOST_PASSES).contains(&self.passes);
        let salt = STANDARD.decode(&self.salt).ok().filter(|_| sane);
        let derived = salt.and_then(|salt| derived(pin, &salt, self.memory_kib, self.passes));
        let kept = STANDARD.decode(&self.hash).ok().filter(|kept| kept.len() == HASH);
        derived.zip(kept).is_some_and(|(derived, kept)| derived.as_slice().ct_eq(&kept).into())
    }

    /// The work of [`Self::is`] for who has none: absence takes as long.
    pub(crate) fn work_for_nobody(pin: &Pin) {
        let _ = derived(pin, &[0; 16], MEMORY_KIB, PASSES);
    }
}

fn derived(pin: &Pin, salt: &[u8], memory_kib: u32, passes: u32) -> Option<Zeroizing<[u8; HASH]>> {
    let parameters = Params::new(memory_kib, passes, 1, Some(HASH)).ok()?;
    let mut hash = Zeroizing::new([0; HASH]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon.hash_password_into(pin.as_bytes(), salt, hash.as_mut_slice()).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(text: &str) -> Pin {
        Pin::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_pin_is_told_from_another_and_what_is_kept_says_it_to_nobody() {
        let kept = PinHash::new(&pin("2580-x")).unwrap();
        assert!(kept.is(&pin("2580-x")) && !kept.is(&pin("2580-y")) && !kept.is(&pin("2580")));
        assert_ne!(kept, PinHash::new(&pin("2580-x")).unwrap(), "the salt is another each time");
        let text = serde_json::to_string(&kept).unwrap() + &format!("{kept:?} {:?}", pin("2580-x"));
        assert!(!text.contains("2580"), "{text}");
        let read: PinHash = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        assert!(read.is(&pin("2580-x")));
    }

    #[test]
    fn what_is_kept_and_asks_too_much_is_nobody_s_pin() {
        let kept = PinHash::new(&pin("2580")).unwrap();
        for bad in [
            PinHash { memory_kib: u32::MAX, ..kept.clone() },
            PinHash { passes: 0, ..kept.clone() },
            PinHash { hash: String::new(), ..kept.clone() },
            PinHash { salt: "?".to_owned(), ..kept },
        ] {
            assert!(!bad.is(&pin("2580")));
        }
    }

    #[test]
    fn rows_and_repetitions_are_not_chosen_and_length_is_bounded() {
        for row in ["1111", "1234", "98765", "abcd"] {
            assert_eq!(pin(row).check(), Err(NotAPin::Row), "{row}");
        }
        assert_eq!(pin("2580").check(), Ok(()));
        for bad in ["123", "", "12\n4", &"7".repeat(65)] {
            assert_eq!(Pin::try_from(bad.to_owned()).err(), Some(NotAPin::Length));
        }
    }
}
