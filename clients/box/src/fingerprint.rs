//! The SHA-256 of a certificate, as people compare it.

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of this certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = String;

    /// As the box prints it: with or without blanks and colons between the digits.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
        let mut bytes = [0; 32];
        let bad = || "64 hexadecimal digits, as the box shows them".to_owned();
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            let pair = digits.get(at..at + 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_the_box_prints_it() {
        let plain = "00ff".repeat(16);
        let grouped = vec!["00FF"; 16].join(" ");
        let colons = vec!["00:ff"; 16].join(":");
        for text in [&plain, &grouped, &colons] {
            assert_eq!(text.parse::<Fingerprint>().map(|f| f.to_string()), Ok(plain.clone()), "{text}");
        }
        for bad in ["", "00", &"00ff".repeat(15), &"00fg".repeat(16), &"+0ff".repeat(16), &"é".repeat(32)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
