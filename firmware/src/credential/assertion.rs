//! Assertions: the box says in a JSON Web Token (RFC 7519) who was accepted, to whom that is of use, and for how long.
//!
//! Signed with ES256 (RFC 7518), as every library and platform verifies that. Invariant: an assertion is of one accept, for
//! one audience, carries the nonce of who asked, and is over within a minute.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{clock::Timestamp, subject::SubjectId};

/// The longest time that an assertion is good for.
pub const LONGEST: Duration = Duration::from_secs(60);
/// Bytes of an audience.
const MOST: usize = 256;
/// Octets of a coordinate of P-256.
const COORDINATE: usize = 32;

/// Whom an assertion is for: the name by which a service knows itself, such as its URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Audience(String);

/// A text that is no audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an audience is 1 to {MOST} printable ASCII characters without spaces, such as https://app.example")]
pub struct NotAnAudience;

impl TryFrom<String> for Audience {
    type Error = NotAnAudience;

    fn try_from(text: String) -> Result<Self, NotAnAudience> {
        let fits = (1..=MOST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(NotAnAudience) }
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> Self {
        audience.0
    }
}

impl AsRef<str> for Audience {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// How somebody proved who he is (RFC 8176).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// A fingerprint.
    Fpt,
    /// More than one kind of them.
    Mfa,
    /// A code that an officer gave.
    Otp,
    /// A PIN.
    Pin,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The box.
    pub iss: String,
    /// Who was accepted.
    pub sub: SubjectId,
    /// For whom it is.
    pub aud: Audience,
    /// When it was decided, in seconds since 1970.
    pub iat: u64,
    /// When it is over.
    pub exp: u64,
    /// A name of its own: whoever takes it once remembers it so long.
    pub jti: String,
    /// Of the request.
    pub nonce: String,
    /// How the person proved it.
    pub amr: Vec<Means>,
    /// What he is called in a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// His user principal name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upn: Option<String>,
}

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of assertions cannot be used")]
pub struct BadKey;

/// A key that signs assertions.
pub struct AssertionKey {
    signs: EncodingKey,
    kid: String,
    point: [u8; 2 * COORDINATE],
}

impl AssertionKey {
    /// A new one, as it is kept (PKCS #8).
    ///
    /// # Errors
    /// [`BadKey`]: there is no randomness.
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, BadKey> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        made.map(|document| Zeroizing::new(document.as_ref().to_vec())).map_err(|_| BadKey)
    }

    /// From what is kept.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn read(pkcs8: &[u8]) -> Result<Self, BadKey> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| BadKey)?;
        // An uncompressed point: a 4, and both coordinates.
        let point =
            pair.public_key().as_ref().get(1..).and_then(|point| point.try_into().ok()).ok_or(BadKey)?;
        let mut key = Self { signs: EncodingKey::from_ec_der(pkcs8), kid: String::new(), point };
        key.kid = key.thumbprint();
        Ok(key)
    }

    /// What it is known by.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    fn coordinates(&self) -> [String; 2] {
        let (x, y) = self.point.split_at(COORDINATE);
        [x, y].map(|coordinate| BASE64_URL_SAFE_NO_PAD.encode(coordinate))
    }

    /// RFC 7638.
    fn thumbprint(&self) -> String {
        let [x, y] = self.coordinates();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// The public key as a JSON Web Key (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let [x, y] = self.coordinates();
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid, "use": "sig", "alg": "ES256"})
    }

    /// Signs.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn sign(&self, claims: &Claims) -> Result<String, BadKey> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.signs).map_err(|_| BadKey)
    }
}

/// The box as an issuer, when nothing else is configured.
#[must_use]
pub fn issuer(device: uuid::Uuid) -> String {
    format!("https://{}", super::authority::name_of(device))
}

/// Whole seconds of a moment.
#[must_use]
pub fn seconds(moment: Timestamp) -> u64 {
    moment.millis() / 1000
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};

    use super::*;

    fn claims(aud: &str) -> Claims {
        Claims {
            iss: "https://box.example".into(),
            sub: SubjectId::random(),
            aud: Audience::try_from(aud.to_owned()).unwrap(),
            iat: 2_000_000_000,
            exp: 2_000_000_060,
            jti: "one".into(),
            nonce: "fresh".into(),
            amr: vec![Means::Fpt],
            preferred_username: None,
            upn: None,
        }
    }

    #[test]
    fn an_assertion_is_verified_with_the_published_key_and_with_no_other() {
        let key = AssertionKey::read(&AssertionKey::generate().unwrap()).unwrap();
        let other = AssertionKey::read(&AssertionKey::generate().unwrap()).unwrap();
        let said = claims("https://app.example");
        let token = key.sign(&said).unwrap();
        let read = |key: &AssertionKey, audience: &str| {
            let jwk: Jwk = serde_json::from_value(key.jwk()).unwrap();
            let mut validation = Validation::new(Algorithm::ES256);
            validation.set_audience(&[audience]);
            jsonwebtoken::decode::<Claims>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation)
        };
        let read_back = read(&key, "https://app.example").unwrap();
        assert_eq!(read_back.claims, said);
        assert_eq!(read_back.header.kid.as_deref(), Some(key.kid()));
        assert!(read(&other, "https://app.example").is_err());
        assert!(read(&key, "https://other.example").is_err());
        assert_ne!(key.kid(), other.kid());
    }

    #[test]
    fn who_proved_himself_how_is_said_in_the_words_of_rfc_8176() {
        let value = serde_json::to_value(claims("a")).unwrap();
        assert_eq!(value["amr"], json!(["fpt"]));
        assert!(value.get("upn").is_none());
    }

    #[test]
    fn an_audience_is_a_name_without_spaces() {
        for good in ["https://app.example/", "urn:app", &"a".repeat(256)] {
            assert_eq!(Audience::try_from(good.to_owned()).unwrap().as_ref(), good);
        }
        for bad in ["", "a b", "ä", "a\n", &"a".repeat(257)] {
            assert_eq!(Audience::try_from(bad.to_owned()), Err(NotAnAudience), "{bad:?}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_an_error() {
        assert!(AssertionKey::read(b"no key").is_err());
    }
}
