//! A master key that the machine's TPM 2.0 keeps: sealed by it, and given back by no other.
//!
//! Invariant: the key is on no disk in clear, it never crosses the bus to the TPM in clear, and it is used only
//! after the TPM has given it back once. Without the feature `tpm` there is none, and every use says so.

#[cfg(feature = "tpm")]
mod chip;
#[cfg(not(feature = "tpm"))]
mod none;
#[cfg(test)]
#[cfg(feature = "tpm")]
mod tests;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

#[cfg(feature = "tpm")]
use self::chip as built;
#[cfg(not(feature = "tpm"))]
use self::none as built;
use super::sealed::KEY;

/// The kernel's own, which several programs may use.
const DEFAULT: &str = "device:/dev/tpmrm0";
/// The registers of a TPM for PCs.
pub(crate) const PCRS: u8 = 24;

/// How a TPM is reached, and what a key is bound to beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tpm {
    /// As the TPM software stack names it.
    pub tcti: String,
    /// Registers of its SHA-256 bank that must be what they were when the key was sealed.
    pub pcrs: Vec<u8>,
}

impl Default for Tpm {
    fn default() -> Self {
        Self { tcti: DEFAULT.to_owned(), pcrs: Vec::new() }
    }
}

/// Why a TPM did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TpmError {
    /// The program cannot.
    #[error("this build has no TPM support: build with --features tpm")]
    NotBuilt,
    /// The name of the TPM is none.
    #[error("`{0}` names no TPM: device:/dev/tpmrm0 is the usual one")]
    Tcti(String),
    /// There is none.
    #[error("no TPM answers at {tcti}: {why}")]
    Absent {
        /// Where.
        tcti: String,
        /// What the system says.
        why: String,
    },
    /// The key is another one's.
    #[error(
        "the key was sealed by another TPM: the disk is of another machine, or the TPM was cleared since; nothing \
         else opens it"
    )]
    Another,
    /// The machine was started otherwise.
    #[error(
        "PCRs {} are not what they were when the key was sealed: start the machine as it was started then",
        list(.0)
    )]
    PcrsChanged(Vec<u8>),
    /// It does not measure them so.
    #[error("the TPM has no SHA-256 bank with PCRs {}: choose others, or turn the bank on", list(.0))]
    NoPcrs(Vec<u8>),
    /// Somebody guessed too often.
    #[error(
        "the TPM is locked after too many wrong guesses: wait, or lift its lockout (tpm2_dictionarylockout)"
    )]
    Lockout,
    /// Its owner's password is needed.
    #[error("the TPM's owner hierarchy has a password: take it away (tpm2_changeauth -c owner)")]
    Owned,
    /// What was sealed is not what was written.
    #[error("the key that the TPM sealed is damaged: restore keys/domain.json")]
    Damaged,
    /// Anything else.
    #[error("the TPM refuses: {0}")]
    Refused(String),
}

impl TpmError {
    /// Whether there is no TPM to be asked.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotBuilt | Self::Tcti(_) | Self::Absent { .. })
    }
}

fn list(pcrs: &[u8]) -> String {
    pcrs.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

/// A key that a TPM has sealed, in `keys/domain.json`. Only the TPM makes anything of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Sealed {
    /// The name of the storage key that it is sealed under, in base64 as the others. It is how another TPM is
    /// told from a damaged blob, and how somebody on the bus is caught who puts his own key in its place.
    parent: String,
    public: String,
    private: String,
    /// What it is bound to, in the SHA-256 bank.
    pcrs: Vec<u8>,
}

impl Tpm {
    /// Has a key sealed, and read back once.
    pub(super) fn seal(&self, key: &[u8; KEY]) -> Result<Sealed, TpmError> {
        built::seal(self, key)
    }

    /// The key.
    pub(super) fn unseal(&self, sealed: &Sealed) -> Result<Zeroizing<[u8; KEY]>, TpmError> {
        built::unseal(self, sealed)
    }
}
